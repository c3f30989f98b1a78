/* Page faults: the first touch of anonymous memory, for which the kernel finds, clears and maps a page. */
#include "overhead_probe.h"

#include <errno.h>

#include "clock.h"
#include "region.h"

static void touch(const region_t *region, int64_t page)
{
    for (int64_t at = 0; at < region->bytes; at += page)
        *(volatile char *)(region->data + at) = 1;
}

int32_t probe_faults(int64_t samples, int64_t bytes, int64_t page, int32_t pages, int32_t touched, int64_t *huge_bytes,
                     double *seconds)
{
    if (samples < 1 || page < 1 || bytes < page)
        return -EINVAL;
    for (int64_t sample = 0; sample < samples; sample++) {
        region_t region;
        int32_t status = region_map(&region, bytes, (pages_t)pages, -1);
        if (status)
            return status;
        if (touched)
            touch(&region, page);
        int64_t start = clock_now();
        touch(&region, page);
        seconds[sample] = clock_seconds(clock_now() - start) / (double)((bytes + page - 1) / page);
        huge_bytes[sample] = region_huge_bytes(&region);
        region_unmap(&region);
    }
    return 0;
}
