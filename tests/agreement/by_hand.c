/* What no packaged tool measures alone, written a second time and built by the platform's gcc:

       by_hand chase BYTES   least seconds of a load whose address the load before it gave, along a random cycle
       by_hand thread COUNT  median seconds of pthread_create and pthread_join of a thread that ends at once

   Only its compiler, its random numbers and its libc differ from the native helper's: it checks the probe's code, not
   what the probe means. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { LINE = 64, LOADS = 1 << 16, TURNS = 99 }; /* short turns, so that some pass undisturbed */

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC_RAW, &at);
    return (double)at.tv_sec + (double)at.tv_nsec * 1e-9;
}

static uint64_t xorshift(uint64_t *state)
{
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

static double chase(size_t bytes)
{
    size_t lines = bytes / LINE;
    char *memory = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    size_t *order = malloc(lines * sizeof *order);
    if (memory == MAP_FAILED || !order || lines < 2)
        exit(3);
    madvise(memory, bytes, MADV_NOHUGEPAGE);
    memset(memory, 1, bytes); /* pages touched in random order are scattered: in a guest its host's pages, too */
    for (size_t at = 0; at < lines; at++)
        order[at] = at;
    uint64_t state = 88172645463325252u;
    for (size_t at = lines - 1; at > 0; at--) { /* Fisher and Yates: a random order; its ring is one cycle */
        size_t other = xorshift(&state) % (at + 1), kept = order[at];
        order[at] = order[other], order[other] = kept;
    }
    for (size_t at = 0; at < lines; at++)
        *(void **)(memory + order[at] * LINE) = memory + order[(at + 1) % lines] * LINE;
    free(order);
    void **place = (void **)memory;
    for (size_t load = 0; load < lines; load++) /* once around */
        place = *(void **volatile *)place;
    double best = 1e9;
    for (int turn = 0; turn < TURNS; turn++) {
        double start = now();
        for (int load = 0; load < LOADS; load++)
            place = *(void **volatile *)place;
        double seconds = (now() - start) / LOADS;
        best = seconds < best ? seconds : best;
    }
    return place ? best : 0;
}

static void *end_at_once(void *argument)
{
    return argument;
}

static int ascending(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

static double threads(long count)
{
    double *seconds = malloc((size_t)count * sizeof *seconds);
    if (!seconds || count < 1)
        exit(3);
    for (long done = 0; done < count; done++) {
        pthread_t thread;
        double start = now();
        if (pthread_create(&thread, 0, end_at_once, 0))
            exit(3);
        pthread_join(thread, 0);
        seconds[done] = now() - start;
    }
    qsort(seconds, (size_t)count, sizeof *seconds, ascending);
    return seconds[count / 2];
}

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    double seconds = !strcmp(words[1], "chase") ? chase(strtoul(words[2], 0, 10)) : threads(atol(words[2]));
    return printf("%.6e\n", seconds) < 0;
}
