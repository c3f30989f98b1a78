/* Blocks of one file. Each 4 KiB of it begin with their own offset in the file, which every read checks. */
#define _GNU_SOURCE
#include "overhead_probe.h"

#include <stdlib.h>
#include <string.h>

#include "block_file.h"
#include "clock.h"
#include "fill.h"
#include "threads.h"

#define STAMPED 4096 /* also what O_DIRECT may ask of an address, a size and an offset */

static char *new_buffer(int64_t size)
{
    char *buffer = pages_new(size);
    if (buffer)
        fill(buffer, size);
    return buffer;
}

static void stamp(char *buffer, int64_t offset, int64_t size)
{
    for (int64_t at = 0; at < size; at += STAMPED, offset += STAMPED)
        memcpy(buffer + at, &offset, sizeof offset);
}

static int32_t wrong_size(int64_t blocks, int64_t size)
{
    return blocks < 1 || size < STAMPED || size % STAMPED;
}

static int32_t timed_sync(file_t file, int32_t how, double *seconds)
{
    int64_t start = clock_now();
    int32_t status = file_sync(file, how);
    *seconds = clock_seconds(clock_now() - start);
    return status;
}

static int32_t write_blocks(file_t file, char *buffer, int64_t blocks, int64_t size, double *seconds)
{
    int32_t status = 0;
    for (int64_t block = 0; block < blocks && !status; block++) {
        stamp(buffer, block * size, size);
        int64_t start = clock_now();
        status = file_write(file, buffer, size, block * size);
        seconds[block] = clock_seconds(clock_now() - start);
    }
    return status;
}

int32_t probe_blocks_write(const char *path, int32_t how, int64_t blocks, int64_t size, double *seconds)
{
    if (wrong_size(blocks, size))
        return -EINVAL;
    char *buffer = new_buffer(size);
    if (!buffer)
        return -ENOMEM;
    file_t file;
    int32_t status = file_open(&file, path, how, OPEN_NEW);
    if (!status) {
        status = write_blocks(file, buffer, blocks, size, seconds);
        if (!status)
            status = timed_sync(file, how, &seconds[blocks]);
        file_close(file);
    }
    pages_free(buffer);
    return status;
}

typedef struct {
    const char *path;
    int32_t how;
    file_t file;
    const char *map; /* NULL: read from the file */
    int64_t page;    /* of the system's memory */
    const int64_t *offsets;
    int64_t blocks, size;
    int64_t limit; /* ticks of the clock */
    double *seconds;
    int32_t threads;
    lock_t lock;
    condition_t changed;
    int32_t ready;   /* threads */
    int32_t started; /* 0: wait, 1: go, -1: a thread could not be started, end */
} reading_t;

typedef struct {
    reading_t *reading;
    file_t file;
    int32_t index;
    int32_t status;
    int64_t start, end; /* of its first and last read */
} reader_t;

static int32_t read_block(const reader_t *reader, char *buffer, int64_t offset)
{
    const reading_t *reading = reader->reading;
    int32_t status = 0;
    if (reading->map)
        memcpy(buffer, reading->map + offset, (size_t)reading->size);
    else
        status = file_read(reader->file, buffer, reading->size, offset);
    return !status && memcmp(buffer, &offset, sizeof offset) ? -EIO : status;
}

/* Unmap the block, which a fault beside it may have mapped too: then reading it is a fault. Its page stays cached. */
static int32_t unmap_block(const reading_t *reading, int64_t offset)
{
    int64_t begin = offset - offset % reading->page;
    return map_forget(reading->map + begin, offset + reading->size - begin);
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
            reader->status = read_block(reader, buffer, reading->offsets[block]);
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
    reading_t *reading = reader->reading;
    char *buffer = new_buffer(reading->size);
    int32_t status = file_for_thread(&reader->file, reading->file, reading->path, reading->how);
    if (wait_for_start(reading) > 0) {
        reader->status = buffer ? status : -ENOMEM;
        if (!reader->status)
            read_part(reader, buffer);
    }
    if (!status)
        file_of_thread_close(reader->file);
    pages_free(buffer);
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

/* 0, or -EIO for a file that does not hold every block: beyond its end a mapping would end the process. `bytes` is its
 * size, or the error that asking for it gave. */
static int32_t check_offsets(int64_t bytes, const int64_t *offsets, int64_t blocks, int64_t size)
{
    if (bytes < 0)
        return (int32_t)bytes;
    for (int64_t block = 0; block < blocks; block++)
        if (offsets[block] < 0 || offsets[block] > bytes - size)
            return -EIO;
    return 0;
}

static int32_t read_open_file(reading_t *reading)
{
    int64_t bytes = file_size(reading->file);
    int32_t status = check_offsets(bytes, reading->offsets, reading->blocks, reading->size);
    if (!status && reading->how & PROBE_BLOCKS_MAPPED)
        status = file_map(reading->file, bytes, reading->how, &reading->map);
    reader_t *readers = malloc(sizeof(reader_t) * (size_t)reading->threads);
    thread_t *handles = malloc(sizeof(thread_t) * (size_t)reading->threads);
    if (!status)
        status = readers && handles ? read_in_threads(reading, readers, handles) : -ENOMEM;
    if (reading->map)
        file_unmap(reading->map, bytes);
    free(handles);
    free(readers);
    return status;
}

int32_t probe_blocks_read(const char *path, int32_t how, int32_t threads, const int64_t *offsets, int64_t blocks,
                          int64_t size, int64_t limit, double *seconds)
{
    if (wrong_size(blocks, size) || threads < 1 || threads > blocks || limit < 0)
        return -EINVAL;
    reading_t reading = {.path = path, .how = how, .page = page_size(), .offsets = offsets, .blocks = blocks,
                         .size = size, .limit = clock_ticks(limit), .seconds = seconds, .threads = threads,
                         .lock = LOCK_INITIAL, .changed = CONDITION_INITIAL};
    int32_t status = file_open(&reading.file, path, how, OPEN_READ);
    if (status)
        return status;
    status = read_open_file(&reading);
    file_close(reading.file);
    return status;
}

static int32_t sync_block(file_t file, int32_t how, char *buffer, int64_t offset, int64_t size)
{
    stamp(buffer, offset, size);
    int32_t status = file_write(file, buffer, size, offset);
    return status ? status : file_sync(file, how);
}

static int32_t sync_blocks(file_t file, int32_t how, char *buffer, const int64_t *offsets, int64_t blocks, int64_t size,
                           int64_t limit, double *seconds)
{
    int32_t status = 0;
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
    return status;
}

int32_t probe_blocks_sync(const char *path, int32_t how, const int64_t *offsets, int64_t blocks, int64_t size,
                          int64_t limit, double *seconds)
{
    if (wrong_size(blocks, size) || limit < 0)
        return -EINVAL;
    file_t file;
    int32_t status = file_open(&file, path, how, OPEN_WRITE);
    if (status)
        return status;
    char *buffer = new_buffer(size);
    status = buffer ? check_offsets(file_size(file), offsets, blocks, size) : -ENOMEM;
    if (!status)
        status = sync_blocks(file, how, buffer, offsets, blocks, size, clock_ticks(limit), seconds);
    pages_free(buffer);
    file_close(file);
    return status;
}
