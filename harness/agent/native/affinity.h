/* Binds the calling thread to one CPU for a while. A negative number leaves it free: `affinity_restore` then does
 * nothing. Threads that are started meanwhile inherit the binding, but not on Windows. */
#ifndef OVERHEAD_AFFINITY_H
#define OVERHEAD_AFFINITY_H

#include <errno.h>
#include <stdint.h>

#ifdef _WIN32

#include <windows.h>

typedef struct {
    DWORD_PTR before; /* 0: nothing to restore */
} affinity_t;

static inline int32_t affinity_bind(affinity_t *affinity, int32_t cpu)
{
    affinity->before = 0;
    if (cpu < 0)
        return 0;
    if (cpu >= (int32_t)(8 * sizeof(DWORD_PTR)))
        return -EINVAL; /* of another processor group */
    affinity->before = SetThreadAffinityMask(GetCurrentThread(), (DWORD_PTR)1 << cpu);
    return affinity->before ? 0 : -EINVAL;
}

static inline void affinity_restore(const affinity_t *affinity)
{
    if (affinity->before)
        SetThreadAffinityMask(GetCurrentThread(), affinity->before);
}

#else

#include <sched.h>

/* Room for more CPUs than cpu_set_t has: the kernel refuses a set that is smaller than its own. */
enum { AFFINITY_CPUS = 8192 };

typedef struct {
    int bound;
    unsigned long before[AFFINITY_CPUS / (8 * sizeof(unsigned long))];
} affinity_t;

static inline int32_t affinity_bind(affinity_t *affinity, int32_t cpu)
{
    affinity->bound = 0;
    if (cpu < 0)
        return 0;
    if (cpu >= AFFINITY_CPUS)
        return -EINVAL;
    if (sched_getaffinity(0, sizeof affinity->before, (cpu_set_t *)affinity->before) < 0)
        return -errno;
    affinity_t one = {0, {0}};
    CPU_SET_S((size_t)cpu, sizeof one.before, (cpu_set_t *)one.before);
    if (sched_setaffinity(0, sizeof one.before, (cpu_set_t *)one.before) < 0)
        return -errno;
    affinity->bound = 1;
    return 0;
}

static inline void affinity_restore(const affinity_t *affinity)
{
    if (affinity->bound)
        sched_setaffinity(0, sizeof affinity->before, (const cpu_set_t *)affinity->before);
}

#endif
#endif
