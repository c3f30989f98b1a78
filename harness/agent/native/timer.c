/* How late a sleeper wakes, and how short a sleep can be. */
#include "overhead_probe.h"

#include <errno.h>

#include "clock.h"

#ifdef _WIN32

#ifndef CREATE_WAITABLE_TIMER_HIGH_RESOLUTION
#define CREATE_WAITABLE_TIMER_HIGH_RESOLUTION 2
#endif

typedef HANDLE sleeper_t;

/* The timer that Python's time.sleep uses too, since 3.11; before Windows 10 1803 there is only the coarse one. */
static int32_t sleeper_open(sleeper_t *timer)
{
    *timer = CreateWaitableTimerExW(NULL, NULL, CREATE_WAITABLE_TIMER_HIGH_RESOLUTION, TIMER_ALL_ACCESS);
    if (!*timer)
        *timer = CreateWaitableTimerExW(NULL, NULL, 0, TIMER_ALL_ACCESS);
    return *timer ? 0 : -ENOTSUP;
}

static void sleeper_close(sleeper_t timer)
{
    CloseHandle(timer);
}

static int32_t wait_for(sleeper_t timer, LARGE_INTEGER wait)
{
    if (!SetWaitableTimer(timer, &wait, 0, NULL, NULL, FALSE) || WaitForSingleObject(timer, INFINITE) != WAIT_OBJECT_0)
        return -EIO;
    return 0;
}

/* Timers count in 100 ns, and an absolute one by a clock that can be set: so what remains is asked for, rounded up. */
static int32_t sleep_until(sleeper_t timer, int64_t due)
{
    int64_t remaining = due - clock_now();
    LARGE_INTEGER wait = {.QuadPart = remaining > 0 ? -(LONGLONG)(clock_seconds(remaining) * 1e7 + 1) : -1};
    return wait_for(timer, wait);
}

static int32_t sleep_shortest(sleeper_t timer)
{
    return wait_for(timer, (LARGE_INTEGER){.QuadPart = -1});
}

#else

typedef int sleeper_t;

static int32_t sleeper_open(sleeper_t *unused)
{
    *unused = 0;
    return 0;
}

static void sleeper_close(sleeper_t unused)
{
    (void)unused;
}

static int32_t sleep_until(sleeper_t unused, int64_t due)
{
    (void)unused;
    struct timespec until = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};
    int error;
    while ((error = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) == EINTR)
        continue;
    return -error;
}

static int32_t sleep_shortest(sleeper_t unused)
{
    (void)unused;
    struct timespec nanosecond = {.tv_nsec = 1};
    return -clock_nanosleep(CLOCK_MONOTONIC, 0, &nanosecond, NULL);
}

#endif

/* A period that has passed before it was slept for is left out, as cyclictest does: that would be no timer's lateness. */
int32_t probe_lateness(int64_t samples, int64_t nanoseconds, double *seconds)
{
    int64_t period = clock_ticks(nanoseconds);
    sleeper_t sleeper;
    int32_t status = period < 1 ? -EINVAL : sleeper_open(&sleeper);
    if (status)
        return status;
    int64_t due = clock_now();
    for (int64_t sample = 0; sample < samples && !status; sample++) {
        for (int64_t now = clock_now(); due <= now;)
            due += period;
        status = sleep_until(sleeper, due);
        seconds[sample] = clock_seconds(clock_now() - due);
    }
    sleeper_close(sleeper);
    return status;
}

int32_t probe_shortest_sleep(int64_t samples, double *seconds)
{
    sleeper_t sleeper;
    int32_t status = sleeper_open(&sleeper);
    if (status)
        return status;
    for (int64_t sample = 0; sample < samples && !status; sample++) {
        int64_t start = clock_now();
        status = sleep_shortest(sleeper);
        seconds[sample] = clock_seconds(clock_now() - start);
    }
    sleeper_close(sleeper);
    return status;
}
