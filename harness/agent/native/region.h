/* Anonymous memory of its own mapping, whose page size and NUMA node are chosen and can be asked for afterwards. */
#ifndef OVERHEAD_REGION_H
#define OVERHEAD_REGION_H

#include <stdint.h>

typedef enum {
    PAGES_DEFAULT = 0, /* what the system gives without being asked */
    PAGES_SMALL = 1,   /* no transparent huge pages */
    PAGES_HUGE = 2,    /* transparent huge pages, where the kernel has them to give */
} pages_t;

typedef struct {
    char *data; /* aligned to a huge page */
    int64_t bytes;
    char *mapping; /* all that was mapped */
    int64_t mapped;
} region_t;

/* Maps at least `bytes`; nothing is touched. `node` binds the pages to a NUMA node, -1 leaves them where they are first
 * touched. Returns 0 or a negative errno: what mmap and mbind say; -ENOTSUP where there is no such choice. */
int32_t region_map(region_t *region, int64_t bytes, pages_t pages, int32_t node);
void region_unmap(const region_t *region);

/* How many bytes of a touched region lie on huge pages, or a negative errno where the system doesn't tell. */
int64_t region_huge_bytes(const region_t *region);
/* The node that the first page lies on, once touched, or a negative errno. */
int32_t region_node(const region_t *region);

#endif
