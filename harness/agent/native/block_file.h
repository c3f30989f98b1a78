/* One file of blocks, by the same names on both systems. Functions return 0 or a negative errno unless they say else. */
#ifndef OVERHEAD_BLOCK_FILE_H
#define OVERHEAD_BLOCK_FILE_H

#include <stdlib.h>

#include "overhead_probe.h"

typedef enum { OPEN_READ, OPEN_WRITE, OPEN_NEW } opening_t;

#ifdef _WIN32

#include "windows_files.h"

typedef HANDLE file_t;

static inline DWORD file_flags(int32_t how)
{
    return FILE_ATTRIBUTE_NORMAL | (how & PROBE_BLOCKS_DIRECT ? FILE_FLAG_NO_BUFFERING : 0)
           | (how & PROBE_BLOCKS_NO_READ_AHEAD ? FILE_FLAG_RANDOM_ACCESS : 0);
}

static inline int32_t file_open(file_t *file, const char *path, int32_t how, opening_t opening)
{
    wchar_t *wide = malloc(PATH_UNITS * sizeof *wide);
    int32_t status = wide ? wide_path(path, wide) : -ENOMEM;
    if (!status) {
        DWORD access = opening == OPEN_READ ? GENERIC_READ : GENERIC_WRITE;
        *file = CreateFileW(wide, access, FILE_SHARE_READ, NULL, opening == OPEN_NEW ? CREATE_NEW : OPEN_EXISTING,
                            file_flags(how), NULL);
        status = *file == INVALID_HANDLE_VALUE ? last_error() : 0;
    }
    free(wide);
    return status;
}

static inline void file_close(file_t file)
{
    CloseHandle(file);
}

/* A handle of its own for each thread: the system does one thing at a time with a handle that waits. */
static inline int32_t file_for_thread(file_t *own, file_t file, const char *path, int32_t how)
{
    (void)file;
    return file_open(own, path, how, OPEN_READ);
}

static inline void file_of_thread_close(file_t own)
{
    CloseHandle(own);
}

static inline int64_t file_size(file_t file)
{
    LARGE_INTEGER size;
    return GetFileSizeEx(file, &size) ? size.QuadPart : last_error();
}

static inline OVERLAPPED at_offset(int64_t offset)
{
    return (OVERLAPPED){.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
}

static inline int32_t file_read(file_t file, char *buffer, int64_t size, int64_t offset)
{
    for (int64_t done = 0; done < size;) {
        OVERLAPPED where = at_offset(offset + done);
        DWORD got;
        if (!ReadFile(file, buffer + done, (DWORD)(size - done), &got, &where))
            return last_error();
        if (got == 0)
            return -EIO; /* shorter than it was written */
        done += got;
    }
    return 0;
}

static inline int32_t file_write(file_t file, const char *buffer, int64_t size, int64_t offset)
{
    for (int64_t done = 0; done < size;) {
        OVERLAPPED where = at_offset(offset + done);
        DWORD written;
        if (!WriteFile(file, buffer + done, (DWORD)(size - done), &written, &where))
            return last_error();
        done += written;
    }
    return 0;
}

static inline int32_t file_sync(file_t file, int32_t how)
{
    if (how & PROBE_BLOCKS_DATA_ONLY)
        return -ENOTSUP;
    return FlushFileBuffers(file) ? 0 : last_error();
}

static inline int32_t file_map(file_t file, int64_t size, int32_t how, const char **map)
{
    (void)size;
    (void)how; /* read-ahead is the handle's matter here */
    HANDLE mapping = CreateFileMappingW(file, NULL, PAGE_READONLY, 0, 0, NULL);
    if (!mapping)
        return last_error();
    *map = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    int32_t status = *map ? 0 : last_error();
    CloseHandle(mapping); /* the view keeps it */
    return status;
}

static inline void file_unmap(const char *map, int64_t size)
{
    (void)size;
    UnmapViewOfFile(map);
}

/* Unlocking what was never locked takes the pages from this process and says so by an error; they stay in memory. */
static inline int32_t map_forget(const char *from, int64_t size)
{
    VirtualUnlock((void *)from, (SIZE_T)size);
    return 0;
}

static inline int64_t page_size(void)
{
    SYSTEM_INFO system;
    GetSystemInfo(&system);
    return system.dwPageSize;
}

static inline char *pages_new(int64_t size)
{
    return VirtualAlloc(NULL, (SIZE_T)size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

static inline void pages_free(char *pages)
{
    if (pages)
        VirtualFree(pages, 0, MEM_RELEASE);
}

#else

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "files.h"

typedef int file_t;

static inline int32_t file_open(file_t *file, const char *path, int32_t how, opening_t opening)
{
    static const int flags[] = {[OPEN_READ] = O_RDONLY, [OPEN_WRITE] = O_WRONLY, [OPEN_NEW] = O_WRONLY | O_CREAT | O_EXCL};
    *file = open(path, flags[opening] | O_CLOEXEC | (how & PROBE_BLOCKS_DIRECT ? O_DIRECT : 0), 0600);
    if (*file < 0)
        return last_error();
    int32_t status = how & PROBE_BLOCKS_NO_READ_AHEAD ? -posix_fadvise(*file, 0, 0, POSIX_FADV_RANDOM) : 0;
    if (status)
        close(*file);
    return status;
}

static inline void file_close(file_t file)
{
    close(file);
}

static inline int32_t file_for_thread(file_t *own, file_t file, const char *path, int32_t how)
{
    (void)path;
    (void)how;
    *own = file;
    return 0;
}

static inline void file_of_thread_close(file_t own)
{
    (void)own; /* shared by all threads */
}

static inline int64_t file_size(file_t file)
{
    struct stat about;
    return fstat(file, &about) < 0 ? last_error() : about.st_size;
}

static inline int32_t file_read(file_t file, char *buffer, int64_t size, int64_t offset)
{
    for (int64_t done = 0; done < size;) {
        ssize_t got = pread(file, buffer + done, (size_t)(size - done), offset + done);
        if (got < 0)
            return last_error();
        if (got == 0)
            return -EIO; /* shorter than it was written */
        done += got;
    }
    return 0;
}

static inline int32_t file_write(file_t file, const char *buffer, int64_t size, int64_t offset)
{
    for (int64_t done = 0; done < size;) {
        ssize_t written = pwrite(file, buffer + done, (size_t)(size - done), offset + done);
        if (written < 0)
            return last_error();
        done += written;
    }
    return 0;
}

static inline int32_t file_sync(file_t file, int32_t how)
{
    return (how & PROBE_BLOCKS_DATA_ONLY ? fdatasync(file) : fsync(file)) ? last_error() : 0;
}

static inline int32_t file_map(file_t file, int64_t size, int32_t how, const char **map)
{
    void *mapped = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        return last_error();
    *map = mapped;
    return how & PROBE_BLOCKS_NO_READ_AHEAD && madvise(mapped, (size_t)size, MADV_RANDOM) ? last_error() : 0;
}

static inline void file_unmap(const char *map, int64_t size)
{
    munmap((void *)map, (size_t)size);
}

static inline int32_t map_forget(const char *from, int64_t size)
{
    return madvise((void *)from, (size_t)size, MADV_DONTNEED) ? last_error() : 0;
}

static inline int64_t page_size(void)
{
    return sysconf(_SC_PAGESIZE);
}

/* Begins on a page, as O_DIRECT asks. */
static inline char *pages_new(int64_t size)
{
    void *pages = NULL;
    return posix_memalign(&pages, 4096, (size_t)size) ? NULL : pages;
}

static inline void pages_free(char *pages)
{
    free(pages);
}

#endif
#endif
