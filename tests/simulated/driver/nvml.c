/* The simulated management library (NVML): says of each device what was planted. No call takes time. */
#include <stdio.h>
#include <string.h>

#include "simulated.h"

/* name, number, description */
#define ERRORS(X)                                                                                                      \
    X(NVML_SUCCESS, 0, "Success")                                                                                      \
    X(NVML_ERROR_UNINITIALIZED, 1, "Uninitialized")                                                                    \
    X(NVML_ERROR_INVALID_ARGUMENT, 2, "Invalid Argument")                                                              \
    X(NVML_ERROR_NOT_SUPPORTED, 3, "Not Supported")                                                                    \
    X(NVML_ERROR_NO_PERMISSION, 4, "Insufficient Permissions")                                                         \
    X(NVML_ERROR_NOT_FOUND, 6, "Not Found")                                                                            \
    X(NVML_ERROR_INSUFFICIENT_SIZE, 7, "Insufficient Size")                                                            \
    X(NVML_ERROR_DRIVER_NOT_LOADED, 9, "Driver Not Loaded")                                                            \
    X(NVML_ERROR_GPU_IS_LOST, 15, "GPU is lost")                                                                       \
    X(NVML_ERROR_ARGUMENT_VERSION_MISMATCH, 25, "Argument version mismatch")                                           \
    X(NVML_ERROR_UNKNOWN, 999, "Unknown Error")

typedef enum {
#define MEMBER(name, number, description) name = number,
    ERRORS(MEMBER)
#undef MEMBER
} nvmlReturn;

struct gpu {
    int index;
};

static struct gpu gpus[DEVICES_MAX] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};
static int initialized;

#define MIB 1048576ULL

void library_reset(void)
{
    initialized = 0;
}

/* ---- what every call begins and ends with ---- */

static nvmlReturn begin(const char *function, bool needs_init)
{
    int number = 0;
    lock();
    settings_load();
    enum fault fault = fault_of(function, &number);
    if (fault == FAULT_CRASH || fault == FAULT_HANG) {
        unlock();
        fault_strike(fault);
    }
    if (needs_init && initialized == 0)
        return NVML_ERROR_UNINITIALIZED;
    if (fault == FAULT_NOT_SUPPORTED)
        return NVML_ERROR_NOT_SUPPORTED;
    return fault == FAULT_FAIL ? (nvmlReturn)number : NVML_SUCCESS;
}

static nvmlReturn leave(nvmlReturn result)
{
    unlock();
    return result;
}

static bool is_gpu(const struct gpu *gpu)
{
    return gpu >= gpus && gpu < gpus + (int)planted.devices;
}

#define ENTER                                                                                                          \
    nvmlReturn entered = begin(__func__, true);                                                                        \
    if (entered != NVML_SUCCESS)                                                                                       \
        return leave(entered);

#define ENTER_GPU(gpu)                                                                                                 \
    ENTER                                                                                                              \
    if (!is_gpu(gpu))                                                                                                  \
        return leave(NVML_ERROR_INVALID_ARGUMENT);

static nvmlReturn say(char *text, unsigned size, const char *answer)
{
    if (strlen(answer) >= size)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(text, answer);
    return NVML_SUCCESS;
}

/* ---- the library and the system ---- */

static nvmlReturn initialize(const char *function)
{
    nvmlReturn result = begin(function, false);
    if (result == NVML_SUCCESS)
        initialized++;
    return leave(result);
}

EXPORT nvmlReturn nvmlInit_v2(void)
{
    return initialize(__func__);
}

EXPORT nvmlReturn nvmlInitWithFlags(unsigned flags)
{
    (void)flags;
    return initialize(__func__);
}

EXPORT nvmlReturn nvmlShutdown(void)
{
    ENTER
    initialized--;
    return leave(NVML_SUCCESS);
}

EXPORT const char *nvmlErrorString(int error)
{
    switch (error) {
#define CASE(name, number, description)                                                                                \
    case number:                                                                                                       \
        return description;
        ERRORS(CASE)
#undef CASE
    default:
        return "Unknown Error";
    }
}

EXPORT nvmlReturn nvmlSystemGetDriverVersion(char *version, unsigned size)
{
    ENTER
    return leave(say(version, size, "0.0-simulated"));
}

EXPORT nvmlReturn nvmlSystemGetNVMLVersion(char *version, unsigned size)
{
    ENTER
    return leave(say(version, size, "0.0-simulated"));
}

EXPORT nvmlReturn nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    ENTER
    *version = (int)planted.driver_version;
    return leave(NVML_SUCCESS);
}

EXPORT nvmlReturn nvmlSystemGetCudaDriverVersion(int *version)
{
    ENTER
    *version = (int)planted.driver_version;
    return leave(NVML_SUCCESS);
}

struct confidential {
    unsigned environment, feature, development;
};

EXPORT nvmlReturn nvmlSystemGetConfComputeState(struct confidential *state)
{
    ENTER
    *state = (struct confidential){0}; /* off */
    return leave(NVML_SUCCESS);
}

/* ---- devices ---- */

EXPORT nvmlReturn nvmlDeviceGetCount_v2(unsigned *count)
{
    ENTER
    *count = (unsigned)planted.devices;
    return leave(NVML_SUCCESS);
}

EXPORT nvmlReturn nvmlDeviceGetHandleByIndex_v2(unsigned index, struct gpu **gpu)
{
    ENTER
    if (index >= (unsigned)planted.devices)
        return leave(NVML_ERROR_INVALID_ARGUMENT);
    *gpu = &gpus[index];
    return leave(NVML_SUCCESS);
}

static void uuid_text(const struct gpu *gpu, char *text, size_t size)
{
    unsigned char u[16];
    uuid_of(gpu->index, u);
    snprintf(text, size, "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
             u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static void pci_text(const struct gpu *gpu, char *text, size_t size)
{
    snprintf(text, size, "00000000:%02X:00.0", gpu->index + 1);
}

static nvmlReturn find(const char *wanted, struct gpu **found, void (*text_of)(const struct gpu *, char *, size_t))
{
    char text[64];
    for (int i = 0; i < (int)planted.devices; i++) {
        text_of(&gpus[i], text, sizeof text);
        if (strcmp(text, wanted) == 0) {
            *found = &gpus[i];
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn nvmlDeviceGetHandleByUUID(const char *uuid, struct gpu **gpu)
{
    ENTER
    return leave(find(uuid, gpu, uuid_text));
}

EXPORT nvmlReturn nvmlDeviceGetHandleByPciBusId_v2(const char *address, struct gpu **gpu)
{
    ENTER
    return leave(find(address, gpu, pci_text));
}

EXPORT nvmlReturn nvmlDeviceGetIndex(const struct gpu *gpu, unsigned *index)
{
    ENTER_GPU(gpu)
    *index = (unsigned)gpu->index;
    return leave(NVML_SUCCESS);
}

EXPORT nvmlReturn nvmlDeviceGetName(const struct gpu *gpu, char *name, unsigned size)
{
    ENTER_GPU(gpu)
    char text[TEXT_SIZE + 16];
    name_of(gpu->index, text, sizeof text);
    return leave(say(name, size, text));
}

EXPORT nvmlReturn nvmlDeviceGetUUID(const struct gpu *gpu, char *uuid, unsigned size)
{
    ENTER_GPU(gpu)
    char text[64];
    uuid_text(gpu, text, sizeof text);
    return leave(say(uuid, size, text));
}

struct pci {
    char old_address[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char address[32];
};

EXPORT nvmlReturn nvmlDeviceGetPciInfo_v3(const struct gpu *gpu, struct pci *pci)
{
    ENTER_GPU(gpu)
    *pci = (struct pci){.bus = (unsigned)gpu->index + 1};
    pci_text(gpu, pci->address, sizeof pci->address);
    snprintf(pci->old_address, sizeof pci->old_address, "%s", pci->address + 4);
    return leave(NVML_SUCCESS);
}

EXPORT nvmlReturn nvmlDeviceGetCudaComputeCapability(const struct gpu *gpu, int *major, int *minor)
{
    ENTER_GPU(gpu)
    *major = 8;
    *minor = 0;
    return leave(NVML_SUCCESS);
}

/* ---- one planted value each; below zero it is not supported ---- */

/* function, type of the answer, setting */
#define ANSWERS(X)                                                                                                     \
    X(nvmlDeviceGetPowerUsage, unsigned, power_mw)                                                                     \
    X(nvmlDeviceGetPowerManagementLimit, unsigned, power_limit_mw)                                                     \
    X(nvmlDeviceGetPowerManagementDefaultLimit, unsigned, power_limit_mw)                                              \
    X(nvmlDeviceGetEnforcedPowerLimit, unsigned, power_limit_mw)                                                       \
    X(nvmlDeviceGetCurrentClocksEventReasons, unsigned long long, throttle)                                            \
    X(nvmlDeviceGetCurrentClocksThrottleReasons, unsigned long long, throttle)                                         \
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

/* The same for what is now and what is pending: no change ever is. */
#define PAIRS(X)                                                                                                       \
    X(nvmlDeviceGetDriverModel_v2, driver_model)                                                                       \
    X(nvmlDeviceGetEccMode, ecc)                                                                                       \
    X(nvmlDeviceGetMigMode, mig)

#define ANSWER(function, type, setting)                                                                                \
    EXPORT nvmlReturn function(const struct gpu *gpu, type *value)                                                     \
    {                                                                                                                  \
        ENTER_GPU(gpu)                                                                                                 \
        *value = (type)planted.setting;                                                                                \
        return leave(planted.setting < 0 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS);                                   \
    }
ANSWERS(ANSWER)

#define PAIR(function, setting)                                                                                        \
    EXPORT nvmlReturn function(const struct gpu *gpu, unsigned *current, unsigned *pending)                            \
    {                                                                                                                  \
        ENTER_GPU(gpu)                                                                                                 \
        *current = *pending = (unsigned)planted.setting;                                                               \
        return leave(planted.setting < 0 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS);                                   \
    }
PAIRS(PAIR)

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
