/* Streams, events, submission and synchronization. */
#include "cuda_driver.h"

enum { SCHEDULE_SPIN = 1, SCHEDULE_YIELD = 2, SCHEDULE_BLOCK = 4, SCHEDULE_MASK = 7 };
enum { STREAM_NON_BLOCKING = 1, EVENT_BLOCKING = 1, EVENT_UNTIMED = 2, EVENT_FLAGS = 3 };

struct stream *stream_of(struct stream *handle)
{
    enum { LEGACY = 1 }; /* the interface's other way to name the default stream */
    if (handle == NULL || (uintptr_t)handle == LEGACY)
        return current_context()->legacy;
    return is_live(handle, STREAM) ? handle : NULL;
}

/* ---- submission ---- */

void flush(struct call *call, struct context *context)
{
    if (context->held == NULL)
        return;
    charge(call, planted.wddm_submit_ns);
    for (struct item *item = context->held; item != NULL; item = item->next_held)
        item->ready = call->until;
    context->held = NULL;
    context->held_launches = 0;
}

void batch_launch(struct call *call, struct context *context)
{
    if (planted.wddm_batch > 0 && ++context->held_launches >= planted.wddm_batch)
        flush(call, context);
}

/* ---- waiting ---- */

struct goal {
    const struct stream *stream;
    const struct context *context;
    const struct event *event;
    uint64_t number; /* of the event's record, or the order of what was enqueued last */
};

static bool is_reached(const struct goal *goal)
{
    if (goal->event != NULL)
        return goal->event->done >= goal->number;
    return is_over(goal->stream, goal->context, goal->number);
}

/* Pass the time outside the lock until something changes, but not so long that other threads' work is overlooked.
 * Blocking sleeps through most of a long wait and spins through its end: what is planted is no scheduler's delay. */
static void pause_for(unsigned schedule, double nanoseconds)
{
    enum { SHORT = 1000000, SPAN = 20000 };
    double until = now() + (nanoseconds < SPAN ? nanoseconds : SPAN);
    if (schedule == SCHEDULE_BLOCK && nanoseconds > SHORT && nanoseconds < 1e15)
        sleep_ns(nanoseconds - SHORT);
    while (now() < until)
        if (schedule == SCHEDULE_YIELD)
            yield();
}

static void wait_for(struct call *call, const struct goal *goal, unsigned schedule)
{
    for (timeline_advance(); !is_reached(goal); timeline_advance()) {
        double left = timeline_next();
        unlock();
        pause_for(schedule, left);
        lock();
    }
    if (call->until < now())
        call->until = now();
}

void wait_for_stream(struct call *call, const struct stream *stream)
{
    flush(call, stream->object.context);
    wait_for(call, &(struct goal){.stream = stream, .number = newest_order()}, SCHEDULE_SPIN);
}

void wait_for_context(struct call *call, struct context *context)
{
    flush(call, context);
    wait_for(call, &(struct goal){.context = context, .number = newest_order()}, SCHEDULE_SPIN);
}

static unsigned schedule_of(const struct context *context)
{
    unsigned flags = context->flags & SCHEDULE_MASK;
    return flags == SCHEDULE_YIELD || flags == SCHEDULE_BLOCK ? flags : SCHEDULE_SPIN;
}

static CUresult synchronize(struct call *call, const struct goal *goal, unsigned schedule)
{
    wait_for(call, goal, schedule);
    charge(call, schedule == SCHEDULE_BLOCK   ? planted.sync_block_ns
                 : schedule == SCHEDULE_YIELD ? planted.sync_yield_ns
                                              : planted.sync_spin_ns);
    return leave(call, CUDA_SUCCESS);
}

EXPORT CUresult cuCtxSynchronize(void)
{
    ENTER(NEED_CONTEXT)
    struct context *context = current_context();
    flush(&call, context);
    return synchronize(&call, &(struct goal){.context = context, .number = newest_order()}, schedule_of(context));
}

/* ---- streams ---- */

EXPORT CUresult cuStreamCreate(struct stream **stream, unsigned flags)
{
    ENTER(NEED_CONTEXT)
    if (flags & ~(unsigned)STREAM_NON_BLOCKING)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    struct stream *fresh = object_new(STREAM, current_context());
    if (fresh == NULL)
        return leave(&call, CUDA_ERROR_OUT_OF_MEMORY);
    fresh->non_blocking = flags & STREAM_NON_BLOCKING;
    *stream = fresh;
    return leave(&call, CUDA_SUCCESS);
}

/* Unlike the real one it waits for the stream's work. */
EXPORT CUresult cuStreamDestroy_v2(struct stream *stream)
{
    ENTER(NEED_INIT)
    if (!is_live(stream, STREAM))
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    wait_for_stream(&call, stream);
    if (stream->capture != NULL)
        object_end(stream->capture);
    object_end(stream);
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuStreamQuery(struct stream *handle)
{
    ENTER(NEED_CONTEXT)
    struct stream *stream = stream_of(handle);
    if (stream == NULL)
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    if (stream->capture != NULL)
        return leave(&call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    charge(&call, planted.query_ns);
    flush(&call, stream->object.context);
    timeline_advance();
    return leave(&call, stream->first == NULL ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY);
}

EXPORT CUresult cuStreamSynchronize(struct stream *handle)
{
    ENTER(NEED_CONTEXT)
    struct stream *stream = stream_of(handle);
    if (stream == NULL)
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    if (stream->capture != NULL)
        return leave(&call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    struct context *context = stream->object.context;
    flush(&call, context);
    return synchronize(&call, &(struct goal){.stream = stream, .number = newest_order()}, schedule_of(context));
}

EXPORT CUresult cuStreamWaitEvent(struct stream *handle, struct event *event, unsigned flags)
{
    ENTER(NEED_CONTEXT)
    struct stream *stream = stream_of(handle);
    if (stream == NULL || !is_live(event, EVENT))
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    if (flags != 0)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    if (stream->capture != NULL)
        return leave(&call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    charge(&call, planted.event_ns);
    if (event->object.context != stream->object.context)
        flush(&call, event->object.context);
    struct item item = {.kind = WAIT, .event = event, .record = event->records};
    return leave(&call, event->recorded ? enqueue(&call, stream, item) : CUDA_SUCCESS);
}

/* ---- events ---- */

EXPORT CUresult cuEventCreate(struct event **event, unsigned flags)
{
    ENTER(NEED_CONTEXT)
    if (flags & ~(unsigned)EVENT_FLAGS)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    struct event *fresh = object_new(EVENT, current_context());
    if (fresh == NULL)
        return leave(&call, CUDA_ERROR_OUT_OF_MEMORY);
    fresh->blocking = flags & EVENT_BLOCKING;
    fresh->untimed = flags & EVENT_UNTIMED;
    *event = fresh;
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuEventDestroy_v2(struct event *event)
{
    ENTER(NEED_INIT)
    if (!is_live(event, EVENT))
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    object_end(event);
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuEventRecord(struct event *event, struct stream *handle)
{
    ENTER(NEED_CONTEXT)
    struct stream *stream = stream_of(handle);
    if (stream == NULL || !is_live(event, EVENT) || event->object.context != stream->object.context)
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    if (stream->capture != NULL)
        return leave(&call, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    charge(&call, planted.event_ns);
    event->recorded = true;
    event->records++;
    return leave(&call, enqueue(&call, stream, (struct item){.kind = RECORD, .event = event}));
}

static bool is_pending(const struct event *event)
{
    return event->recorded && event->done < event->records;
}

EXPORT CUresult cuEventQuery(struct event *event)
{
    ENTER(NEED_CONTEXT)
    if (!is_live(event, EVENT))
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    charge(&call, planted.query_ns);
    flush(&call, event->object.context);
    timeline_advance();
    return leave(&call, is_pending(event) ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS);
}

EXPORT CUresult cuEventSynchronize(struct event *event)
{
    ENTER(NEED_CONTEXT)
    if (!is_live(event, EVENT))
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    flush(&call, event->object.context);
    const struct goal goal = {.event = event, .number = event->recorded ? event->records : 0};
    return synchronize(&call, &goal, event->blocking ? SCHEDULE_BLOCK : schedule_of(event->object.context));
}

static bool has_time(const struct event *event)
{
    return is_live(event, EVENT) && event->recorded && !event->untimed;
}

EXPORT CUresult cuEventElapsedTime(float *milliseconds, struct event *from, struct event *to)
{
    ENTER(NEED_CONTEXT)
    if (!has_time(from) || !has_time(to))
        return leave(&call, CUDA_ERROR_INVALID_HANDLE);
    timeline_advance();
    if (is_pending(from) || is_pending(to))
        return leave(&call, CUDA_ERROR_NOT_READY);
    *milliseconds = (float)((to->time - from->time) * 1e-6);
    return leave(&call, CUDA_SUCCESS);
}
