/* The simulated management library's own: errors, devices, and what every call begins and ends with. */
#ifndef NVML_H
#define NVML_H

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

#define MIB 1048576ULL

/* Lock, read the settings, strike planted faults; what is not success is to be returned by `leave`, which unlocks. */
nvmlReturn begin(const char *function, bool needs_init);
nvmlReturn leave(nvmlReturn result);
bool is_gpu(const struct gpu *gpu);

#define ENTER                                                                                                          \
    nvmlReturn entered = begin(__func__, true);                                                                        \
    if (entered != NVML_SUCCESS)                                                                                       \
        return leave(entered);

#define ENTER_GPU(gpu)                                                                                                 \
    ENTER                                                                                                              \
    if (!is_gpu(gpu))                                                                                                  \
        return leave(NVML_ERROR_INVALID_ARGUMENT);

#endif
