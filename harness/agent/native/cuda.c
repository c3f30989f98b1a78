/* Loops over calls of the CUDA driver. The caller has made the context, and made it current on this thread. */
#include "cuda.h"

#include <errno.h>
#include <stdatomic.h>

#include "clock.h"
#include "overhead_probe.h"
#include "threads.h"

#ifdef _WIN32
#define give_way() SwitchToThread()
#else
#include <sched.h>
#define give_way() sched_yield()
#endif

/* A call that failed, as what a loop returns: which of the driver's functions, and its CUresult. */
#define FAILURE(function, result) \
    (-(PROBE_CUDA_FAILURE + 1000 * (int32_t)(offsetof(cuda_driver_t, function) / sizeof(void (*)(void))) + (result)))

/* Calls one of the driver's functions; ends the calling function with the failure if there is one. */
#define TRY(driver, function, ...)                     \
    do {                                               \
        int result_ = (driver)->function(__VA_ARGS__); \
        if (result_ != CUDA_SUCCESS)                   \
            return FAILURE(function, result_);         \
    } while (0)

int32_t probe_cuda_call(const cuda_driver_t *driver, int64_t samples, int64_t calls, double *seconds)
{
    if (calls < 1)
        return -EINVAL;
    for (int64_t sample = 0; sample < samples; sample++) {
        cuda_handle_t context;
        int64_t start = clock_now();
        for (int64_t call = 0; call < calls; call++)
            TRY(driver, context_get_current, &context);
        seconds[sample] = clock_seconds(clock_now() - start) / (double)calls;
    }
    return 0;
}

static int32_t expect_pending(const cuda_driver_t *driver, cuda_handle_t event)
{
    int result = driver->event_query(event);
    if (result == CUDA_NOT_READY)
        return 0;
    return result == CUDA_SUCCESS ? -EAGAIN : FAILURE(event_query, result);
}

static int32_t enqueue(const cuda_driver_t *driver, const cuda_operation_t *operation)
{
    const cuda_operation_t *o = operation;
    switch (o->kind) {
    case CUDA_LAUNCH:
        TRY(driver, launch_kernel, o->handle, 1, 1, 1, 1, 1, 1, 0, o->stream, o->parameters, NULL);
        return 0;
    case CUDA_GRAPH:
        TRY(driver, graph_launch, o->handle, o->stream);
        return 0;
    case CUDA_TO_DEVICE:
        TRY(driver, copy_to_device, o->destination, (const void *)(uintptr_t)o->source, o->bytes, o->stream);
        return 0;
    case CUDA_TO_HOST:
        TRY(driver, copy_to_host, (void *)(uintptr_t)o->destination, o->source, o->bytes, o->stream);
        return 0;
    case CUDA_ON_DEVICE:
        TRY(driver, copy_on_device, o->destination, o->source, o->bytes, o->stream);
        return 0;
    case CUDA_TO_PEER:
        TRY(driver, copy_to_peer, o->destination, o->parameters, o->source, o->handle, o->bytes, o->stream);
        return 0;
    case CUDA_RECORD:
        TRY(driver, event_record, o->handle, o->stream);
        return 0;
    case CUDA_EXPECT_PENDING:
        return expect_pending(driver, o->handle);
    default:
        return -EINVAL;
    }
}

/* Hands over to the device what the driver may have kept back (WDDM does); the answer itself is of no interest. */
static int32_t flush(const cuda_driver_t *driver, cuda_handle_t stream)
{
    int result = driver->stream_query(stream);
    return result == CUDA_SUCCESS || result == CUDA_NOT_READY ? 0 : FAILURE(stream_query, result);
}

static int32_t enqueue_all(const cuda_driver_t *driver, const cuda_operation_t *operations, int64_t count, int32_t flushed)
{
    for (int64_t i = 0; i < count; i++) {
        int32_t status = enqueue(driver, &operations[i]);
        if (!status && flushed)
            status = flush(driver, operations[i].stream);
        if (status)
            return status;
    }
    return 0;
}

/* Operations of one stream stand side by side, so each stream is waited for once. */
static int32_t synchronize(const cuda_driver_t *driver, const cuda_operation_t *operations, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (i + 1 == count || operations[i].stream != operations[i + 1].stream)
            TRY(driver, stream_synchronize, operations[i].stream);
    return 0;
}

int32_t probe_cuda_enqueue(const cuda_driver_t *driver, int64_t samples, const cuda_operation_t *operations,
                           int64_t count, int64_t repeats, int32_t flushed, double *seconds)
{
    if (count < 1 || repeats < 1)
        return -EINVAL;
    for (int64_t sample = 0; sample < samples; sample++) {
        int32_t status = 0;
        int64_t start = clock_now();
        for (int64_t repeat = 0; repeat < repeats && !status; repeat++)
            status = enqueue_all(driver, operations, count, flushed);
        int64_t enqueued = clock_now();
        int32_t ended = synchronize(driver, operations, count);
        int64_t end = clock_now();
        if (status || ended)
            return status ? status : ended;
        seconds[2 * sample] = clock_seconds(enqueued - start);
        seconds[2 * sample + 1] = clock_seconds(end - start);
    }
    return 0;
}

int32_t probe_cuda_each(const cuda_driver_t *driver, int64_t samples, const cuda_operation_t *operation, int64_t batch,
                        int32_t flushed, double *seconds)
{
    if (batch < 1)
        return -EINVAL;
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t start = clock_now();
        int32_t status = enqueue_all(driver, operation, 1, flushed);
        seconds[sample] = clock_seconds(clock_now() - start);
        if (status)
            return status;
        if ((sample + 1) % batch == 0 || sample + 1 == samples)
            TRY(driver, stream_synchronize, operation->stream);
    }
    return 0;
}

typedef struct {
    cuda_address_t address;
    void *memory;
} allocation_t;

static int32_t allocate(const cuda_driver_t *driver, int32_t kind, uint64_t bytes, cuda_handle_t stream,
                        allocation_t *made)
{
    switch (kind) {
    case CUDA_DEVICE_MEMORY:
        TRY(driver, memory_allocate, &made->address, bytes);
        return 0;
    case CUDA_POOL_MEMORY:
        TRY(driver, memory_allocate_async, &made->address, bytes, stream);
        return 0;
    case CUDA_HOST_MEMORY:
        TRY(driver, host_allocate, &made->memory, bytes, 0);
        return 0;
    case CUDA_REGISTERED:
        TRY(driver, host_register, made->memory, bytes, 0);
        return 0;
    default:
        return -EINVAL;
    }
}

static int32_t release(const cuda_driver_t *driver, int32_t kind, cuda_handle_t stream, const allocation_t *made)
{
    switch (kind) {
    case CUDA_DEVICE_MEMORY:
        TRY(driver, memory_free, made->address);
        return 0;
    case CUDA_POOL_MEMORY:
        TRY(driver, memory_free_async, made->address, stream);
        return 0;
    case CUDA_HOST_MEMORY:
        TRY(driver, host_free, made->memory);
        return 0;
    default:
        TRY(driver, host_unregister, made->memory);
        return 0;
    }
}

int32_t probe_cuda_allocate(const cuda_driver_t *driver, int64_t samples, int32_t kind, uint64_t bytes,
                            cuda_handle_t stream, void *memory, double *seconds)
{
    for (int64_t sample = 0; sample < samples; sample++) {
        allocation_t made = {0, memory};
        int64_t start = clock_now();
        int32_t status = allocate(driver, kind, bytes, stream, &made);
        int64_t allocated = clock_now();
        if (!status)
            status = release(driver, kind, stream, &made);
        int64_t end = clock_now();
        if (status)
            return status;
        seconds[2 * sample] = clock_seconds(allocated - start);
        seconds[2 * sample + 1] = clock_seconds(end - allocated);
    }
    TRY(driver, stream_synchronize, stream);
    return 0;
}

/* The thread beside the caller's, which carries out its operation once for each sample. */
typedef struct {
    const cuda_driver_t *driver;
    const cuda_operation_t *operation;
    cuda_handle_t context;
    _Atomic int64_t begun; /* samples; -1: end */
    _Atomic int64_t done;
    int32_t status;
} partner_t;

static int32_t carry_out(const cuda_driver_t *driver, const cuda_operation_t *operation)
{
    int32_t status = enqueue(driver, operation);
    if (!status)
        TRY(driver, stream_synchronize, operation->stream);
    return status;
}

static int32_t enter(const cuda_driver_t *driver, cuda_handle_t context)
{
    TRY(driver, context_set_current, context);
    return 0;
}

static THREAD_RESULT accompany(void *argument)
{
    partner_t *partner = argument;
    partner->status = enter(partner->driver, partner->context);
    for (int64_t sample = 1;; sample++) {
        int64_t begun = atomic_load(&partner->begun);
        while (begun >= 0 && begun < sample) {
            give_way();
            begun = atomic_load(&partner->begun);
        }
        if (begun < 0)
            return 0;
        if (!partner->status)
            partner->status = carry_out(partner->driver, partner->operation);
        atomic_store(&partner->done, sample);
    }
}

int32_t probe_cuda_both(const cuda_driver_t *driver, int64_t samples, cuda_handle_t context,
                        const cuda_operation_t *operations, double *seconds)
{
    partner_t partner = {.driver = driver, .operation = &operations[1], .context = context};
    thread_t thread;
    int error = thread_start(&thread, accompany, &partner);
    if (error)
        return -error;
    int32_t status = 0;
    for (int64_t sample = 0; sample < samples && !status; sample++) {
        int64_t start = clock_now();
        atomic_store(&partner.begun, sample + 1);
        status = carry_out(driver, &operations[0]);
        while (atomic_load(&partner.done) <= sample)
            give_way();
        seconds[sample] = clock_seconds(clock_now() - start);
        if (!status)
            status = partner.status;
    }
    atomic_store(&partner.begun, -1);
    thread_join(thread);
    return status;
}
