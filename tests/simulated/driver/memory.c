/* Memory of the devices (ordinary memory of this process) and pinned memory of the host. */
#include <stdlib.h>

#include "cuda_driver.h"

#define MIB 1048576.0

/* One range of memory. Few enough at a time to be searched from the newest on. */
struct range {
    char *start;
    size_t bytes;
    struct context *context;
    bool owned; /* pinned memory that was allocated here, not only registered */
};

struct ranges {
    struct range *items;
    size_t count, room;
};

static struct ranges device_memory, pinned;

static bool ranges_add(struct ranges *ranges, struct range range)
{
    if (ranges->count == ranges->room) {
        size_t room = ranges->room > 0 ? 2 * ranges->room : 64;
        struct range *items = realloc(ranges->items, room * sizeof *items);
        if (items == NULL)
            return false;
        ranges->items = items;
        ranges->room = room;
    }
    ranges->items[ranges->count++] = range;
    return true;
}

/* The range that holds these bytes, or NULL. */
static struct range *ranges_find(const struct ranges *ranges, const void *start, size_t bytes)
{
    uintptr_t wanted = (uintptr_t)start;
    for (size_t i = ranges->count; i-- > 0;) {
        uintptr_t first = (uintptr_t)ranges->items[i].start;
        if (wanted >= first && wanted - first <= ranges->items[i].bytes
            && bytes <= ranges->items[i].bytes - (wanted - first))
            return &ranges->items[i];
    }
    return NULL;
}

static struct range *ranges_at(const struct ranges *ranges, const void *start)
{
    struct range *found = ranges_find(ranges, start, 0);
    return found != NULL && found->start == start ? found : NULL;
}

static void ranges_remove(struct ranges *ranges, struct range *range)
{
    *range = ranges->items[--ranges->count];
}

static bool ranges_overlap(const struct ranges *ranges, const char *start, size_t bytes)
{
    for (size_t i = 0; i < ranges->count; i++)
        if (start < ranges->items[i].start + ranges->items[i].bytes && ranges->items[i].start < start + bytes)
            return true;
    return false;
}

static double ranges_bytes(const struct ranges *ranges, int device)
{
    double sum = 0;
    for (size_t i = 0; i < ranges->count; i++)
        if (device < 0 || ranges->items[i].context->device == device)
            sum += (double)ranges->items[i].bytes;
    return sum;
}

bool is_device_range(CUdeviceptr start, size_t bytes)
{
    return ranges_find(&device_memory, (const void *)(uintptr_t)start, bytes) != NULL;
}

bool is_pinned(const void *start, size_t bytes)
{
    return ranges_find(&pinned, start, bytes) != NULL;
}

void memory_release(CUdeviceptr start)
{
    struct range *range = ranges_at(&device_memory, (const void *)(uintptr_t)start);
    if (range == NULL)
        return;
    pages_free(range->start);
    ranges_remove(&device_memory, range);
}

static void ranges_reset(struct ranges *ranges, const struct context *context, bool owned)
{
    for (size_t i = ranges->count; i-- > 0;) {
        struct range *range = &ranges->items[i];
        if (context != NULL && range->context != context)
            continue;
        if (owned || range->owned)
            pages_free(range->start);
        ranges_remove(ranges, range);
    }
}

void memory_reset(const struct context *context)
{
    ranges_reset(&device_memory, context, true);
    ranges_reset(&pinned, context, false);
}

/* ---- the device's ---- */

static CUresult allocate(struct call *call, CUdeviceptr *start, size_t bytes, double cost)
{
    struct context *context = current_context();
    if (bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    charge(call, cost);
    if (ranges_bytes(&device_memory, context->device) + (double)bytes > planted.memory_mib * MIB)
        return CUDA_ERROR_OUT_OF_MEMORY;
    void *pages = pages_new(bytes);
    if (pages == NULL || !ranges_add(&device_memory, (struct range){pages, bytes, context, false})) {
        pages_free(pages);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    *start = (CUdeviceptr)(uintptr_t)pages;
    return CUDA_SUCCESS;
}

EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *start, size_t bytes)
{
    ENTER(NEED_CONTEXT)
    double cost = planted.alloc_ns + planted.alloc_mib_ns * (double)bytes / MIB;
    return leave(&call, allocate(&call, start, bytes, cost));
}

/* Waits for the context's work, as the real one does. */
EXPORT CUresult cuMemFree_v2(CUdeviceptr start)
{
    ENTER(NEED_CONTEXT)
    const struct range *range = ranges_at(&device_memory, (const void *)(uintptr_t)start);
    if (start == 0)
        return leave(&call, CUDA_SUCCESS);
    if (range == NULL)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    double mebibytes = (double)range->bytes / MIB;
    wait_for_context(&call, range->context);
    charge(&call, planted.free_ns + planted.free_mib_ns * mebibytes);
    memory_release(start);
    return leave(&call, CUDA_SUCCESS);
}

/* The memory is there at once; that it may be used in stream order only is not checked. */
EXPORT CUresult cuMemAllocAsync(CUdeviceptr *start, size_t bytes, struct stream *handle)
{
    ENTER(NEED_CONTEXT)
    struct stream *stream = stream_of(handle);
    if (stream == NULL)
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    if (stream->capture != NULL)
        return leave(&call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    return leave(&call, allocate(&call, start, bytes, planted.async_alloc_ns));
}

EXPORT CUresult cuMemFreeAsync(CUdeviceptr start, struct stream *handle)
{
    ENTER(NEED_CONTEXT)
    struct stream *stream = stream_of(handle);
    void *pages = (void *)(uintptr_t)start;
    if (stream == NULL)
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    if (stream->capture != NULL)
        return leave(&call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    if (ranges_at(&device_memory, pages) == NULL)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    charge(&call, planted.async_free_ns);
    return leave(&call, enqueue(&call, stream, (struct item){.kind = FREE, .to = pages}));
}

EXPORT CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    ENTER(NEED_CONTEXT)
    timeline_advance();
    *total = (size_t)(planted.memory_mib * MIB);
    *free_bytes = *total - (size_t)ranges_bytes(&device_memory, current_context()->device);
    return leave(&call, CUDA_SUCCESS);
}

/* ---- the host's ---- */

static bool is_beyond_wall(size_t bytes)
{
    double wall = planted.pinned_wall_mib * MIB;
    return wall > 0 && ranges_bytes(&pinned, -1) + (double)bytes > wall;
}

EXPORT CUresult cuMemHostAlloc(void **start, size_t bytes, unsigned flags)
{
    ENTER(NEED_CONTEXT)
    enum { KNOWN_FLAGS = 7 }; /* portable, mapped, write-combined: no difference here */
    if (bytes == 0 || (flags & ~(unsigned)KNOWN_FLAGS) != 0)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    charge(&call, planted.host_alloc_ns + planted.host_alloc_mib_ns * (double)bytes / MIB);
    void *pages = is_beyond_wall(bytes) ? NULL : pages_new(bytes);
    if (pages == NULL || !ranges_add(&pinned, (struct range){pages, bytes, current_context(), true})) {
        pages_free(pages);
        return leave(&call, CUDA_ERROR_OUT_OF_MEMORY);
    }
    *start = pages;
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuMemFreeHost(void *start)
{
    ENTER(NEED_CONTEXT)
    struct range *range = ranges_at(&pinned, start);
    if (range == NULL || !range->owned)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    wait_for_context(&call, range->context);
    charge(&call, planted.host_free_ns);
    pages_free(range->start);
    ranges_remove(&pinned, range);
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuMemHostRegister_v2(void *start, size_t bytes, unsigned flags)
{
    ENTER(NEED_CONTEXT)
    (void)flags;
    if (start == NULL || bytes == 0)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    if (ranges_overlap(&pinned, start, bytes))
        return leave(&call, CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
    charge(&call, planted.host_register_ns + planted.host_register_mib_ns * (double)bytes / MIB);
    if (is_beyond_wall(bytes) || !ranges_add(&pinned, (struct range){start, bytes, current_context(), false}))
        return leave(&call, CUDA_ERROR_OUT_OF_MEMORY);
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuMemHostUnregister(void *start)
{
    ENTER(NEED_CONTEXT)
    struct range *range = ranges_at(&pinned, start);
    if (range == NULL || range->owned)
        return leave(&call, CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    wait_for_context(&call, range->context);
    charge(&call, planted.host_unregister_ns);
    ranges_remove(&pinned, range);
    return leave(&call, CUDA_SUCCESS);
}
