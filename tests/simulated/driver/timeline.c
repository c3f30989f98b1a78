/* The device as a simulation of discrete events, brought up to the present whenever somebody looks.
 *
 * Each stream is a queue; the first item of a queue starts when it is ready and its engine is free, the one enqueued
 * first before others. Each device has an engine for kernels (device copies and memsets too), one for copies in each
 * direction, one for copies between devices. Items that run side by side slow each other down by the planted factors.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_driver.h"

#define NOTHING_LEFT 0.01 /* nanoseconds: below the resolution of a double after an hour */

static double present; /* nanoseconds simulated so far */
static uint64_t order;
static struct stream *busy; /* the streams that have items */
static struct stream *running[DEVICES_MAX][ENGINES];
static struct item *spare;

/* ---- queues ---- */

static struct item *item_new(const struct item *values)
{
    struct item *item = spare;
    if (item != NULL)
        spare = item->next;
    else if ((item = malloc(sizeof *item)) == NULL)
        return NULL;
    *item = *values;
    return item;
}

static void item_end(struct stream *stream)
{
    struct item *item = stream->first;
    stream->first = item->next;
    item->next = spare;
    spare = item;
}

static void make_busy(struct stream *stream)
{
    if (stream->busy)
        return;
    stream->busy = true;
    stream->next_busy = busy;
    busy = stream;
}

static void forget_idle_streams(void)
{
    for (struct stream **link = &busy; *link != NULL;) {
        struct stream *stream = *link;
        if (stream->first == NULL) {
            stream->busy = false;
            *link = stream->next_busy;
        } else {
            link = &stream->next_busy;
        }
    }
}

static void hold(struct context *context, struct item *item)
{
    item->ready = INFINITY;
    item->next_held = NULL;
    if (context->held == NULL)
        context->held = item;
    else
        context->last_held->next_held = item;
    context->last_held = item;
}

CUresult enqueue(struct call *call, struct stream *stream, struct item values)
{
    if (stream->capture != NULL)
        return capture_item(stream->capture, values);
    struct context *context = stream->object.context;
    values.order = ++order;
    values.ready = call->until;
    values.next = NULL;
    struct item *item = item_new(&values);
    if (item == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (stream->first == NULL)
        stream->first = item;
    else
        stream->last->next = item;
    stream->last = item;
    make_busy(stream);
    if (planted.wddm_batch > 0)
        hold(context, item);
    return CUDA_SUCCESS;
}

void timeline_reset(void)
{
    for (; busy != NULL; busy = busy->next_busy) {
        while (busy->first != NULL) {
            if (busy->first->kind == RECORD)
                busy->first->event->done++; /* so that nobody ever waits for it */
            item_end(busy);
        }
        busy->busy = false;
    }
    memset(running, 0, sizeof running);
    present = 0;
}

uint64_t newest_order(void)
{
    return order;
}

bool is_over(const struct stream *stream, const struct context *context, uint64_t up_to)
{
    if (stream != NULL)
        return stream->first == NULL || stream->first->order > up_to;
    for (stream = busy; stream != NULL; stream = stream->next_busy)
        if (stream->object.context == context && !is_over(stream, context, up_to))
            return false;
    return true;
}

/* ---- what may start ---- */

/* The default stream waits for what was enqueued before in the other streams of its context, and they for it. */
static bool are_ordered(const struct stream *one, const struct stream *other)
{
    const struct context *context = one->object.context;
    return one != other && context == other->object.context && !one->non_blocking && !other->non_blocking
           && (one == context->legacy || other == context->legacy);
}

static bool can_start(const struct stream *stream)
{
    const struct item *item = stream->first;
    if (item == NULL || item->ready > present || (item->kind == WAIT && item->event->done < item->record))
        return false;
    for (const struct stream *other = busy; other != NULL; other = other->next_busy)
        if (other->first != NULL && other->first->order < item->order && are_ordered(stream, other))
            return false;
    return true;
}

static void end_instant(struct stream *stream)
{
    struct item *item = stream->first;
    if (item->kind == RECORD) {
        item->event->done++;
        item->event->time = present;
    } else if (item->kind == FREE) {
        memory_release((CUdeviceptr)(uintptr_t)item->to);
    }
    item_end(stream);
}

static void end_instant_items(void)
{
    for (bool changed = true; changed;) {
        changed = false;
        for (struct stream *stream = busy; stream != NULL; stream = stream->next_busy)
            while (stream->first != NULL && stream->first->kind != WORK && can_start(stream)) {
                end_instant(stream);
                changed = true;
            }
    }
}

/* The data move as soon as the item starts: within its planted duration, if that is no shorter than a real memcpy. */
static void start(struct stream *stream)
{
    const struct item *item = stream->first;
    running[stream->object.context->device][item->engine] = stream;
    if (item->bytes > 0 && item->from != NULL)
        memmove(item->to, item->from, item->bytes);
    else if (item->bytes > 0)
        memset(item->to, item->fill, item->bytes);
}

static void occupy_idle_engines(void)
{
    struct stream *first[DEVICES_MAX][ENGINES] = {0};
    for (struct stream *stream = busy; stream != NULL; stream = stream->next_busy) {
        if (!can_start(stream))
            continue;
        struct stream **candidate = &first[stream->object.context->device][stream->first->engine];
        if (*candidate == NULL || stream->first->order < (*candidate)->first->order)
            *candidate = stream;
    }
    for (int device = 0; device < DEVICES_MAX; device++)
        for (int engine = 0; engine < ENGINES; engine++)
            if (running[device][engine] == NULL && first[device][engine] != NULL)
                start(first[device][engine]);
}

/* ---- what runs ---- */

/* How fast the engine works beside the others of its device; 1 where it is alone.
 * With both copying, `duplex`. With copies and compute, 1 / (2 - overlap): two of length T then take (2 - overlap) T,
 * so that the planted share of the shorter is hidden. */
static double rate(int device, enum engine engine)
{
    struct stream **engines = running[device];
    bool copies = engines[TO_DEVICE] != NULL || engines[TO_HOST] != NULL || engines[PEER] != NULL;
    bool both = engines[TO_DEVICE] != NULL && engines[TO_HOST] != NULL;
    double beside_copies = both && (engine == TO_DEVICE || engine == TO_HOST) ? planted.duplex : 1;
    return engines[COMPUTE] != NULL && copies ? beside_copies / (2 - planted.overlap) : beside_copies;
}

static double step_of(int device, enum engine engine)
{
    const struct item *item = running[device][engine]->first;
    return item->setup > 0 ? item->setup : item->work / rate(device, engine);
}

/* Nanoseconds until an item ends or becomes ready. */
static double next_change(void)
{
    double least = INFINITY;
    for (int device = 0; device < DEVICES_MAX; device++)
        for (int engine = 0; engine < ENGINES; engine++)
            if (running[device][engine] != NULL)
                least = fmin(least, step_of(device, engine));
    for (const struct stream *stream = busy; stream != NULL; stream = stream->next_busy)
        if (stream->first != NULL && stream->first->ready > present)
            least = fmin(least, stream->first->ready - present);
    return least;
}

static void work(int device, enum engine engine, double nanoseconds, double speed)
{
    struct stream *stream = running[device][engine];
    struct item *item = stream->first;
    if (item->setup > 0)
        item->setup = item->setup - nanoseconds > NOTHING_LEFT ? item->setup - nanoseconds : 0;
    else
        item->work -= nanoseconds * speed;
    if (item->setup <= 0 && item->work <= NOTHING_LEFT) {
        running[device][engine] = NULL;
        item_end(stream);
    }
}

static void pass(double nanoseconds)
{
    double speeds[ENGINES];
    for (int device = 0; device < DEVICES_MAX; device++) {
        for (int engine = 0; engine < ENGINES; engine++)
            speeds[engine] = rate(device, engine);
        for (int engine = 0; engine < ENGINES; engine++)
            if (running[device][engine] != NULL)
                work(device, engine, nanoseconds, speeds[engine]);
    }
    present += nanoseconds;
}

static void settle(void)
{
    end_instant_items();
    occupy_idle_engines();
}

void timeline_advance(void)
{
    double until = now();
    for (settle(); present < until; settle())
        pass(fmin(next_change(), until - present));
    forget_idle_streams();
}

double timeline_next(void)
{
    return next_change();
}
