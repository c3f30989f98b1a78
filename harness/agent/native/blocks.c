/* Blocks of one file (POSIX). Each 4 KiB of it begin with their own offset in the file, which every read checks. */
#ifndef _WIN32
#define _GNU_SOURCE
#include "overhead_probe.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "clock.h"
#include "files.h"
#include "threads.h"

#define STAMPED 4096 /* also what O_DIRECT may ask of an address, a size and an offset */

static char *new_buffer(int64_t size)
{
    void *buffer = NULL;
    if (posix_memalign(&buffer, STAMPED, (size_t)size))
        return NULL;
    fill(buffer, size);
    return buffer;
}

static void stamp(char *buffer, int64_t offset, int64_t size)
{
    for (int64_t at = 0; at < size; at += STAMPED, offset += STAMPED)
        memcpy(buffer + at, &offset, sizeof offset);
}

static int open_flags(int32_t how)
{
    return O_CLOEXEC | (how & PROBE_BLOCKS_DIRECT ? O_DIRECT : 0);
}

static int32_t wrong_size(int64_t blocks, int64_t size)
{
    return blocks < 1 || size < STAMPED || size % STAMPED;
}

static int32_t timed_sync(int file, int32_t how, double *seconds)
{
    int64_t start = clock_now();
    int failed = how & PROBE_BLOCKS_DATA_ONLY ? fdatasync(file) : fsync(file);
    *seconds = clock_seconds(clock_now() - start);
    return failed ? last_error() : 0;
}

int32_t probe_blocks_write(const char *path, int32_t how, int64_t blocks, int64_t size, double *seconds)
{
    if (wrong_size(blocks, size))
        return -EINVAL;
    char *buffer = new_buffer(size);
    if (!buffer)
        return -ENOMEM;
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | open_flags(how), 0600);
    int32_t status = file < 0 ? last_error() : 0;
    for (int64_t block = 0; block < blocks && !status; block++) {
        stamp(buffer, block * size, size);
        int64_t start = clock_now();
        status = write_all(file, buffer, size);
        seconds[block] = clock_seconds(clock_now() - start);
    }
    if (!status)
        status = timed_sync(file, how, &seconds[blocks]);
    if (file >= 0)
        close(file);
    free(buffer);
    return status;
}

typedef struct {
    int file;
    const char *map; /* NULL: pread */
    int64_t page;    /* of the system's memory */
    const int64_t *offsets;
    int64_t blocks, size, limit;
    double *seconds;
    int32_t threads;
    lock_t lock;
    condition_t changed;
    int32_t ready;   /* threads */
    int32_t started; /* 0: wait, 1: go, -1: a thread could not be started, end */
} reading_t;

typedef struct {
    reading_t *reading;
    int32_t index;
    int32_t status;
    int64_t start, end; /* of its first and last read */
} reader_t;

static int32_t read_block(const reading_t *reading, char *buffer, int64_t offset)
{
    if (reading->map)
        memcpy(buffer, reading->map + offset, (size_t)reading->size);
    for (int64_t done = reading->map ? reading->size : 0; done < reading->size;) {
        ssize_t got = pread(reading->file, buffer + done, (size_t)(reading->size - done), offset + done);
        if (got < 0)
            return last_error();
        if (got == 0)
            return -EIO; /* shorter than it was written */
        done += got;
    }
    return memcmp(buffer, &offset, sizeof offset) ? -EIO : 0;
}

/* Unmap the block, which a fault beside it may have mapped too: then reading it is a fault. Its page stays cached. */
static int32_t unmap_block(const reading_t *reading, int64_t offset)
{
    int64_t begin = offset - offset % reading->page;
    size_t length = (size_t)(offset + reading->size - begin);
    return madvise((char *)reading->map + begin, length, MADV_DONTNEED) ? last_error() : 0;
}

/* One read of the clock between two operations: its end is the next one's start. */
static void read_part(reader_t *reader, char *buffer)
{
    const reading_t *reading = reader->reading;
    int64_t block = reading->blocks * reader->index / reading->threads;
    int64_t last = reading->blocks * (reader->index + 1) / reading->threads;
    int64_t limit = reading->limit ? reading->limit : INT64_MAX;
    int64_t before = reader->start = clock_now();
    for (; block < last && !reader->status && before - reader->start < limit; block++) {
        if (reading->map) {
            reader->status = unmap_block(reading, reading->offsets[block]);
            before = clock_now();
        }
        if (!reader->status)
            reader->status = read_block(reading, buffer, reading->offsets[block]);
        int64_t now = clock_now();
        reading->seconds[block] = clock_seconds(now - before);
        before = now;
    }
    reader->end = before;
    for (; block < last; block++)
        reading->seconds[block] = -1.0;
}

static int32_t wait_for_start(reading_t *reading)
{
    lock_acquire(&reading->lock);
    reading->ready++;
    condition_wake_all(&reading->changed);
    while (reading->started == 0)
        condition_wait(&reading->changed, &reading->lock);
    int32_t started = reading->started;
    lock_release(&reading->lock);
    return started;
}

static THREAD_RESULT read_in_thread(void *argument)
{
    reader_t *reader = argument;
    char *buffer = new_buffer(reader->reading->size);
    if (wait_for_start(reader->reading) > 0) {
        if (buffer)
            read_part(reader, buffer);
        else
            reader->status = -ENOMEM;
    }
    free(buffer);
    return 0;
}

static void start_all(reading_t *reading, int32_t threads, int error)
{
    lock_acquire(&reading->lock);
    while (reading->ready < threads)
        condition_wait(&reading->changed, &reading->lock);
    reading->started = error ? -1 : 1;
    condition_wake_all(&reading->changed);
    lock_release(&reading->lock);
}

static int32_t read_in_threads(reading_t *reading, reader_t *readers, thread_t *handles)
{
    int error = 0;
    int32_t running = 0;
    while (running < reading->threads && !error) {
        readers[running] = (reader_t){.reading = reading, .index = running};
        error = thread_start(&handles[running], read_in_thread, &readers[running]);
        if (!error)
            running++;
    }
    start_all(reading, running, error);
    int64_t start = INT64_MAX, end = 0;
    int32_t status = -error;
    for (int32_t i = 0; i < running; i++) {
        thread_join(handles[i]);
        status = status ? status : readers[i].status;
        start = readers[i].start < start ? readers[i].start : start;
        end = readers[i].end > end ? readers[i].end : end;
    }
    reading->seconds[reading->blocks] = clock_seconds(end - start);
    return status;
}

/* 0, or -EIO for a file that does not hold every block: beyond its end a mapping would end the process. */
static int32_t check_offsets(int file, const int64_t *offsets, int64_t blocks, int64_t size)
{
    struct stat about;
    if (fstat(file, &about) < 0)
        return last_error();
    for (int64_t block = 0; block < blocks; block++)
        if (offsets[block] < 0 || offsets[block] > about.st_size - size)
            return -EIO;
    return 0;
}

static int32_t map_file(reading_t *reading, int32_t how, int64_t *length)
{
    struct stat about;
    if (fstat(reading->file, &about) < 0)
        return last_error();
    void *map = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, reading->file, 0);
    if (map == MAP_FAILED)
        return last_error();
    reading->map = map;
    *length = about.st_size;
    return how & PROBE_BLOCKS_NO_READ_AHEAD && madvise(map, (size_t)about.st_size, MADV_RANDOM) ? last_error() : 0;
}

static int32_t read_open_file(reading_t *reading, int32_t how)
{
    int64_t mapped = 0;
    int32_t status = check_offsets(reading->file, reading->offsets, reading->blocks, reading->size);
    if (!status && how & PROBE_BLOCKS_NO_READ_AHEAD)
        status = -posix_fadvise(reading->file, 0, 0, POSIX_FADV_RANDOM);
    if (!status && how & PROBE_BLOCKS_MAPPED)
        status = map_file(reading, how, &mapped);
    reader_t *readers = malloc(sizeof(reader_t) * (size_t)reading->threads);
    thread_t *handles = malloc(sizeof(thread_t) * (size_t)reading->threads);
    if (!status)
        status = readers && handles ? read_in_threads(reading, readers, handles) : -ENOMEM;
    if (reading->map)
        munmap((void *)reading->map, (size_t)mapped);
    free(handles);
    free(readers);
    return status;
}

int32_t probe_blocks_read(const char *path, int32_t how, int32_t threads, const int64_t *offsets, int64_t blocks,
                          int64_t size, int64_t limit, double *seconds)
{
    if (wrong_size(blocks, size) || threads < 1 || threads > blocks || limit < 0)
        return -EINVAL;
    reading_t reading = {.page = sysconf(_SC_PAGESIZE), .offsets = offsets, .blocks = blocks, .size = size,
                         .limit = limit, .seconds = seconds, .threads = threads, .lock = LOCK_INITIAL,
                         .changed = CONDITION_INITIAL};
    reading.file = open(path, O_RDONLY | open_flags(how));
    if (reading.file < 0)
        return last_error();
    int32_t status = read_open_file(&reading, how);
    close(reading.file);
    return status;
}

static int32_t sync_block(int file, int32_t how, char *buffer, int64_t offset, int64_t size)
{
    stamp(buffer, offset, size);
    for (int64_t done = 0; done < size;) {
        ssize_t written = pwrite(file, buffer + done, (size_t)(size - done), offset + done);
        if (written < 0)
            return last_error();
        done += written;
    }
    return (how & PROBE_BLOCKS_DATA_ONLY ? fdatasync(file) : fsync(file)) ? last_error() : 0;
}

int32_t probe_blocks_sync(const char *path, int32_t how, const int64_t *offsets, int64_t blocks, int64_t size,
                          int64_t limit, double *seconds)
{
    if (wrong_size(blocks, size) || limit < 0)
        return -EINVAL;
    int file = open(path, O_WRONLY | open_flags(how));
    if (file < 0)
        return last_error();
    char *buffer = new_buffer(size);
    int32_t status = buffer ? check_offsets(file, offsets, blocks, size) : -ENOMEM;
    int64_t block = 0, start = clock_now(), before = start;
    for (; block < blocks && !status && (!limit || before - start < limit); block++) {
        status = sync_block(file, how, buffer, offsets[block], size);
        int64_t now = clock_now();
        seconds[block] = clock_seconds(now - before);
        before = now;
    }
    seconds[blocks] = clock_seconds(before - start);
    for (; block < blocks; block++)
        seconds[block] = -1.0;
    free(buffer);
    close(file);
    return status;
}

#endif
