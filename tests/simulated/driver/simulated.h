/* A simulated NVIDIA driver: what libcuda.so.1 and libnvidia-ml.so.1 answer where there is no GPU.
 *
 * It computes nothing but time: calls cost the host what was planted, and work ends when the planted durations say so.
 * Declarations are written from the documented interface; names of the interface are the vendor's, all else is ours.
 * Times are nanoseconds as double, from the moment the library was configured. One lock guards all state; it is held
 * between ENTER and `leave`, but for the time spent waiting.
 */
#ifndef SIMULATED_H
#define SIMULATED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* ---- settings.c: planted values ---------------------------------------------------------------------------------- */

/* name, default, least, greatest. The suffix is the unit; gbps are 1e9 bytes a second. */
#define NUMBERS(X)                                                                                                     \
    X(devices, 1, 0, 8)                                                                                                \
    X(uuid, 0, 0, 255) /* the last but one of the UUID's bytes */                                                      \
    X(driver_version, 12080, 1000, 99990)                                                                              \
    X(memory_mib, 4096, 1, 1048576)                                                                                    \
    X(context_create_us, 5000, 0, 1e9)                                                                                 \
    X(first_context_us, 0, 0, 1e9) /* beside context_create_us, for a process's first */                               \
    X(context_destroy_us, 2000, 0, 1e9)                                                                                \
    X(module_load_us, 200, 0, 1e9)                                                                                     \
    X(jit_us, 3000, 0, 1e9) /* beside module_load_us, for PTX that the cache does not hold */                          \
    X(first_jit_us, 0, 0, 1e9) /* beside both, for the first that a process compiles */                                \
    X(launch_ns, 5000, 0, 1e12)                                                                                        \
    X(kernel_ns, 3000, 0, 1e12) /* `empty`, and any kernel that is not known by name */                                \
    X(fma_ps, 1000, 0, 1e12)    /* one iteration of `fma` */                                                           \
    X(sync_spin_ns, 4000, 0, 1e12)                                                                                     \
    X(sync_yield_ns, 7000, 0, 1e12)                                                                                    \
    X(sync_block_ns, 30000, 0, 1e12)                                                                                   \
    X(event_ns, 1000, 0, 1e12) /* a record or a wait */                                                                \
    X(query_ns, 800, 0, 1e12)                                                                                          \
    X(graph_launch_ns, 9000, 0, 1e12)                                                                                  \
    X(graph_node_ns, 500, 0, 1e12) /* of the device, before each node */                                               \
    X(graph_instantiate_ns, 60000, 0, 1e12)                                                                            \
    X(copy_submit_ns, 4000, 0, 1e12) /* host's cost of any copy but a pageable one */                                  \
    X(h2d_latency_ns, 7000, 0, 1e12)                                                                                   \
    X(d2h_latency_ns, 8000, 0, 1e12)                                                                                   \
    X(d2d_latency_ns, 3000, 0, 1e12)                                                                                   \
    X(peer_latency_ns, 12000, 0, 1e12)                                                                                 \
    X(pageable_latency_ns, 15000, 0, 1e12)                                                                             \
    X(h2d_gbps, 1.5, 1e-6, 1e6)                                                                                        \
    X(d2h_gbps, 1.2, 1e-6, 1e6)                                                                                        \
    X(d2d_gbps, 3, 1e-6, 1e6)                                                                                          \
    X(peer_gbps, 1, 1e-6, 1e6)                                                                                         \
    X(pageable_h2d_gbps, 0.8, 1e-6, 1e6)                                                                               \
    X(pageable_d2h_gbps, 0.6, 1e-6, 1e6)                                                                               \
    X(near_cpu, -1, -1, 1e5) /* the one beside the devices; -1: every one is */                                        \
    X(far_factor, 1, 1e-3, 1) /* factor on the bandwidth of host copies submitted on another */                         \
    X(duplex, 1, 1e-3, 1)   /* factor on both bandwidths while both directions run */                                  \
    X(overlap, 1, 0, 1)     /* share of a copy or of compute, whichever is shorter, that hides behind the other */     \
    X(peer, 0, 0, 1)        /* whether devices reach one another's memory */                                           \
    X(alloc_ns, 40000, 0, 1e12)                                                                                        \
    X(alloc_mib_ns, 500, 0, 1e12)                                                                                      \
    X(free_ns, 30000, 0, 1e12)                                                                                         \
    X(free_mib_ns, 200, 0, 1e12)                                                                                       \
    X(async_alloc_ns, 3000, 0, 1e12)                                                                                   \
    X(async_free_ns, 2000, 0, 1e12)                                                                                    \
    X(host_alloc_ns, 100000, 0, 1e12)                                                                                  \
    X(host_alloc_mib_ns, 50000, 0, 1e12)                                                                               \
    X(host_free_ns, 60000, 0, 1e12)                                                                                    \
    X(host_register_ns, 20000, 0, 1e12)                                                                                \
    X(host_register_mib_ns, 30000, 0, 1e12)                                                                            \
    X(host_unregister_ns, 20000, 0, 1e12)                                                                              \
    X(pinned_wall_mib, 0, 0, 1048576) /* pinned memory in all beyond which more is refused; 0: no wall */              \
    X(wddm_batch, 0, 0, 4096)         /* launches held back until so many wait or something flushes; 0: off */         \
    X(wddm_submit_ns, 20000, 0, 1e12) /* host's cost of one submission of such a batch */                              \
    X(sm_clock_mhz, 1500, 0, 1e5)                                                                                      \
    X(max_sm_clock_mhz, 2000, 0, 1e5)                                                                                  \
    X(mem_clock_mhz, 5000, 0, 1e5)                                                                                     \
    X(max_mem_clock_mhz, 6000, 0, 1e5)                                                                                 \
    X(power_mw, 100000, 0, 1e7)                                                                                        \
    X(power_limit_mw, 200000, 0, 1e7)                                                                                  \
    X(temperature_c, 50, 0, 200)                                                                                       \
    X(slowdown_c, 90, -1, 200) /* at which the clocks are lowered; -1: not supported */                                \
    X(utilization, 0, 0, 100)  /* percent */                                                                           \
    X(throttle, 0, 0, 1e9)     /* the bit mask of clock event reasons */                                               \
    X(throttled_device, -1, -1, 7) /* the one that has them; -1: every device */                                       \
    X(pcie_gen, 3, 1, 9)                                                                                               \
    X(pcie_width, 8, 1, 32)                                                                                            \
    X(max_pcie_gen, 4, 1, 9)                                                                                           \
    X(max_pcie_width, 16, 1, 32)                                                                                       \
    X(pcie_tx_kbps, 1000, 0, 1e9)                                                                                      \
    X(pcie_rx_kbps, 2000, 0, 1e9)                                                                                      \
    X(pcie_replays, 0, 0, 1e9)                                                                                         \
    X(bar1_mib, 256, 0, 1048576)                                                                                       \
    X(numa_node, 0, -1, 1024) /* -1: not supported */                                                                  \
    X(ecc, 0, -1, 1)          /* here and below: 0 off, 1 on, -1 not supported */                                      \
    X(ecc_pending, -1, -1, 1) /* from the next reset on; -1: as it is now */                                           \
    X(mig, -1, -1, 1)                                                                                                  \
    X(persistence, 1, -1, 1)                                                                                           \
    X(display, 0, -1, 1)                                                                                               \
    X(driver_model, -1, -1, 2)   /* 0 WDDM, 1 TCC, 2 MCDM, -1 not supported: not Windows */                            \
    X(virtualization, 0, -1, 4)  /* 0 none, 1 passthrough, 2 virtual GPU */                                            \
    X(processes, 0, 0, 64)       /* that compute on each device */

/* name, default. Functions are those of both libraries. */
#define TEXTS(X)                                                                                                       \
    X(name, "Simulated GPU")                                                                                           \
    X(fail, "")          /* <function>:<error number>[:<after so many calls>], several with | */                       \
    X(crash, "")         /* <function>, several with |: ends the process as a segmentation fault does */               \
    X(hang, "")          /* <function>, several with |: never returns */                                               \
    X(not_supported, "") /* <function of NVML>, several with | */

enum { TEXT_SIZE = 256, FAULTS_MAX = 16, DEVICES_MAX = 8 };

struct settings {
#define FIELD(name, ...) double name;
    NUMBERS(FIELD)
#undef FIELD
#define FIELD(name, ...) char name[TEXT_SIZE];
    TEXTS(FIELD)
#undef FIELD
};

extern struct settings planted;

/* Read the planted values from SIMULATED_GPU, else from the file `simulated-gpu` beside the library, once. What cannot
 * be read ends the process with a message. */
void settings_load(void);

enum fault { FAULT_NONE, FAULT_FAIL, FAULT_CRASH, FAULT_HANG, FAULT_NOT_SUPPORTED };
/* What was planted for this call of `function`; `number` gets the error number of FAULT_FAIL. */
enum fault fault_of(const char *function, int *number);
/* Do what FAULT_CRASH or FAULT_HANG say: does not return. */
void fault_strike(enum fault fault);

/* The 16 bytes of a device's UUID, or of its one MIG instance: readable as text. */
void uuid_of(int device, unsigned char *uuid);
void instance_uuid_of(int device, unsigned char *uuid);
/* The name of every device. It contains "Simulated" whatever was planted. */
void name_of(char *name, size_t size);

/* Exported by both libraries. `simulated_configure` forgets all state and plants anew ("key=value,key=value"; what is
 * not named gets its default); it returns 0, or 1 with a message on stderr for what it does not understand, and then
 * changes nothing. `simulated_settings` writes the present values in the same form and returns their length. */
EXPORT int simulated_configure(const char *settings);
EXPORT size_t simulated_settings(char *text, size_t size);
/* Each library's own: forget everything but the settings. */
void library_reset(void);

/* ---- system.c: what differs between operating systems ------------------------------------------------------------ */

double now(void);
void clock_restart(void);
void lock(void);
void unlock(void);
void yield(void);
int current_cpu(void);
void sleep_ns(double nanoseconds);
void *pages_new(size_t bytes); /* page-aligned; NULL where there are none */
void pages_free(void *pages);
bool library_exports(const char *function);
bool library_folder(char *folder, size_t size);

#endif
