/* What the processor says of the hypervisor above it: no loop, but an instruction that Python cannot issue. */
#include "overhead_probe.h"

#include <errno.h>

#if defined(__x86_64__)
#include <cpuid.h>

#define HYPERVISOR_PRESENT (1u << 31) /* of ECX in leaf 1; reserved for this use by Intel and AMD */
#define HYPERVISOR_LEAF 0x40000000u

int32_t probe_hypervisor(int64_t values, double *seconds)
{
    unsigned eax, ebx, ecx, edx;
    if (values != 3)
        return -EINVAL;
    seconds[0] = seconds[1] = seconds[2] = 0.0;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
        return -ENOSYS;
    if (!(ecx & HYPERVISOR_PRESENT))
        return 0;
    __cpuid(HYPERVISOR_LEAF, eax, ebx, ecx, edx);
    seconds[0] = ebx;
    seconds[1] = ecx;
    seconds[2] = edx;
    return 0;
}
#else
int32_t probe_hypervisor(int64_t values, double *seconds)
{
    (void)values;
    (void)seconds;
    return -ENOSYS;
}
#endif
