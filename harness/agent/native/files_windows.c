/* Small files on Windows. A location's depth is in every path there: Win32 has no names relative to a directory. */
#ifdef _WIN32
#include "overhead_probe.h"

#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "clock.h"
#include "fill.h"
#include "windows_files.h"

typedef int32_t operation_t(const wchar_t *path, char *buffer, int64_t size);

static int32_t read_all(HANDLE file, char *buffer, int64_t size)
{
    while (size > 0) {
        DWORD piece = size > 1 << 30 ? 1 << 30 : (DWORD)size, got;
        if (!ReadFile(file, buffer, piece, &got, NULL))
            return last_error();
        if (got == 0)
            return -EIO; /* shorter than it was written */
        buffer += got;
        size -= got;
    }
    return 0;
}

static int32_t create_one(const wchar_t *path, char *buffer, int64_t size)
{
    HANDLE file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return last_error();
    int32_t status = write_all(file, buffer, size);
    if (!CloseHandle(file) && !status)
        status = last_error();
    return status;
}

static int32_t stat_one(const wchar_t *path, char *buffer, int64_t size)
{
    (void)buffer;
    WIN32_FILE_ATTRIBUTE_DATA about;
    if (!GetFileAttributesExW(path, GetFileExInfoStandard, &about))
        return last_error();
    return ((int64_t)about.nFileSizeHigh << 32 | about.nFileSizeLow) == size ? 0 : -EIO;
}

static int32_t open_and_read(const wchar_t *path, char *buffer, int64_t size, DWORD flags)
{
    HANDLE file = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, flags, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return last_error();
    int32_t status = read_all(file, buffer, size);
    CloseHandle(file);
    return status;
}

static int32_t read_one(const wchar_t *path, char *buffer, int64_t size)
{
    return open_and_read(path, buffer, size, FILE_ATTRIBUTE_NORMAL);
}

static int32_t read_one_from_disk(const wchar_t *path, char *buffer, int64_t size)
{
    return open_and_read(path, buffer, size, FILE_FLAG_NO_BUFFERING);
}

static int32_t unlink_one(const wchar_t *path, char *buffer, int64_t size)
{
    (void)buffer;
    (void)size;
    return DeleteFileW(path) ? 0 : last_error();
}

static int32_t time_each(operation_t *operation, wchar_t *path, char *buffer, int64_t files, int64_t size,
                         double *seconds)
{
    size_t length = wcslen(path);
    int32_t status = length + 32 > PATH_UNITS ? -ENAMETOOLONG : 0;
    for (int64_t file = 0; file < files && !status; file++) {
        swprintf(path + length, 32, L"\\%lld", (long long)file);
        int64_t start = clock_now();
        status = operation(path, buffer, size);
        seconds[file] = clock_seconds(clock_now() - start);
    }
    return status;
}

static int32_t for_each(operation_t *operation, const char *directory, int64_t files, int64_t size, double *seconds)
{
    wchar_t *path = malloc(PATH_UNITS * sizeof *path);
    char *buffer = VirtualAlloc(NULL, size > 0 ? (SIZE_T)size : 1, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    int32_t status = path && buffer ? wide_path(directory, path) : -ENOMEM;
    if (!status) {
        fill(buffer, size);
        status = time_each(operation, path, buffer, files, size, seconds);
    }
    if (buffer)
        VirtualFree(buffer, 0, MEM_RELEASE);
    free(path);
    return status;
}

int32_t probe_files_create(const char *directory, int64_t files, int64_t size, double *seconds)
{
    return for_each(create_one, directory, files, size, seconds);
}

int32_t probe_files_stat(const char *directory, int64_t files, int64_t size, double *seconds)
{
    return for_each(stat_one, directory, files, size, seconds);
}

int32_t probe_files_read(const char *directory, int64_t files, int64_t size, double *seconds)
{
    return for_each(read_one, directory, files, size, seconds);
}

int32_t probe_files_read_unbuffered(const char *directory, int64_t files, int64_t size, double *seconds)
{
    return size % 4096 ? -EINVAL : for_each(read_one_from_disk, directory, files, size, seconds);
}

int32_t probe_files_unlink(const char *directory, int64_t files, int64_t size, double *seconds)
{
    return for_each(unlink_one, directory, files, size, seconds);
}

static int64_t count_entries(const wchar_t *pattern)
{
    WIN32_FIND_DATAW entry;
    HANDLE search = FindFirstFileExW(pattern, FindExInfoBasic, &entry, FindExSearchNameMatch, NULL,
                                     FIND_FIRST_EX_LARGE_FETCH);
    if (search == INVALID_HANDLE_VALUE)
        return last_error();
    int64_t found = 1;
    while (FindNextFileW(search, &entry))
        found++;
    FindClose(search);
    return found;
}

int32_t probe_files_list(const char *directory, int64_t files, double *seconds)
{
    wchar_t *pattern = malloc(PATH_UNITS * sizeof *pattern);
    int32_t status = pattern ? wide_path(directory, pattern) : -ENOMEM;
    if (!status && wcslen(pattern) + 3 > PATH_UNITS)
        status = -ENAMETOOLONG;
    if (!status) {
        wcscat(pattern, L"\\*");
        int64_t start = clock_now();
        int64_t found = count_entries(pattern);
        *seconds = clock_seconds(clock_now() - start);
        status = found < 0 ? (int32_t)found : found == files + 2 ? 0 : -EIO; /* . and .. */
    }
    free(pattern);
    return status;
}

#endif
