/* Small files (POSIX). Names are relative to an open directory: a location's depth is not what is measured. */
#ifndef _WIN32
#define _GNU_SOURCE
#include "overhead_probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"
#include "fill.h"

typedef int32_t operation_t(int directory, const char *name, char *buffer, int64_t size);

static int32_t read_all(int file, char *buffer, int64_t size)
{
    while (size > 0) {
        ssize_t got = read(file, buffer, (size_t)size);
        if (got < 0)
            return last_error();
        if (got == 0)
            return -EIO; /* shorter than it was written */
        buffer += got;
        size -= got;
    }
    return 0;
}

static int32_t create_one(int directory, const char *name, char *buffer, int64_t size)
{
    int file = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return last_error();
    int32_t status = write_all(file, buffer, size);
    if (close(file) < 0 && !status)
        status = last_error();
    return status;
}

static int32_t stat_one(int directory, const char *name, char *buffer, int64_t size)
{
    (void)buffer;
    struct stat about;
    if (fstatat(directory, name, &about, 0) < 0)
        return last_error();
    return about.st_size == size ? 0 : -EIO;
}

static int32_t read_one(int directory, const char *name, char *buffer, int64_t size)
{
    int file = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return last_error();
    int32_t status = read_all(file, buffer, size);
    close(file);
    return status;
}

static int32_t unlink_one(int directory, const char *name, char *buffer, int64_t size)
{
    (void)buffer;
    (void)size;
    return unlinkat(directory, name, 0) < 0 ? last_error() : 0;
}

static int32_t for_each(operation_t *operation, const char *path, int64_t files, int64_t size, double *seconds)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return last_error();
    char *buffer = malloc(size > 0 ? (size_t)size : 1);
    int32_t status = buffer ? 0 : -ENOMEM;
    if (buffer)
        fill(buffer, size);
    for (int64_t file = 0; file < files && !status; file++) {
        char name[32];
        snprintf(name, sizeof name, "%lld", (long long)file);
        int64_t start = clock_now();
        status = operation(directory, name, buffer, size);
        seconds[file] = clock_seconds(clock_now() - start);
    }
    free(buffer);
    close(directory);
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

int32_t probe_files_unlink(const char *directory, int64_t files, int64_t size, double *seconds)
{
    return for_each(unlink_one, directory, files, size, seconds);
}

int32_t probe_files_list(const char *directory, int64_t files, double *seconds)
{
    int64_t found = 0;
    int64_t start = clock_now();
    DIR *stream = opendir(directory);
    if (!stream)
        return last_error();
    while (readdir(stream))
        found++;
    closedir(stream);
    *seconds = clock_seconds(clock_now() - start);
    return found == files + 2 ? 0 : -EIO; /* . and .. */
}

#endif
