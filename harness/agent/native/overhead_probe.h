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
/* a[i] = b[i] + 3 c[i] over arrays of `bytes` each, split over `threads`; a sample is one pass over all of them. */
PROBE_EXPORT int32_t probe_triad(int64_t samples, int64_t bytes, int32_t threads, double *seconds);

/* threads.c: every operating system */
/* One thread that does nothing, from its creation until it is joined. */
PROBE_EXPORT int32_t probe_thread(int64_t samples, double *seconds);

#ifndef _WIN32
/* process.c: POSIX */
/* getppid by syscall(2): the cheapest call that no libc caches and no vDSO answers. */
PROBE_EXPORT int32_t probe_syscall(int64_t samples, int64_t calls, double *seconds);
/* One process that ends at once, from its creation until it is waited for; `fork` copies the caller's page tables. */
PROBE_EXPORT int32_t probe_fork(int64_t samples, double *seconds);
PROBE_EXPORT int32_t probe_vfork(int64_t samples, double *seconds);

/* files.c: POSIX. Files `0`…`files - 1` of `directory`; one value a file. */
/* Open a new file, write `size` bytes, close; nothing is forced to the disk. */
PROBE_EXPORT int32_t probe_files_create(const char *directory, int64_t files, int64_t size, double *seconds);
PROBE_EXPORT int32_t probe_files_stat(const char *directory, int64_t files, int64_t size, double *seconds);
/* Open, read `size` bytes, close. */
PROBE_EXPORT int32_t probe_files_read(const char *directory, int64_t files, int64_t size, double *seconds);
PROBE_EXPORT int32_t probe_files_unlink(const char *directory, int64_t files, int64_t size, double *seconds);
/* Read the whole directory once. One value in all; -EIO unless it holds `files` entries. */
PROBE_EXPORT int32_t probe_files_list(const char *directory, int64_t files, double *seconds);
#endif

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
