/* System calls, and the creation of processes (POSIX). */
#define _GNU_SOURCE
#include "overhead_probe.h"

#include <errno.h>

#include "clock.h"

#ifdef _WIN32

typedef ULONG NTAPI current_processor_t(void);

/* Looked up by name, as it is in ntdll alone. ntdll answers GetCurrentProcessId and the like without the kernel. */
int32_t probe_syscall(int64_t samples, int64_t calls, double *seconds)
{
    current_processor_t *call =
        (current_processor_t *)(void *)GetProcAddress(GetModuleHandleW(L"ntdll"), "NtGetCurrentProcessorNumber");
    if (!call)
        return -ENOSYS;
    if (calls < 1)
        return -EINVAL;
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t start = clock_now();
        for (int64_t done = 0; done < calls; done++)
            call();
        seconds[sample] = clock_seconds(clock_now() - start) / (double)calls;
    }
    return 0;
}

#else

#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

int32_t probe_syscall(int64_t samples, int64_t calls, double *seconds)
{
    if (calls < 1)
        return -EINVAL;
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t start = clock_now();
        for (int64_t call = 0; call < calls; call++)
            syscall(SYS_getppid);
        seconds[sample] = clock_seconds(clock_now() - start) / (double)calls;
    }
    return 0;
}

static int wait_for(pid_t child)
{
    while (waitpid(child, 0, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

int32_t probe_fork(int64_t samples, double *seconds)
{
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t start = clock_now();
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child < 0)
            return -errno;
        int error = wait_for(child);
        if (error)
            return error;
        seconds[sample] = clock_seconds(clock_now() - start);
    }
    return 0;
}

int32_t probe_vfork(int64_t samples, double *seconds)
{
    for (int64_t sample = 0; sample < samples; sample++) {
        int64_t start = clock_now();
        pid_t child = vfork();
        if (child == 0)
            _exit(0);
        if (child < 0)
            return -errno;
        int error = wait_for(child);
        if (error)
            return error;
        seconds[sample] = clock_seconds(clock_now() - start);
    }
    return 0;
}

#endif
