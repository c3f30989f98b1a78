/* The hot loops of the micro-probes: one library, built by one compiler for every operating system, loaded by ctypes
 * (harness/agent/helper.py), so that neither interpreter nor libc is what is compared.
 *
 * ABI. Plain C. Every function but `probe_abi` and `probe_fused` returns 0, or a negative errno. `samples` counts the
 * entries of `seconds`, which the caller owns and which get one value each, in the order measured. `calls` is how many
 * operations make one sample; the value is then the mean of one operation. The clock is CLOCK_MONOTONIC, on Windows
 * QueryPerformanceCounter: what Python's perf_counter reads.
 *
 * A change of a signature or of what a function measures raises PROBE_ABI.
 */
#ifndef OVERHEAD_PROBE_H
#define OVERHEAD_PROBE_H

#include <stdint.h>

#define PROBE_ABI 2

#ifdef _WIN32
#define PROBE_EXPORT __declspec(dllexport)
#else
#define PROBE_EXPORT __attribute__((visibility("default")))
#endif

/* loops.c: every operating system */
PROBE_EXPORT int32_t probe_abi(void);
/* 1 when `probe_fma` uses the processor's fused multiply-add, 0 when a multiplication and an addition. */
PROBE_EXPORT int32_t probe_fused(void);
/* One read of the clock. */
PROBE_EXPORT int32_t probe_clock(int64_t samples, int64_t calls, double *seconds);
/* One call of an empty function: what the loops themselves cost. */
PROBE_EXPORT int32_t probe_empty_call(int64_t samples, int64_t calls, double *seconds);
/* A chain of `calls` multiply-adds, each waiting for the one before, in registers. The value is the whole chain's. */
PROBE_EXPORT int32_t probe_fma(int64_t samples, int64_t calls, double *seconds);
/* Spins until `nanoseconds` have passed; the value is what passed on the clock around it. */
PROBE_EXPORT int32_t probe_spin(int64_t samples, int64_t nanoseconds, double *seconds);

/* memory.c: every operating system */
/* a[i] = b[i] + 3 c[i] over arrays of `bytes` each, split over `threads`; a sample is one pass over all of them.
 * The memory is bound to the NUMA node `node`, -1 leaves it where its thread is. */
PROBE_EXPORT int32_t probe_triad(int64_t samples, int64_t bytes, int32_t threads, int32_t node, double *seconds);

/* chase.c: every operating system */
/* Dependent loads, one in each line of `line_bytes`, through `bytes` in a random cyclic order that `seed` fixes; a
 * sample is the mean of `loads` of them, after one time round. Of small pages (`pages` 1) or huge ones (2); *huge_bytes
 * is how much came to lie on huge ones, or a negative errno. The thread is bound to `cpu`, the memory to the NUMA node
 * `node`, -1 for neither. -EIO if the order proves wrong or the memory is on another node. */
PROBE_EXPORT int32_t probe_chase(int64_t samples, int64_t loads, int64_t bytes, int64_t line_bytes, uint64_t seed,
                                 int32_t pages, int32_t cpu, int32_t node, int64_t *huge_bytes, double *seconds);

/* faults.c: every operating system */
/* A write to the first byte of each `page` bytes of `bytes` of fresh memory, in order; the value is the mean of one.
 * `pages` as in probe_chase; `huge_bytes` gets one value a sample. With `touched`, the memory has been written before:
 * what remains is the loop. */
PROBE_EXPORT int32_t probe_faults(int64_t samples, int64_t bytes, int64_t page, int32_t pages, int32_t touched,
                                  int64_t *huge_bytes, double *seconds);

/* timer.c: every operating system */
/* How long after each end of a period of `nanoseconds` a sleeper runs again, by the system's finest timer. */
PROBE_EXPORT int32_t probe_lateness(int64_t samples, int64_t nanoseconds, double *seconds);
/* How long the shortest sleep takes that the timer can be asked for: 1 ns, on Windows 100 ns. */
PROBE_EXPORT int32_t probe_shortest_sleep(int64_t samples, double *seconds);

/* switch.c. A value is half of a round trip, the mean of `calls` round trips: one thread hands over to another and
 * waits until it is handed back. Both are bound to `cpu`, -1 leaves them free. */
/* By a lock and a condition, every operating system: between two threads. */
PROBE_EXPORT int32_t probe_switch_condition(int64_t samples, int64_t calls, int32_t cpu, double *seconds);

/* threads.c: every operating system */
/* One thread that does nothing, from its creation until it is joined. */
PROBE_EXPORT int32_t probe_thread(int64_t samples, double *seconds);

/* cpuid.c: every operating system on x86-64, else -ENOSYS */
/* The registers EBX, ECX, EDX of CPUID leaf 0x40000000, in which a hypervisor names itself, as exact numbers instead of
 * seconds; all 0 where the processor says that there is none. `values` is 3. */
PROBE_EXPORT int32_t probe_hypervisor(int64_t values, double *seconds);

/* process.c: every operating system */
/* The cheapest call that nothing answers before the kernel: getppid by syscall(2), which no libc caches and no vDSO
 * has; on Windows NtGetCurrentProcessorNumber, -ENOSYS where ntdll lacks it. */
PROBE_EXPORT int32_t probe_syscall(int64_t samples, int64_t calls, double *seconds);

/* switch.c: every operating system. The same by a byte through a pipe each way: between two threads. */
PROBE_EXPORT int32_t probe_switch_threads(int64_t samples, int64_t calls, int32_t cpu, double *seconds);

#ifndef _WIN32
/* process.c: POSIX */
/* One process that ends at once, from its creation until it is waited for; `fork` copies the caller's page tables. */
PROBE_EXPORT int32_t probe_fork(int64_t samples, double *seconds);
PROBE_EXPORT int32_t probe_vfork(int64_t samples, double *seconds);

/* switch.c: POSIX. By pipes between two processes. */
PROBE_EXPORT int32_t probe_switch_processes(int64_t samples, int64_t calls, int32_t cpu, double *seconds);
#endif

/* files.c, files_windows.c. Files `0`…`files - 1` of `directory`; one value a file. */
/* Open a new file, write `size` bytes, close; nothing is forced to the disk. */
PROBE_EXPORT int32_t probe_files_create(const char *directory, int64_t files, int64_t size, double *seconds);
PROBE_EXPORT int32_t probe_files_stat(const char *directory, int64_t files, int64_t size, double *seconds);
/* Open, read `size` bytes, close. */
PROBE_EXPORT int32_t probe_files_read(const char *directory, int64_t files, int64_t size, double *seconds);
#ifdef _WIN32
/* The same past the file cache (FILE_FLAG_NO_BUFFERING); `size` is a multiple of 4096. */
PROBE_EXPORT int32_t probe_files_read_unbuffered(const char *directory, int64_t files, int64_t size, double *seconds);
#endif
PROBE_EXPORT int32_t probe_files_unlink(const char *directory, int64_t files, int64_t size, double *seconds);
/* Read the whole directory once. One value in all; -EIO unless it holds `files` entries. */
PROBE_EXPORT int32_t probe_files_list(const char *directory, int64_t files, double *seconds);

/* blocks.c: every operating system. One file of blocks; `blocks` (and `offsets`, in bytes) of `size` bytes each, a multiple of 4096. */
#define PROBE_BLOCKS_DIRECT 1        /* O_DIRECT, FILE_FLAG_NO_BUFFERING: past the page cache */
#define PROBE_BLOCKS_NO_READ_AHEAD 2 /* POSIX_FADV_RANDOM, MADV_RANDOM, FILE_FLAG_RANDOM_ACCESS */
#define PROBE_BLOCKS_MAPPED 4        /* copied out of a shared mapping, each by a page fault */
#define PROBE_BLOCKS_DATA_ONLY 8     /* fdatasync instead of fsync; -ENOTSUP on Windows */
/* Write a new file from its start, then fsync. `blocks` + 1 values: each write, then the fsync. */
PROBE_EXPORT int32_t probe_blocks_write(const char *path, int32_t how, int64_t blocks, int64_t size, double *seconds);
/* Read each block, the list cut into one part a thread; no read begins after `limit` nanoseconds (0: no limit).
 * `blocks` + 1 values: each read, -1 where it was not begun; then from the first one's start to the last one's end.
 * -EIO unless each block is as probe_blocks_write (or the Python loop) has made it. */
PROBE_EXPORT int32_t probe_blocks_read(const char *path, int32_t how, int32_t threads, const int64_t *offsets,
                                       int64_t blocks, int64_t size, int64_t limit, double *seconds);
/* Overwrite each block and force it to the disk, by one thread; `limit` and the values as above. */
PROBE_EXPORT int32_t probe_blocks_sync(const char *path, int32_t how, const int64_t *offsets, int64_t blocks,
                                       int64_t size, int64_t limit, double *seconds);

/* cuda.c: every operating system. Calls of the CUDA driver through `driver`, in the context that is current. A call that
 * fails ends the loop, which returns -(PROBE_CUDA_FAILURE + 1000 × its place in cuda_driver_t + its CUresult). */
#define PROBE_CUDA_FAILURE 1000000
struct cuda_driver;
struct cuda_operation;
/* cuCtxGetCurrent: what entering the driver costs. */
PROBE_EXPORT int32_t probe_cuda_call(const struct cuda_driver *driver, int64_t samples, int64_t calls, double *seconds);
/* A sample enqueues all of `count` operations `repeats` times, with cuStreamQuery after each if `flushed`, then waits
 * for their streams; those of one stream stand side by side. Two values a sample: until all was enqueued, until all
 * was done. -EAGAIN if an event had come that was expected to be pending. */
PROBE_EXPORT int32_t probe_cuda_enqueue(const struct cuda_driver *driver, int64_t samples,
                                        const struct cuda_operation *operations, int64_t count, int64_t repeats,
                                        int32_t flushed, double *seconds);
/* One operation; after every `batch` of them the stream is waited for, untimed. */
PROBE_EXPORT int32_t probe_cuda_each(const struct cuda_driver *driver, int64_t samples,
                                     const struct cuda_operation *operation, int64_t batch, int32_t flushed,
                                     double *seconds);
/* `bytes` of a kind of memory (enum cuda_memory) allocated and freed again. Two values a sample: one, then the other.
 * `memory` is what CUDA_REGISTERED registers, `stream` where CUDA_POOL_MEMORY is ordered. */
PROBE_EXPORT int32_t probe_cuda_allocate(const struct cuda_driver *driver, int64_t samples, int32_t kind,
                                         uint64_t bytes, void *stream, void *memory, double *seconds);
/* Two operations at once, the second on a thread of its own; a sample ends when both are done. */
PROBE_EXPORT int32_t probe_cuda_both(const struct cuda_driver *driver, int64_t samples, void *context,
                                     const struct cuda_operation *operations, double *seconds);

#endif
