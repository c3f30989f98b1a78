/* What differs between operating systems: clock, lock, sleep, pages, and where this library lies. */
#define _GNU_SOURCE /* dladdr */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "simulated.h"
#include "threads.h"

#ifdef _WIN32
#include <malloc.h>
#else
#include <dlfcn.h>
#include <sched.h>
#endif

static lock_t state = LOCK_INITIAL;
static int64_t origin;

double now(void)
{
    return clock_seconds(clock_now() - origin) * 1e9;
}

void clock_restart(void)
{
    origin = clock_now();
}

void lock(void)
{
    lock_acquire(&state);
}

void unlock(void)
{
    lock_release(&state);
}

#ifdef _WIN32

static HMODULE self(void)
{
    HMODULE module = NULL;
    GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                       (const char *)(void *)&origin, &module);
    return module;
}

void yield(void)
{
    SwitchToThread();
}

int current_cpu(void)
{
    return (int)GetCurrentProcessorNumber();
}

void sleep_ns(double nanoseconds)
{
    Sleep((DWORD)(nanoseconds / 1e6));
}

void *pages_new(size_t bytes)
{
    return _aligned_malloc(bytes, 4096);
}

void pages_free(void *pages)
{
    _aligned_free(pages);
}

bool library_exports(const char *function)
{
    return GetProcAddress(self(), function) != NULL;
}

bool library_folder(char *folder, size_t size)
{
    DWORD length = GetModuleFileNameA(self(), folder, (DWORD)size);
    char *name = strrchr(folder, '\\');
    if (length == 0 || length >= size || name == NULL)
        return false;
    *name = '\0';
    return true;
}

#else

static const char *path(void)
{
    Dl_info found;
    return dladdr(&origin, &found) ? found.dli_fname : NULL;
}

void yield(void)
{
    sched_yield();
}

int current_cpu(void)
{
    return sched_getcpu();
}

void sleep_ns(double nanoseconds)
{
    struct timespec time = {(time_t)(nanoseconds / 1e9), (long)nanoseconds % 1000000000};
    nanosleep(&time, NULL);
}

void *pages_new(size_t bytes)
{
    void *pages;
    return posix_memalign(&pages, 4096, bytes) == 0 ? pages : NULL;
}

void pages_free(void *pages)
{
    free(pages);
}

bool library_exports(const char *function)
{
    void *self = dlopen(path(), RTLD_NOW | RTLD_NOLOAD);
    bool found = self != NULL && dlsym(self, function) != NULL;
    if (self != NULL)
        dlclose(self);
    return found;
}

bool library_folder(char *folder, size_t size)
{
    const char *own = path();
    const char *name = own != NULL ? strrchr(own, '/') : NULL;
    if (name == NULL || (size_t)(name - own) >= size)
        return false;
    snprintf(folder, size, "%.*s", (int)(name - own), own);
    return true;
}

#endif
