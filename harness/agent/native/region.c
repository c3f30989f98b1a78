#define _GNU_SOURCE
#include "region.h"

#include <errno.h>
#include <stddef.h>

enum { ALIGNMENT = 2 << 20 }; /* a huge page of x86-64, and of 64-bit ARM with pages of 4 KiB */

#ifdef _WIN32

#include <windows.h>

#include <psapi.h>

/* Large pages want a privilege that users do not have. */
int32_t region_map(region_t *region, int64_t bytes, pages_t pages, int32_t node)
{
    enum { FLAGS = MEM_RESERVE | MEM_COMMIT };
    if (pages == PAGES_HUGE)
        return -ENOTSUP;
    ULONG highest;
    if (node >= 0 && (!GetNumaHighestNodeNumber(&highest) || (ULONG)node > highest))
        return -EINVAL;
    region->mapping = node < 0 ? VirtualAlloc(NULL, (SIZE_T)bytes, FLAGS, PAGE_READWRITE)
                               : VirtualAllocExNuma(GetCurrentProcess(), NULL, (SIZE_T)bytes, FLAGS, PAGE_READWRITE,
                                                    (DWORD)node);
    region->data = region->mapping;
    region->bytes = region->mapped = bytes;
    return region->mapping ? 0 : -ENOMEM;
}

void region_unmap(const region_t *region)
{
    VirtualFree(region->mapping, 0, MEM_RELEASE);
}

int64_t region_huge_bytes(const region_t *region)
{
    (void)region;
    return 0;
}

int32_t region_node(const region_t *region)
{
    PSAPI_WORKING_SET_EX_INFORMATION page = {.VirtualAddress = region->data};
    if (!QueryWorkingSetEx(GetCurrentProcess(), &page, sizeof page) || !page.VirtualAttributes.Valid)
        return -ENOTSUP;
    return (int32_t)page.VirtualAttributes.Node;
}

#else

#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/mempolicy.h, by number: the kernel's headers need not be there. */
enum { BIND = 2, NODE_OF_ADDRESS = 1 | 2 };
enum { NODES = 1024 };

/* A kernel without transparent huge pages refuses both pieces of advice; what was got is asked for afterwards. */
static void advise(const region_t *region, pages_t pages)
{
    if (pages != PAGES_DEFAULT)
        madvise(region->data, (size_t)region->bytes, pages == PAGES_HUGE ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

static int32_t bind(const region_t *region, int32_t node)
{
    enum { BITS = 8 * sizeof(unsigned long) };
    unsigned long nodes[NODES / BITS] = {0};
    if (node >= NODES)
        return -EINVAL;
    nodes[node / BITS] = 1ul << node % BITS;
    /* The kernel takes one from the number of nodes. */
    if (syscall(SYS_mbind, region->data, (unsigned long)region->bytes, BIND, nodes, (unsigned long)NODES + 1, 0u) < 0)
        return -errno;
    return 0;
}

int32_t region_map(region_t *region, int64_t bytes, pages_t pages, int32_t node)
{
    region->bytes = bytes;
    region->mapped = bytes + ALIGNMENT;
    void *mapping = mmap(NULL, (size_t)region->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return -errno;
    region->mapping = mapping;
    region->data = (char *)(((uintptr_t)mapping + ALIGNMENT - 1) & -(uintptr_t)ALIGNMENT);
    advise(region, pages);
    int32_t status = node >= 0 ? bind(region, node) : 0;
    if (status < 0)
        region_unmap(region);
    return status;
}

void region_unmap(const region_t *region)
{
    munmap(region->mapping, (size_t)region->mapped);
}

/* Advice and binding split a mapping, so several entries of smaps may lie in the region. */
int64_t region_huge_bytes(const region_t *region)
{
    FILE *smaps = fopen("/proc/self/smaps", "re");
    if (!smaps)
        return -errno;
    uintptr_t first = (uintptr_t)region->data, end = first + (uintptr_t)region->bytes;
    char line[512];
    int inside = 0;
    int64_t found = 0, kilobytes;
    while (fgets(line, sizeof line, smaps)) {
        uintptr_t from, to;
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &from, &to) == 2)
            inside = from < end && to > first;
        else if (inside && sscanf(line, "AnonHugePages: %" SCNd64 " kB", &kilobytes) == 1)
            found += kilobytes * 1024;
    }
    fclose(smaps);
    return found;
}

int32_t region_node(const region_t *region)
{
    int node = -1;
    if (syscall(SYS_get_mempolicy, &node, NULL, 0ul, region->data, (unsigned long)NODE_OF_ADDRESS) < 0)
        return -errno;
    return node;
}

#endif
