/* Creation of threads. */
#include "threads.h"

#include "clock.h"
#include "overhead_probe.h"

static THREAD_RESULT end_at_once(void *argument)
{
    (void)argument;
    return 0;
}

int32_t probe_thread(int64_t samples, double *seconds)
{
    for (int64_t sample = 0; sample < samples; sample++) {
        thread_t thread;
        int64_t start = clock_now();
        int error = thread_start(&thread, end_at_once, 0);
        if (error)
            return -error;
        thread_join(thread);
        seconds[sample] = clock_seconds(clock_now() - start);
    }
    return 0;
}
