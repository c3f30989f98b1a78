/* The simulated management library (NVML): the library itself, and which devices there are. No call takes time. */
#include <stdio.h>
#include <string.h>

#include "nvml.h"

static struct gpu gpus[DEVICES_MAX] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};
static struct gpu instances[DEVICES_MAX] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}}; /* of MIG, one in each */
static int initialized;

void library_reset(void)
{
    initialized = 0;
}

/* ---- what every call begins and ends with ---- */

nvmlReturn begin(const char *function, bool needs_init)
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

nvmlReturn leave(nvmlReturn result)
{
    unlock();
    return result;
}

bool is_gpu(const struct gpu *gpu)
{
    return gpu >= gpus && gpu < gpus + (int)planted.devices;
}

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
    bool whole = is_gpu(gpu);
    (whole ? uuid_of : instance_uuid_of)(gpu->index, u);
    snprintf(text, size, "%s-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", whole ? "GPU" : "MIG", u[0], u[1], u[2],
             u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static void pci_text(const struct gpu *gpu, char *text, size_t size)
{
    snprintf(text, size, "00000000:%02X:00.0", gpu->index + 1);
}

static nvmlReturn find(const char *wanted, struct gpu *those, struct gpu **found,
                       void (*text_of)(const struct gpu *, char *, size_t))
{
    char text[64];
    for (int i = 0; i < (int)planted.devices; i++) {
        text_of(&those[i], text, sizeof text);
        if (strcmp(text, wanted) == 0) {
            *found = &those[i];
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

EXPORT nvmlReturn nvmlDeviceGetHandleByUUID(const char *uuid, struct gpu **gpu)
{
    ENTER
    return leave(find(uuid, planted.mig > 0 && strncmp(uuid, "MIG-", 4) == 0 ? instances : gpus, gpu, uuid_text));
}

EXPORT nvmlReturn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(const struct gpu *instance, struct gpu **gpu)
{
    ENTER
    if (planted.mig < 1 || instance < instances || instance >= instances + (int)planted.devices)
        return leave(NVML_ERROR_INVALID_ARGUMENT);
    *gpu = &gpus[instance - instances];
    return leave(NVML_SUCCESS);
}

EXPORT nvmlReturn nvmlDeviceGetHandleByPciBusId_v2(const char *address, struct gpu **gpu)
{
    ENTER
    return leave(find(address, gpus, gpu, pci_text));
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
    name_of(text, sizeof text);
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
