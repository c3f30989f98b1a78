/* The clock of all loops, in seconds from an arbitrary origin. */
#ifndef OVERHEAD_CLOCK_H
#define OVERHEAD_CLOCK_H

#include <stdint.h>

#ifdef _WIN32

#include <windows.h>

static inline int64_t clock_now(void)
{
    LARGE_INTEGER ticks;
    QueryPerformanceCounter(&ticks);
    return ticks.QuadPart;
}

static inline double clock_seconds(int64_t ticks)
{
    LARGE_INTEGER frequency;
    QueryPerformanceFrequency(&frequency);
    return (double)ticks / (double)frequency.QuadPart;
}

static inline int64_t clock_ticks(int64_t nanoseconds)
{
    LARGE_INTEGER frequency;
    QueryPerformanceFrequency(&frequency);
    return (int64_t)((double)nanoseconds * 1e-9 * (double)frequency.QuadPart);
}

#else

#include <time.h>

static inline int64_t clock_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline double clock_seconds(int64_t ticks)
{
    return (double)ticks * 1e-9;
}

static inline int64_t clock_ticks(int64_t nanoseconds)
{
    return nanoseconds;
}

#endif
#endif
