/* Stands in for openat in a native helper built with -Dopenat=slow_openat: a file opens SLOW_NANOSECONDS later. */
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "clock.h"

int slow_openat(int directory, const char *name, int flags, ...)
{
    int64_t end = clock_now() + clock_ticks(SLOW_NANOSECONDS);
    va_list more;
    va_start(more, flags);
    int mode = flags & O_CREAT ? va_arg(more, int) : 0;
    va_end(more);
    while (clock_now() < end)
        ;
    return (int)syscall(SYS_openat, directory, name, flags, mode);
}
