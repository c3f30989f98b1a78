/* The simulated CUDA driver's own: objects behind the handles, the call in progress, the timeline. */
#ifndef CUDA_DRIVER_H
#define CUDA_DRIVER_H

#include "simulated.h"

typedef unsigned long long CUdeviceptr;

/* ---- call.c: errors, and what every call begins and ends with ---------------------------------------------------- */

/* name, number, description */
#define ERRORS(X)                                                                                                      \
    X(CUDA_SUCCESS, 0, "no error")                                                                                     \
    X(CUDA_ERROR_INVALID_VALUE, 1, "invalid argument")                                                                 \
    X(CUDA_ERROR_OUT_OF_MEMORY, 2, "out of memory")                                                                    \
    X(CUDA_ERROR_NOT_INITIALIZED, 3, "initialization error")                                                           \
    X(CUDA_ERROR_DEINITIALIZED, 4, "driver shutting down")                                                             \
    X(CUDA_ERROR_NO_DEVICE, 100, "no CUDA-capable device is detected")                                                 \
    X(CUDA_ERROR_INVALID_DEVICE, 101, "invalid device ordinal")                                                        \
    X(CUDA_ERROR_INVALID_IMAGE, 200, "device kernel image is invalid")                                                 \
    X(CUDA_ERROR_INVALID_CONTEXT, 201, "invalid device context")                                                       \
    X(CUDA_ERROR_NO_BINARY_FOR_GPU, 209, "no kernel image is available for execution on the device")                   \
    X(CUDA_ERROR_ECC_UNCORRECTABLE, 214, "uncorrectable ECC error encountered")                                        \
    X(CUDA_ERROR_PEER_ACCESS_UNSUPPORTED, 217, "peer access is not supported between these two devices")               \
    X(CUDA_ERROR_INVALID_PTX, 218, "a PTX JIT compilation failed")                                                     \
    X(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, 222, "the provided PTX was compiled with an unsupported toolchain.")         \
    X(CUDA_ERROR_OPERATING_SYSTEM, 304, "OS call failed or operation not supported on this OS")                        \
    X(CUDA_ERROR_INVALID_HANDLE, 400, "invalid resource handle")                                                       \
    X(CUDA_ERROR_NOT_FOUND, 500, "named symbol not found")                                                             \
    X(CUDA_ERROR_NOT_READY, 600, "device not ready")                                                                   \
    X(CUDA_ERROR_ILLEGAL_ADDRESS, 700, "an illegal memory access was encountered")                                     \
    X(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, 701, "too many resources requested for launch")                              \
    X(CUDA_ERROR_LAUNCH_TIMEOUT, 702, "the launch timed out and was terminated")                                       \
    X(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED, 704, "peer access is already enabled")                                   \
    X(CUDA_ERROR_ASSERT, 710, "device-side assert triggered")                                                          \
    X(CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED, 712, "part or all of the requested memory range is already mapped")   \
    X(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED, 713, "pointer does not correspond to a registered memory region")         \
    X(CUDA_ERROR_ILLEGAL_INSTRUCTION, 715, "an illegal instruction was encountered")                                   \
    X(CUDA_ERROR_MISALIGNED_ADDRESS, 716, "misaligned address")                                                        \
    X(CUDA_ERROR_LAUNCH_FAILED, 719, "unspecified launch failure")                                                     \
    X(CUDA_ERROR_NOT_PERMITTED, 800, "operation not permitted")                                                        \
    X(CUDA_ERROR_NOT_SUPPORTED, 801, "operation not supported")                                                        \
    X(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 900, "operation not permitted when stream is capturing")                  \
    X(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, 903, "capture was not ended in the same stream as it began")                \
    X(CUDA_ERROR_ILLEGAL_STATE, 401, "the operation cannot be performed in the present state")                         \
    X(CUDA_ERROR_UNKNOWN, 999, "unknown error")

typedef enum {
#define MEMBER(name, number, description) name = number,
    ERRORS(MEMBER)
#undef MEMBER
} CUresult;

/* One call of the interface: it returns at `until`, which grows as costs are charged. */
struct call {
    double until;
    CUresult result;
};

enum need { NEED_NOTHING, NEED_INIT, NEED_CONTEXT };

/* Begin a call: lock, read the settings, strike planted faults. False, unlocked and with `call->result`, where the
 * call fails at once. */
bool call_enter(struct call *call, const char *function, enum need need);
/* End a call: unlock, wait until its cost has been paid, return `result`. */
CUresult leave(const struct call *call, CUresult result);
static inline void charge(struct call *call, double nanoseconds)
{
    call->until += nanoseconds;
}

#define ENTER(need)                                                                                                    \
    struct call call;                                                                                                  \
    if (!call_enter(&call, __func__, need))                                                                            \
        return call.result;

extern bool initialized;
extern CUresult sticky; /* the error that made the contexts unusable, which every later call returns */

/* ---- objects.c: handles ------------------------------------------------------------------------------------------ */

enum kind { DEAD, CONTEXT, MODULE, FUNCTION, STREAM, EVENT, GRAPH, GRAPH_EXEC, KINDS };

/* What each handle points to begins with this. A dead object is kept and used again, never given back to the system:
 * a handle that was destroyed is told from a live one. */
struct object {
    enum kind kind; /* DEAD once it is over */
    enum kind born;
    struct context *context;
};

struct stream {
    struct object object;
    struct item *first, *last; /* enqueued, not ended; in order */
    struct stream *next_busy;
    bool busy;
    bool non_blocking; /* does not wait for the context's default stream */
    struct graph *capture;
};

struct context {
    struct object object;
    struct context *previous; /* current before this one was created */
    struct stream *legacy;    /* the default stream */
    int device;
    unsigned flags;
    struct item *held, *last_held; /* WDDM: enqueued, not submitted */
    int held_launches;
    bool peers[DEVICES_MAX];
};

struct event {
    struct object object;
    uint64_t records, done; /* how often recorded, how often reached; they only grow */
    double time;            /* when reached last */
    bool recorded, blocking, untimed;
};

struct module {
    struct object object;
    char *image;
};

struct function {
    struct object object;
    struct module *module;
    enum kernel { KERNEL_OTHER, KERNEL_SPIN, KERNEL_FMA } kernel;
};

struct graph {
    struct object object;
    struct item *first, *last;
};

/* A new object, zeroed but for what a dead one must keep; NULL when memory is out. */
void *object_new(enum kind kind, struct context *context);
/* Whether the handle is a live object of that kind. */
bool is_live(const void *handle, enum kind kind);
void object_end(void *handle);
void objects_end_of(const struct context *context); /* NULL: all */

/* ---- device.c ---------------------------------------------------------------------------------------------------- */

struct context *current_context(void);
void device_reset(void);

/* ---- timeline.c: the device as a simulation of discrete events --------------------------------------------------- */

enum engine { COMPUTE, TO_DEVICE, TO_HOST, PEER, ENGINES };

enum item_kind {
    WORK,   /* occupies an engine */
    RECORD, /* an event is reached */
    WAIT,   /* until `event` has been reached `record` times */
    FREE    /* memory is given back */
};

struct item {
    enum item_kind kind;
    enum engine engine;
    double ready;       /* cannot start before */
    double setup, work; /* nanoseconds left; `work` alone is slowed by what runs beside it */
    void *to;           /* WORK: bytes that are moved when it starts, or set to `fill` where `from` is NULL */
    const void *from;
    size_t bytes;
    int fill;
    struct event *event;
    uint64_t record;
    uint64_t order;
    struct item *next, *next_held;
};

void timeline_reset(void);
/* Append a copy of `item` to the stream; it is ready when the call returns, under WDDM when it has been submitted.
 * A stream that captures gets it into its graph instead. */
CUresult enqueue(struct call *call, struct stream *stream, struct item item);
/* Let simulated time pass until the present. */
void timeline_advance(void);
/* Nanoseconds until something begins or ends, infinity if nothing does; of the present state. */
double timeline_next(void);
/* Whether everything enqueued up to `order` is over: in the stream, or where that is NULL in the context. */
bool is_over(const struct stream *stream, const struct context *context, uint64_t order);
uint64_t newest_order(void);

/* ---- stream.c: submission and synchronization -------------------------------------------------------------------- */

/* The stream behind a handle, NULL for an invalid one: the context's own for the default stream. */
struct stream *stream_of(struct stream *handle);
/* WDDM: submit what is held, at its planted cost. */
void flush(struct call *call, struct context *context);
/* Count a launch that is held, and submit when the batch is full. */
void batch_launch(struct call *call, struct context *context);
/* Submit, and wait until everything enqueued is over: in the stream, or in the whole context. Charges no more. */
void wait_for_stream(struct call *call, const struct stream *stream);
void wait_for_context(struct call *call, struct context *context);

/* ---- memory.c ---------------------------------------------------------------------------------------------------- */

bool is_device_range(CUdeviceptr start, size_t bytes);
bool is_pinned(const void *start, size_t bytes);
void memory_release(CUdeviceptr start);
void memory_reset(const struct context *context); /* NULL: all, pinned memory too */

/* ---- launch.c ---------------------------------------------------------------------------------------------------- */

void modules_start(void);
void modules_reset(void);

/* ---- graph.c ----------------------------------------------------------------------------------------------------- */

CUresult capture_item(struct graph *graph, struct item item);
void graph_clear(struct graph *graph);

#endif
