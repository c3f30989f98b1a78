/* The part of NVIDIA's driver API that the loops call, and what they are told to do. Python finds the functions in the
 * library that it has loaded (harness/agent/cuda_loops.py keeps the same order), so nothing here depends on a toolkit,
 * on a header of NVIDIA's, or on how an operating system loads libraries.
 */
#ifndef OVERHEAD_CUDA_H
#define OVERHEAD_CUDA_H

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define CUDA_CALL __stdcall
#else
#define CUDA_CALL
#endif

#define CUDA_SUCCESS 0
#define CUDA_NOT_READY 600

typedef void *cuda_handle_t;      /* a context, stream, event, kernel or graph */
typedef uint64_t cuda_address_t;  /* in the device's memory */

typedef struct cuda_driver {
    int (CUDA_CALL *context_get_current)(cuda_handle_t *context);
    int (CUDA_CALL *context_set_current)(cuda_handle_t context);
    int (CUDA_CALL *launch_kernel)(cuda_handle_t kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                                   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                                   cuda_handle_t stream, void **parameters, void **extra);
    int (CUDA_CALL *graph_launch)(cuda_handle_t graph, cuda_handle_t stream);
    int (CUDA_CALL *copy_to_device)(cuda_address_t to, const void *from, size_t bytes, cuda_handle_t stream);
    int (CUDA_CALL *copy_to_host)(void *to, cuda_address_t from, size_t bytes, cuda_handle_t stream);
    int (CUDA_CALL *copy_on_device)(cuda_address_t to, cuda_address_t from, size_t bytes, cuda_handle_t stream);
    int (CUDA_CALL *copy_to_peer)(cuda_address_t to, cuda_handle_t to_context, cuda_address_t from,
                                  cuda_handle_t from_context, size_t bytes, cuda_handle_t stream);
    int (CUDA_CALL *event_record)(cuda_handle_t event, cuda_handle_t stream);
    int (CUDA_CALL *event_query)(cuda_handle_t event);
    int (CUDA_CALL *stream_query)(cuda_handle_t stream);
    int (CUDA_CALL *stream_synchronize)(cuda_handle_t stream);
    int (CUDA_CALL *memory_allocate)(cuda_address_t *address, size_t bytes);
    int (CUDA_CALL *memory_free)(cuda_address_t address);
    int (CUDA_CALL *memory_allocate_async)(cuda_address_t *address, size_t bytes, cuda_handle_t stream);
    int (CUDA_CALL *memory_free_async)(cuda_address_t address, cuda_handle_t stream);
    int (CUDA_CALL *host_allocate)(void **memory, size_t bytes, unsigned flags);
    int (CUDA_CALL *host_free)(void *memory);
    int (CUDA_CALL *host_register)(void *memory, size_t bytes, unsigned flags);
    int (CUDA_CALL *host_unregister)(void *memory);
} cuda_driver_t;

enum cuda_kind {
    CUDA_LAUNCH,         /* `handle` with `parameters`: one thread */
    CUDA_GRAPH,          /* `handle` */
    CUDA_TO_DEVICE,      /* `bytes` from host address `source` to device address `destination` */
    CUDA_TO_HOST,
    CUDA_ON_DEVICE,
    CUDA_TO_PEER,        /* between the contexts `handle` (source) and `parameters` (destination) */
    CUDA_RECORD,         /* event `handle` */
    CUDA_EXPECT_PENDING, /* event `handle` must not have come yet: -EAGAIN if it has */
};

typedef struct cuda_operation {
    int64_t kind;
    cuda_handle_t stream;
    cuda_handle_t handle;
    void *parameters;
    uint64_t destination;
    uint64_t source;
    uint64_t bytes;
} cuda_operation_t;

enum cuda_memory {
    CUDA_DEVICE_MEMORY, /* cuMemAlloc, cuMemFree */
    CUDA_POOL_MEMORY,   /* cuMemAllocAsync, cuMemFreeAsync: of the device's default pool */
    CUDA_HOST_MEMORY,   /* cuMemHostAlloc, cuMemFreeHost: pinned */
    CUDA_REGISTERED,    /* cuMemHostRegister, cuMemHostUnregister of memory that the caller owns */
};

#endif
