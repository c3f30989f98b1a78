/* Memory latency: loads of which each gives the address of the next, in random order, so that neither the processor
 * nor a prefetcher can run ahead. As lmbench's lat_mem_rd (McVoy and Staelin, "lmbench: Portable Tools for Performance
 * Analysis", USENIX 1996), but in random order, not with a stride. */
#define _GNU_SOURCE
#include "overhead_probe.h"

#include <errno.h>

#include "affinity.h"
#include "clock.h"
#include "region.h"

typedef struct {
    char *data;
    int64_t lines;
    int64_t size; /* of a line */
} ring_t;

static void **line(const ring_t *ring, int64_t number)
{
    return (void **)(ring->data + number * ring->size);
}

/* splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* A number below `limit`; the bias is below limit / 2^64. */
static int64_t random_below(uint64_t *state, int64_t limit)
{
    return (int64_t)((unsigned __int128)next_random(state) * (uint64_t)limit >> 64);
}

/* One random cycle through all lines: Sattolo, "An algorithm to generate a random cyclic permutation", 1986. */
static void link_lines(const ring_t *ring, uint64_t seed)
{
    for (int64_t i = 0; i < ring->lines; i++)
        *line(ring, i) = line(ring, i);
    for (int64_t i = ring->lines - 1; i > 0; i--) {
        int64_t j = random_below(&seed, i);
        void *swapped = *line(ring, i);
        *line(ring, i) = *line(ring, j);
        *line(ring, j) = swapped;
    }
}

__attribute__((noinline)) static void **follow(void **at, int64_t loads)
{
    for (int64_t load = 0; load < loads; load++)
        at = *(void *volatile *)at;
    return at;
}

/* One time round is warm-up, and a check: back at the start after all lines and not before the last. */
static int32_t check(const ring_t *ring)
{
    void **last = follow(line(ring, 0), ring->lines - 1);
    return last != line(ring, 0) && *last == line(ring, 0) ? 0 : -EIO;
}

static int32_t measure(const ring_t *ring, int64_t samples, int64_t loads, uint64_t seed, double *seconds)
{
    link_lines(ring, seed);
    int32_t status = check(ring);
    void **at = line(ring, 0);
    for (int64_t sample = 0; sample < samples && !status; sample++) {
        int64_t start = clock_now();
        at = follow(at, loads);
        seconds[sample] = clock_seconds(clock_now() - start) / (double)loads;
        status = at ? 0 : -EIO;
    }
    return status;
}

int32_t probe_chase(int64_t samples, int64_t loads, int64_t bytes, int64_t line_bytes, uint64_t seed, int32_t pages,
                    int32_t cpu, int32_t node, int64_t *huge_bytes, double *seconds)
{
    if (samples < 1 || loads < 1 || line_bytes < (int64_t)sizeof(void *) || bytes < 2 * line_bytes)
        return -EINVAL;
    affinity_t affinity;
    region_t region;
    int32_t status = affinity_bind(&affinity, cpu);
    if (status)
        return status;
    status = region_map(&region, bytes, (pages_t)pages, node);
    if (!status) {
        ring_t ring = {region.data, bytes / line_bytes, line_bytes};
        status = measure(&ring, samples, loads, seed, seconds);
        *huge_bytes = region_huge_bytes(&region);
        if (!status && node >= 0 && region_node(&region) != node)
            status = -EIO;
        region_unmap(&region);
    }
    affinity_restore(&affinity);
    return status;
}
