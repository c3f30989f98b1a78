/* Binds the calling thread to one CPU for a while. A negative number leaves it free: `affinity_restore` then does
 * nothing. Threads that are started meanwhile inherit the binding, but not on Windows. */
#ifndef OVERHEAD_AFFINITY_H
#define OVERHEAD_AFFINITY_H

#include <errno.h>
#include <stdint.h>

#ifdef _WIN32

#include <windows.h>

/* CPUs are counted as 64 * processor group + number in the group, though most groups have fewer. */
enum { GROUP_CPUS = 8 * sizeof(KAFFINITY) };

typedef struct {
    int bound;
    GROUP_AFFINITY before;
} affinity_t;

static inline int32_t affinity_bind(affinity_t *affinity, int32_t cpu)
{
    affinity->bound = 0;
    if (cpu < 0)
        return 0;
    GROUP_AFFINITY one = {.Mask = (KAFFINITY)1 << cpu % GROUP_CPUS, .Group = (WORD)(cpu / GROUP_CPUS)};
    if (cpu / GROUP_CPUS >= GetActiveProcessorGroupCount()
        || !SetThreadGroupAffinity(GetCurrentThread(), &one, &affinity->before))
        return -EINVAL;
    affinity->bound = 1;
    return 0;
}

static inline void affinity_restore(const affinity_t *affinity)
{
    if (affinity->bound)
        SetThreadGroupAffinity(GetCurrentThread(), &affinity->before, NULL);
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
