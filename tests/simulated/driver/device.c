/* Devices, what they say of themselves, and their contexts. */
#include <stdio.h>
#include <string.h>

#include "cuda_driver.h"

static _Thread_local struct context *current;
static bool had_context; /* some, since the library was configured */

static struct {
    struct context *context;
    int retained;
} primary[DEVICES_MAX];

EXPORT CUresult cuInit(unsigned flags)
{
    ENTER(NEED_NOTHING)
    if (flags != 0)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    if (planted.devices < 1)
        return leave(&call, CUDA_ERROR_NO_DEVICE);
    initialized = true;
    modules_start();
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuDriverGetVersion(int *version)
{
    ENTER(NEED_NOTHING)
    *version = (int)planted.driver_version;
    return leave(&call, CUDA_SUCCESS);
}

static bool is_device(int device)
{
    return device >= 0 && device < (int)planted.devices;
}

static CUresult checked(int device)
{
    return is_device(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

EXPORT CUresult cuDeviceGetCount(int *count)
{
    ENTER(NEED_INIT)
    *count = (int)planted.devices;
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuDeviceGet(int *device, int ordinal)
{
    ENTER(NEED_INIT)
    *device = ordinal;
    return leave(&call, checked(ordinal));
}

EXPORT CUresult cuDeviceGetName(char *name, int length, int device)
{
    ENTER(NEED_INIT)
    if (length < 1)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    name_of(name, (size_t)length);
    return leave(&call, checked(device));
}

EXPORT CUresult cuDeviceGetUuid_v2(unsigned char *uuid, int device)
{
    ENTER(NEED_INIT)
    if (planted.mig > 0)
        instance_uuid_of(device, uuid); /* the only one that CUDA shows */
    else
        uuid_of(device, uuid);
    return leave(&call, checked(device));
}

EXPORT CUresult cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    ENTER(NEED_INIT)
    *bytes = (size_t)planted.memory_mib << 20;
    return leave(&call, checked(device));
}

EXPORT CUresult cuDeviceGetPCIBusId(char *address, int length, int device)
{
    ENTER(NEED_INIT)
    if (length < (int)sizeof "0000:00:00.0")
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    snprintf(address, (size_t)length, "0000:%02x:00.0", device + 1);
    return leave(&call, checked(device));
}

/* The attributes that have an answer, by their documented numbers; others are an invalid value. */
static CUresult attribute(int *value, int number, int device)
{
    const struct {
        int number, value;
    } answers[] = {
        {1, 1024},                                  /* threads a block */
        {2, 1024},                                  /* block's x */
        {3, 1024},                                  /* block's y */
        {4, 64},                                    /* block's z */
        {5, 2147483647},                            /* grid's x */
        {6, 65535},                                 /* grid's y */
        {7, 65535},                                 /* grid's z */
        {10, 32},                                   /* threads a warp */
        {13, (int)planted.max_sm_clock_mhz * 1000}, /* clock, kHz */
        {15, planted.overlap > 0},                  /* copies beside kernels */
        {16, 4},                                    /* multiprocessors */
        {17, planted.driver_model == 0},            /* a watchdog ends long kernels */
        {18, 0},                                    /* integrated */
        {19, 1},                                    /* maps host memory */
        {20, 0},                                    /* compute mode: default */
        {31, 1},                                    /* concurrent kernels */
        {32, planted.ecc > 0},                      /* ECC */
        {33, device + 1},                           /* PCI bus */
        {34, 0},                                    /* PCI device */
        {35, planted.driver_model == 1},            /* TCC */
        {36, (int)planted.max_mem_clock_mhz * 1000}, /* memory clock, kHz */
        {37, 64},                                   /* memory bus, bits */
        {38, 1 << 20},                              /* second-level cache, bytes */
        {40, 2},                                    /* copy engines */
        {41, 1},                                    /* unified addresses */
        {50, 0},                                    /* PCI domain */
        {75, 8},                                    /* compute capability */
        {76, 0},                                    /* its minor number */
        {78, 1},                                    /* stream priorities */
        {83, 1},                                    /* managed memory */
        {89, planted.wddm_batch < 1},               /* concurrent managed access: not under Windows, nor WSL */
        {115, 1},                                   /* memory pools */
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (answers[i].number == number) {
            *value = answers[i].value;
            return CUDA_SUCCESS;
        }
    return CUDA_ERROR_INVALID_VALUE;
}

EXPORT CUresult cuDeviceGetAttribute(int *value, int number, int device)
{
    ENTER(NEED_INIT)
    return leave(&call, is_device(device) ? attribute(value, number, device) : CUDA_ERROR_INVALID_DEVICE);
}

/* ---- peers ---- */

EXPORT CUresult cuDeviceCanAccessPeer(int *can, int device, int peer)
{
    ENTER(NEED_INIT)
    *can = planted.peer > 0 && device != peer;
    return leave(&call, is_device(device) ? checked(peer) : CUDA_ERROR_INVALID_DEVICE);
}

EXPORT CUresult cuCtxEnablePeerAccess(struct context *peer, unsigned flags)
{
    ENTER(NEED_CONTEXT)
    if (!is_live(peer, CONTEXT) || peer == current)
        return leave(&call, CUDA_ERROR_INVALID_CONTEXT);
    if (flags != 0)
        return leave(&call, CUDA_ERROR_INVALID_VALUE);
    if (planted.peer < 1)
        return leave(&call, CUDA_ERROR_PEER_ACCESS_UNSUPPORTED);
    if (current->peers[peer->device])
        return leave(&call, CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
    current->peers[peer->device] = true;
    return leave(&call, CUDA_SUCCESS);
}

/* ---- contexts ---- */

struct context *current_context(void)
{
    if (current != NULL && !is_live(current, CONTEXT))
        current = NULL; /* another thread ended it */
    return current;
}

static struct context *context_new(struct call *call, int device, unsigned flags)
{
    struct context *context = object_new(CONTEXT, NULL);
    struct stream *legacy = context != NULL ? object_new(STREAM, context) : NULL;
    if (legacy == NULL)
        return NULL;
    context->legacy = legacy;
    context->device = device;
    context->flags = flags;
    charge(call, (planted.context_create_us + (had_context ? 0 : planted.first_context_us)) * 1e3);
    had_context = true;
    return context;
}

static void context_end(struct call *call, struct context *context)
{
    wait_for_context(call, context);
    objects_end_of(context);
    memory_reset(context);
    object_end(context);
    charge(call, planted.context_destroy_us * 1e3);
}

EXPORT CUresult cuCtxCreate_v2(struct context **context, unsigned flags, int device)
{
    ENTER(NEED_INIT)
    if (!is_device(device))
        return leave(&call, CUDA_ERROR_INVALID_DEVICE);
    struct context *fresh = context_new(&call, device, flags);
    if (fresh == NULL)
        return leave(&call, CUDA_ERROR_OUT_OF_MEMORY);
    fresh->previous = current_context();
    *context = current = fresh;
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuCtxDestroy_v2(struct context *context)
{
    ENTER(NEED_INIT)
    if (!is_live(context, CONTEXT))
        return leave(&call, CUDA_ERROR_INVALID_CONTEXT);
    if (current == context)
        current = context->previous;
    context_end(&call, context);
    return leave(&call, CUDA_SUCCESS);
}

void device_reset(void)
{
    memset(primary, 0, sizeof primary);
    current = NULL;
    had_context = false;
}

EXPORT CUresult cuDevicePrimaryCtxRetain(struct context **context, int device)
{
    ENTER(NEED_INIT)
    if (!is_device(device))
        return leave(&call, CUDA_ERROR_INVALID_DEVICE);
    if (primary[device].retained == 0)
        primary[device].context = context_new(&call, device, 0);
    if (primary[device].context == NULL)
        return leave(&call, CUDA_ERROR_OUT_OF_MEMORY);
    primary[device].retained++;
    *context = primary[device].context;
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuDevicePrimaryCtxRelease_v2(int device)
{
    ENTER(NEED_INIT)
    if (!is_device(device))
        return leave(&call, CUDA_ERROR_INVALID_DEVICE);
    if (primary[device].retained == 0)
        return leave(&call, CUDA_ERROR_INVALID_CONTEXT);
    if (--primary[device].retained == 0)
        context_end(&call, primary[device].context);
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuCtxSetCurrent(struct context *context)
{
    ENTER(NEED_INIT)
    if (context != NULL && !is_live(context, CONTEXT))
        return leave(&call, CUDA_ERROR_INVALID_CONTEXT);
    current = context;
    return leave(&call, CUDA_SUCCESS);
}

EXPORT CUresult cuCtxGetCurrent(struct context **context)
{
    ENTER(NEED_INIT)
    *context = current_context();
    return leave(&call, CUDA_SUCCESS);
}
