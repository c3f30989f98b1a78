/* STREAM's triad. McCalpin, "Memory Bandwidth and Machine Balance", IEEE TCCA Newsletter, December 1995. */
#include "overhead_probe.h"

#include <errno.h>
#include <stdlib.h>

#include "clock.h"
#include "region.h"
#include "threads.h"

enum { ARRAYS = 3 };

typedef struct {
    double *a, *b, *c;
    int64_t length; /* of each array */
    int32_t threads;
    int64_t passes;
    int64_t *released; /* passes + 1 times: when the barrier let the threads go, before each pass and after the last */
    lock_t lock;
    condition_t changed;
    int32_t started; /* 0: wait, 1: go, -1: a thread could not be started, end */
    int32_t waiting;
    int64_t rounds; /* of the barrier, so far */
} team_t;

typedef struct {
    team_t *team;
    int32_t index;
    int32_t correct;
} worker_t;

/* The last to arrive takes the time: a thread that is woken late must not make the pass look shorter. */
static void barrier(team_t *team)
{
    lock_acquire(&team->lock);
    int64_t round = team->rounds;
    if (++team->waiting == team->threads) {
        team->waiting = 0;
        team->released[team->rounds++] = clock_now();
        condition_wake_all(&team->changed);
    } else {
        while (team->rounds == round)
            condition_wait(&team->changed, &team->lock);
    }
    lock_release(&team->lock);
}

static void tell(team_t *team, int32_t started)
{
    lock_acquire(&team->lock);
    team->started = started;
    condition_wake_all(&team->changed);
    lock_release(&team->lock);
}

static int32_t wait_for_start(team_t *team)
{
    lock_acquire(&team->lock);
    while (team->started == 0)
        condition_wait(&team->changed, &team->lock);
    int32_t started = team->started;
    lock_release(&team->lock);
    return started;
}

static void triad(double *restrict a, const double *restrict b, const double *restrict c, int64_t length)
{
    for (int64_t i = 0; i < length; i++)
        a[i] = b[i] + 3.0 * c[i];
}

/* The thread that uses a part of the arrays is the first to touch it, so that its pages lie on the thread's node. */
static void touch(double *a, double *b, double *c, int64_t length)
{
    for (int64_t i = 0; i < length; i++) {
        a[i] = 0.0;
        b[i] = 1.0;
        c[i] = 2.0;
    }
}

static int32_t all_seven(const double *a, int64_t length)
{
    for (int64_t i = 0; i < length; i++)
        if (a[i] != 7.0)
            return 0;
    return 1;
}

static THREAD_RESULT work(void *argument)
{
    worker_t *worker = argument;
    team_t *team = worker->team;
    if (wait_for_start(team) < 0)
        return 0;
    int64_t first = team->length * worker->index / team->threads;
    int64_t length = team->length * (worker->index + 1) / team->threads - first;
    double *a = team->a + first, *b = team->b + first, *c = team->c + first;
    touch(a, b, c, length);
    for (int64_t pass = 0; pass < team->passes; pass++) {
        barrier(team);
        triad(a, b, c, length);
    }
    barrier(team);
    worker->correct = all_seven(a, length);
    return 0;
}

/* The calling thread is worker 0: with one thread none is created. */
static int32_t run(team_t *team, worker_t *workers, thread_t *handles)
{
    int32_t started = 1;
    int error = 0;
    for (int32_t i = 0; i < team->threads; i++)
        workers[i] = (worker_t){team, i, 0};
    while (started < team->threads && !error) {
        error = thread_start(&handles[started], work, &workers[started]);
        if (!error)
            started++;
    }
    tell(team, error ? -1 : 1);
    if (!error)
        work(&workers[0]);
    for (int32_t i = 1; i < started; i++)
        thread_join(handles[i]);
    if (error)
        return -error;
    for (int32_t i = 0; i < team->threads; i++)
        if (!workers[i].correct)
            return -EIO;
    return 0;
}

/* Arrays whose distance is a large power of two compete for the same ways of a cache: an AMD EPYC (family 25, model
 * 17) then has two thirds of its bandwidth. So the distance is fixed: 2 MiB more than a multiple of 4 MiB. */
static int64_t distance(int64_t bytes)
{
    const int64_t step = 4 << 20;
    return (bytes + step - 1) / step * step + step / 2;
}

static int32_t with_arrays(team_t *team, int64_t bytes, int32_t node)
{
    region_t region;
    int32_t status = region_map(&region, ARRAYS * distance(bytes), PAGES_DEFAULT, node);
    if (status)
        return status;
    team->a = (double *)region.data;
    team->b = (double *)(region.data + distance(bytes));
    team->c = (double *)(region.data + 2 * distance(bytes));
    worker_t *workers = malloc(sizeof(worker_t) * (size_t)team->threads);
    thread_t *handles = malloc(sizeof(thread_t) * (size_t)team->threads);
    status = workers && handles ? run(team, workers, handles) : -ENOMEM;
    if (!status && node >= 0 && region_node(&region) != node)
        status = -EIO;
    free(handles);
    free(workers);
    region_unmap(&region);
    return status;
}

int32_t probe_triad(int64_t samples, int64_t bytes, int32_t threads, int32_t node, double *seconds)
{
    if (samples < 1 || threads < 1 || bytes < (int64_t)sizeof(double) * threads || bytes > INT64_MAX / 4)
        return -EINVAL;
    team_t team = {.length = bytes / (int64_t)sizeof(double), .threads = threads, .passes = samples,
                   .lock = LOCK_INITIAL, .changed = CONDITION_INITIAL};
    team.released = malloc(sizeof(int64_t) * (size_t)(samples + 1));
    if (!team.released)
        return -ENOMEM;
    int32_t status = with_arrays(&team, bytes, node);
    for (int64_t pass = 0; pass < samples && !status; pass++)
        seconds[pass] = clock_seconds(team.released[pass + 1] - team.released[pass]);
    free(team.released);
    return status;
}
