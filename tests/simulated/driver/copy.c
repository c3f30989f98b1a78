/* Copies and memsets: a latency and a bandwidth each, on the engine of their direction. */
#include "cuda_driver.h"

static void *pointer(CUdeviceptr address)
{
    return (void *)(uintptr_t)address;
}

/* 1 byte / (1e9 bytes/s) is 1 ns. */
static struct item copy(enum engine engine, void *to, const void *from, size_t bytes, double latency, double gbps)
{
    return (struct item){.kind = WORK,
                         .engine = engine,
                         .to = to,
                         .from = from,
                         .bytes = bytes,
                         .setup = latency,
                         .work = (double)bytes / gbps};
}

static struct item host_copy(enum engine engine, void *to, const void *from, size_t bytes, bool pageable)
{
    double pinned_latency = engine == TO_DEVICE ? planted.h2d_latency_ns : planted.d2h_latency_ns;
    double pinned_gbps = engine == TO_DEVICE ? planted.h2d_gbps : planted.d2h_gbps;
    double pageable_gbps = engine == TO_DEVICE ? planted.pageable_h2d_gbps : planted.pageable_d2h_gbps;
    double factor = planted.near_cpu >= 0 && current_cpu() != (int)planted.near_cpu ? planted.far_factor : 1;
    return copy(engine, to, from, bytes, pageable ? planted.pageable_latency_ns : pinned_latency,
                factor * (pageable ? pageable_gbps : pinned_gbps));
}

static CUresult submit(struct call *call, struct stream *stream, struct item item, bool wait)
{
    CUresult result = enqueue(call, stream, item);
    if (result == CUDA_SUCCESS && wait)
        wait_for_stream(call, stream);
    return leave(call, result);
}

/* Pageable memory goes through the driver's hands: the call does not return before the data have arrived. */
static CUresult transfer(struct call *call, struct stream *handle, enum engine engine, CUdeviceptr device, void *host,
                         size_t bytes, bool wait)
{
    struct stream *stream = stream_of(handle);
    bool pageable = !is_pinned(host, bytes);
    if (stream == NULL)
        return leave(call, CUDA_ERROR_INVALID_HANDLE);
    if (!is_device_range(device, bytes) || host == NULL)
        return leave(call, CUDA_ERROR_INVALID_VALUE);
    if (stream->capture != NULL && (pageable || wait))
        return leave(call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    if (!pageable)
        charge(call, planted.copy_submit_ns);
    void *to = engine == TO_DEVICE ? pointer(device) : host;
    const void *from = engine == TO_DEVICE ? host : pointer(device);
    return submit(call, stream, host_copy(engine, to, from, bytes, pageable), wait || pageable);
}

EXPORT CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
    ENTER(NEED_CONTEXT)
    return transfer(&call, NULL, TO_DEVICE, to, (void *)(uintptr_t)from, bytes, true);
}

EXPORT CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    ENTER(NEED_CONTEXT)
    return transfer(&call, NULL, TO_HOST, from, to, bytes, true);
}

EXPORT CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, struct stream *stream)
{
    ENTER(NEED_CONTEXT)
    return transfer(&call, stream, TO_DEVICE, to, (void *)(uintptr_t)from, bytes, false);
}

EXPORT CUresult cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, struct stream *stream)
{
    ENTER(NEED_CONTEXT)
    return transfer(&call, stream, TO_HOST, from, to, bytes, false);
}

/* The host waits for none of the following, whether or not they are named Async. */

static CUresult within_device(struct call *call, struct stream *handle, struct item item)
{
    struct stream *stream = stream_of(handle);
    bool readable = item.from == NULL || is_device_range((CUdeviceptr)(uintptr_t)item.from, item.bytes);
    if (stream == NULL)
        return leave(call, CUDA_ERROR_INVALID_HANDLE);
    if (!readable || !is_device_range((CUdeviceptr)(uintptr_t)item.to, item.bytes))
        return leave(call, CUDA_ERROR_INVALID_VALUE);
    charge(call, planted.copy_submit_ns);
    return submit(call, stream, item, false);
}

static struct item device_copy(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    return copy(COMPUTE, pointer(to), pointer(from), bytes, planted.d2d_latency_ns, planted.d2d_gbps);
}

static struct item device_set(CUdeviceptr to, unsigned char value, size_t bytes)
{
    struct item item = copy(COMPUTE, pointer(to), NULL, bytes, planted.d2d_latency_ns, planted.d2d_gbps);
    item.fill = value;
    return item;
}

EXPORT CUresult cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    ENTER(NEED_CONTEXT)
    return within_device(&call, NULL, device_copy(to, from, bytes));
}

EXPORT CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, struct stream *stream)
{
    ENTER(NEED_CONTEXT)
    return within_device(&call, stream, device_copy(to, from, bytes));
}

EXPORT CUresult cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t bytes)
{
    ENTER(NEED_CONTEXT)
    return within_device(&call, NULL, device_set(to, value, bytes));
}

EXPORT CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t bytes, struct stream *stream)
{
    ENTER(NEED_CONTEXT)
    return within_device(&call, stream, device_set(to, value, bytes));
}

/* Without peer access the data go through the host: both directions, one after the other. */
EXPORT CUresult cuMemcpyPeerAsync(CUdeviceptr to, struct context *to_context, CUdeviceptr from,
                                  struct context *from_context, size_t bytes, struct stream *stream)
{
    ENTER(NEED_CONTEXT)
    if (!is_live(to_context, CONTEXT) || !is_live(from_context, CONTEXT))
        return leave(&call, CUDA_ERROR_INVALID_CONTEXT);
    struct item item =
        copy(PEER, pointer(to), pointer(from), bytes, planted.peer_latency_ns, planted.peer_gbps);
    if (planted.peer < 1) {
        item.setup = planted.d2h_latency_ns + planted.h2d_latency_ns;
        item.work = (double)bytes / planted.d2h_gbps + (double)bytes / planted.h2d_gbps;
    }
    return within_device(&call, stream, item);
}
