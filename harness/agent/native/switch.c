/* What it costs that one thread stops and another goes on: each waits until the other hands over.
 * As `perf bench sched pipe` and lmbench's lat_ctx do it. */
#define _GNU_SOURCE
#include "overhead_probe.h"

#include <errno.h>

#include "affinity.h"
#include "clock.h"
#include "threads.h"

/* One side of the play: hand over to the other, then wait to be handed back. 0 or a negative errno. */
typedef int32_t turn_t(void *game);

static int32_t time_turns(turn_t *turn, void *game, int64_t samples, int64_t calls, double *seconds)
{
    int32_t status = turn(game); /* the other side may not have started yet */
    for (int64_t sample = 0; sample < samples && !status; sample++) {
        int64_t start = clock_now();
        for (int64_t call = 0; call < calls && !status; call++)
            status = turn(game);
        seconds[sample] = clock_seconds(clock_now() - start) / (2.0 * (double)calls);
    }
    return status;
}

typedef struct {
    lock_t lock;
    condition_t changed;
    int32_t cpu;
    int32_t turn; /* 0: the timing thread's, 1: the other's, -1: over */
} table_t;

/* The lock is released before the other is woken: it must not wake only to wait for the lock. */
static void hand_to(table_t *table, int32_t turn)
{
    lock_acquire(&table->lock);
    table->turn = turn;
    lock_release(&table->lock);
    condition_wake_all(&table->changed);
}

static int32_t wait_while(table_t *table, int32_t turn)
{
    lock_acquire(&table->lock);
    while (table->turn == turn)
        condition_wait(&table->changed, &table->lock);
    int32_t now = table->turn;
    lock_release(&table->lock);
    return now;
}

static int32_t condition_turn(void *game)
{
    table_t *table = game;
    hand_to(table, 1);
    wait_while(table, 1);
    return 0;
}

static THREAD_RESULT condition_partner(void *game)
{
    table_t *table = game;
    affinity_t affinity;
    affinity_bind(&affinity, table->cpu); /* what the timing thread could, this one can */
    while (wait_while(table, 0) > 0)
        hand_to(table, 0);
    return 0;
}

int32_t probe_switch_condition(int64_t samples, int64_t calls, int32_t cpu, double *seconds)
{
    if (samples < 1 || calls < 1)
        return -EINVAL;
    table_t table = {.lock = LOCK_INITIAL, .changed = CONDITION_INITIAL, .cpu = cpu, .turn = 0};
    affinity_t affinity;
    thread_t partner;
    int32_t status = affinity_bind(&affinity, cpu);
    if (status)
        return status;
    status = -thread_start(&partner, condition_partner, &table);
    if (!status) {
        status = time_turns(condition_turn, &table, samples, calls, seconds);
        hand_to(&table, -1);
        thread_join(partner);
    }
    affinity_restore(&affinity);
    return status;
}

#ifdef _WIN32

typedef HANDLE end_t;

static int32_t pipe_open(end_t ends[2])
{
    return CreatePipe(&ends[0], &ends[1], NULL, 0) ? 0 : -EMFILE;
}

static void end_close(end_t end)
{
    CloseHandle(end);
}

static int32_t receive(end_t file)
{
    char byte;
    DWORD got;
    return ReadFile(file, &byte, 1, &got, NULL) && got == 1 ? 0 : -EPIPE;
}

static int32_t give(end_t file)
{
    char byte = 0;
    DWORD written;
    return WriteFile(file, &byte, 1, &written, NULL) && written == 1 ? 0 : -EPIPE;
}

#else

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int end_t;

static int32_t pipe_open(end_t ends[2])
{
    return pipe(ends) < 0 ? -errno : 0;
}

static void end_close(end_t end)
{
    close(end);
}

/* Between two bytes nothing is left to do but wait; an end of file means that the other side is gone. */
static int32_t receive(end_t file)
{
    char byte;
    ssize_t got;
    while ((got = read(file, &byte, 1)) < 0 && errno == EINTR)
        continue;
    return got == 1 ? 0 : got == 0 ? -EPIPE : -errno;
}

static int32_t give(end_t file)
{
    char byte = 0;
    ssize_t written;
    while ((written = write(file, &byte, 1)) < 0 && errno == EINTR)
        continue;
    return written == 1 ? 0 : -errno;
}

#endif

typedef struct {
    end_t there[2]; /* read and write end of the pipe to the partner */
    end_t back[2];
} pipes_t;

static int32_t pipes_open(pipes_t *pipes)
{
    int32_t status = pipe_open(pipes->there);
    if (status)
        return status;
    status = pipe_open(pipes->back);
    if (status) {
        end_close(pipes->there[0]);
        end_close(pipes->there[1]);
    }
    return status;
}

static int32_t pipe_turn(void *game)
{
    pipes_t *pipes = game;
    int32_t status = give(pipes->there[1]);
    return status ? status : receive(pipes->back[0]);
}

/* Until the end of the pipe. */
static THREAD_RESULT pipe_partner(void *game)
{
    pipes_t *pipes = game;
    while (!receive(pipes->there[0]) && !give(pipes->back[1]))
        continue;
    return 0;
}

static int32_t play_with_thread(pipes_t *pipes, int64_t samples, int64_t calls, double *seconds)
{
    thread_t partner;
    int error = thread_start(&partner, pipe_partner, pipes);
    int32_t status = error ? -error : time_turns(pipe_turn, pipes, samples, calls, seconds);
    end_close(pipes->there[1]);
    if (!error)
        thread_join(partner);
    end_close(pipes->there[0]);
    end_close(pipes->back[0]);
    end_close(pipes->back[1]);
    return status;
}

typedef int32_t play_t(pipes_t *pipes, int64_t samples, int64_t calls, double *seconds);

static int32_t by_pipe(play_t *play, int64_t samples, int64_t calls, int32_t cpu, double *seconds)
{
    if (samples < 1 || calls < 1)
        return -EINVAL;
    affinity_t affinity;
    pipes_t pipes;
    int32_t status = affinity_bind(&affinity, cpu);
    if (status)
        return status;
    status = pipes_open(&pipes);
    if (!status)
        status = play(&pipes, samples, calls, seconds);
    affinity_restore(&affinity);
    return status;
}

int32_t probe_switch_threads(int64_t samples, int64_t calls, int32_t cpu, double *seconds)
{
    return by_pipe(play_with_thread, samples, calls, cpu, seconds);
}

#ifndef _WIN32

static int32_t play_with_process(pipes_t *pipes, int64_t samples, int64_t calls, double *seconds)
{
    pid_t partner = fork();
    int32_t status = partner < 0 ? -errno : 0;
    if (partner == 0) {
        close(pipes->there[1]); /* so that the end of the parent is the end of the pipe */
        pipe_partner(pipes);
        _exit(0);
    }
    close(pipes->there[0]);
    close(pipes->back[1]);
    if (!status)
        status = time_turns(pipe_turn, pipes, samples, calls, seconds);
    close(pipes->there[1]);
    close(pipes->back[0]);
    while (partner > 0 && waitpid(partner, 0, 0) < 0 && errno == EINTR)
        continue;
    return status;
}

int32_t probe_switch_processes(int64_t samples, int64_t calls, int32_t cpu, double *seconds)
{
    return by_pipe(play_with_process, samples, calls, cpu, seconds);
}

#endif
