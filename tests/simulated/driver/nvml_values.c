/* What the simulated management library says of a device: the planted values. */
#include <string.h>

#include "nvml.h"

/* ---- one planted value each; below zero it is not supported ---- */

/* function, type of the answer, setting */
#define ANSWERS(X)                                                                                                     \
    X(nvmlDeviceGetPowerUsage, unsigned, power_mw)                                                                     \
    X(nvmlDeviceGetPowerManagementLimit, unsigned, power_limit_mw)                                                     \
    X(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, power_limit_mw)                                              \
    X(nvmlDeviceGetEnforcedPowerLimit, unsigned, power_limit_mw)                                                       \
    X(nvmlDeviceGetCurrPcieLinkGeneration, unsigned, pcie_gen)                                                         \
    X(nvmlDeviceGetCurrPcieLinkWidth, unsigned, pcie_width)                                                            \
    X(nvmlDeviceGetMaxPcieLinkGeneration, unsigned, max_pcie_gen)                                                      \
    X(nvmlDeviceGetMaxPcieLinkWidth, unsigned, max_pcie_width)                                                         \
    X(nvmlDeviceGetGpuMaxPcieLinkGeneration, unsigned, max_pcie_gen)                                                   \
    X(nvmlDeviceGetPcieReplayCounter, unsigned, pcie_replays)                                                          \
    X(nvmlDeviceGetPersistenceMode, unsigned, persistence)                                                             \
    X(nvmlDeviceGetDisplayMode, unsigned, display)                                                                     \
    X(nvmlDeviceGetDisplayActive, unsigned, display)                                                                   \
    X(nvmlDeviceGetVirtualizationMode, unsigned, virtualization)                                                       \
    X(nvmlDeviceGetNumaNodeId, int, numa_node)

/* The same for what is now and what is pending. */
#define PAIRS(X)                                                                                                       \
    X(nvmlDeviceGetDriverModel_v2, driver_model, -1)                                                                   \
    X(nvmlDeviceGetEccMode, ecc, planted.ecc_pending)                                                                  \
    X(nvmlDeviceGetMigMode, mig, -1)

#define ANSWER(function, type, setting)                                                                                \
    EXPORT nvmlReturn function(const struct gpu *gpu, type *value)                                                     \
    {                                                                                                                  \
        ENTER_GPU(gpu)                                                                                                 \
        *value = (type)planted.setting;                                                                                \
        return leave(planted.setting < 0 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS);                                   \
    }
ANSWERS(ANSWER)

#define PAIR(function, setting, change)                                                                                \
    EXPORT nvmlReturn function(const struct gpu *gpu, unsigned *current, unsigned *pending)                            \
    {                                                                                                                  \
        ENTER_GPU(gpu)                                                                                                 \
        *current = (unsigned)planted.setting;                                                                          \
        *pending = (unsigned)((change) < 0 ? planted.setting : (change));                                              \
        return leave(planted.setting < 0 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS);                                   \
    }
PAIRS(PAIR)

/* ---- what may be so of one device alone ---- */

#define REASONS(function)                                                                                              \
    EXPORT nvmlReturn function(const struct gpu *gpu, unsigned long long *reasons)                                     \
    {                                                                                                                  \
        ENTER_GPU(gpu)                                                                                                 \
        bool meant = planted.throttled_device < 0 || (int)planted.throttled_device == gpu->index;                      \
        *reasons = meant ? (unsigned long long)planted.throttle : 0;                                                   \
        return leave(NVML_SUCCESS);                                                                                    \
    }
REASONS(nvmlDeviceGetCurrentClocksEventReasons)
REASONS(nvmlDeviceGetCurrentClocksThrottleReasons)

/* ---- values with a parameter, and structures ---- */

enum { CLOCK_GRAPHICS, CLOCK_SM, CLOCK_MEMORY, CLOCK_VIDEO };

static nvmlReturn clock_of(int domain, double sm, double memory, unsigned *megahertz)
{
    *megahertz = (unsigned)(domain == CLOCK_MEMORY ? memory : sm);
    return domain >= CLOCK_GRAPHICS && domain <= CLOCK_VIDEO ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

EXPORT nvmlReturn nvmlDeviceGetClockInfo(const struct gpu *gpu, int domain, unsigned *megahertz)
{
    ENTER_GPU(gpu)
    return leave(clock_of(domain, planted.sm_clock_mhz, planted.mem_clock_mhz, megahertz));
}

EXPORT nvmlReturn nvmlDeviceGetMaxClockInfo(const struct gpu *gpu, int domain, unsigned *megahertz)
{
    ENTER_GPU(gpu)
    return leave(clock_of(domain, planted.max_sm_clock_mhz, planted.max_mem_clock_mhz, megahertz));
}

EXPORT nvmlReturn nvmlDeviceGetTemperature(const struct gpu *gpu, int sensor, unsigned *celsius)
{
    ENTER_GPU(gpu)
    *celsius = (unsigned)planted.temperature_c;
    return leave(sensor == 0 ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT);
}

enum { THRESHOLD_SLOWDOWN = 1 };

EXPORT nvmlReturn nvmlDeviceGetTemperatureThreshold(const struct gpu *gpu, int threshold, unsigned *celsius)
{
    ENTER_GPU(gpu)
    *celsius = (unsigned)planted.slowdown_c;
    return leave(threshold != THRESHOLD_SLOWDOWN || planted.slowdown_c < 0 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS);
}

/* What a caller sets holds for its own process, for all devices. */
EXPORT nvmlReturn nvmlDeviceSetPersistenceMode(const struct gpu *gpu, unsigned mode)
{
    ENTER_GPU(gpu)
    if (planted.persistence < 0)
        return leave(NVML_ERROR_NOT_SUPPORTED);
    planted.persistence = mode;
    return leave(NVML_SUCCESS);
}

struct temperature {
    unsigned version;
    int sensor, celsius;
};

EXPORT nvmlReturn nvmlDeviceGetTemperatureV(const struct gpu *gpu, struct temperature *temperature)
{
    ENTER_GPU(gpu)
    temperature->celsius = (int)planted.temperature_c;
    return leave(temperature->sensor == 0 ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT);
}

EXPORT nvmlReturn nvmlDeviceGetPcieThroughput(const struct gpu *gpu, int direction, unsigned *kilobytes)
{
    ENTER_GPU(gpu)
    *kilobytes = (unsigned)(direction == 0 ? planted.pcie_tx_kbps : planted.pcie_rx_kbps);
    return leave(direction == 0 || direction == 1 ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT);
}

EXPORT nvmlReturn nvmlDeviceGetPowerManagementLimitConstraints(const struct gpu *gpu, unsigned *least,
                                                               unsigned *greatest)
{
    ENTER_GPU(gpu)
    *least = 0;
    *greatest = (unsigned)planted.power_limit_mw;
    return leave(NVML_SUCCESS);
}

struct utilization {
    unsigned gpu, memory;
};

EXPORT nvmlReturn nvmlDeviceGetUtilizationRates(const struct gpu *gpu, struct utilization *percent)
{
    ENTER_GPU(gpu)
    percent->gpu = percent->memory = (unsigned)planted.utilization;
    return leave(NVML_SUCCESS);
}

/* What processes of the simulated CUDA driver have allocated is not seen from here. */
struct memory {
    unsigned long long total, free, used;
};

EXPORT nvmlReturn nvmlDeviceGetMemoryInfo(const struct gpu *gpu, struct memory *memory)
{
    ENTER_GPU(gpu)
    memory->total = memory->free = (unsigned long long)planted.memory_mib * MIB;
    memory->used = 0;
    return leave(NVML_SUCCESS);
}

struct memory_v2 {
    unsigned version;
    unsigned long long total, reserved, free, used;
};

EXPORT nvmlReturn nvmlDeviceGetMemoryInfo_v2(const struct gpu *gpu, struct memory_v2 *memory)
{
    ENTER_GPU(gpu)
    enum { VERSION = sizeof(struct memory_v2) | 2 << 24 };
    if (memory->version != VERSION)
        return leave(NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    memory->total = memory->free = (unsigned long long)planted.memory_mib * MIB;
    memory->reserved = memory->used = 0;
    return leave(NVML_SUCCESS);
}

EXPORT nvmlReturn nvmlDeviceGetBAR1MemoryInfo(const struct gpu *gpu, struct memory *memory)
{
    ENTER_GPU(gpu)
    memory->total = memory->free = (unsigned long long)planted.bar1_mib * MIB;
    memory->used = 0;
    return leave(NVML_SUCCESS);
}

/* The node as a bit of the first words of the set. */
EXPORT nvmlReturn nvmlDeviceGetMemoryAffinity(const struct gpu *gpu, unsigned size, unsigned long *nodes, int scope)
{
    ENTER_GPU(gpu)
    (void)scope;
    unsigned node = (unsigned)planted.numa_node, bits = 8 * sizeof *nodes;
    if (planted.numa_node < 0)
        return leave(NVML_ERROR_NOT_SUPPORTED);
    if (size <= node / bits)
        return leave(NVML_ERROR_INSUFFICIENT_SIZE);
    memset(nodes, 0, size * sizeof *nodes);
    nodes[node / bits] = 1UL << node % bits;
    return leave(NVML_SUCCESS);
}

/* ---- processes ---- */

struct process {
    unsigned pid;
    unsigned long long bytes;
    unsigned gpu_instance, compute_instance;
};

/* Process numbers from 1000001 on, no memory known where the driver model is WDDM. */
EXPORT nvmlReturn nvmlDeviceGetComputeRunningProcesses_v3(const struct gpu *gpu, unsigned *count,
                                                          struct process *processes)
{
    ENTER_GPU(gpu)
    unsigned room = *count;
    *count = (unsigned)planted.processes;
    if (room < *count || (processes == NULL && *count > 0))
        return leave(NVML_ERROR_INSUFFICIENT_SIZE);
    for (unsigned i = 0; i < *count; i++)
        processes[i] = (struct process){1000001 + i, planted.driver_model == 0 ? ~0ULL : 64 * MIB, ~0U, ~0U};
    return leave(NVML_SUCCESS);
}

EXPORT nvmlReturn nvmlDeviceGetGraphicsRunningProcesses_v3(const struct gpu *gpu, unsigned *count,
                                                           struct process *processes)
{
    ENTER_GPU(gpu)
    (void)processes;
    *count = 0;
    return leave(NVML_SUCCESS);
}
