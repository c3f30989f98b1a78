/* Devices, what they say of themselves, and their contexts. */
#include <stdio.h>
#include <string.h>

#include "cuda_driver.h"

static _Thread_local struct context *current;

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
    name_of(device, name, (size_t)length);
    return leave(&call, checked(device));
}

EXPORT CUresult cuDeviceGetUuid_v2(unsigned char *uuid, int device)
{
    ENTER(NEED_INIT)
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

/* The device attributes that have an answer, by their documented numbers; others are an invalid value. */
static int attribute(int number, int device, bool *known)
{
    *known = true;
    switch (number) {
    case 1:  /* threads a block */
    case 2:  /* block's x */
    case 3:  /* block's y */
        return 1024;
    case 4: /* block's z */
        return 64;
    case 5: /* grid's x */
        return 2147483647;
    case 6: /* grid's y */
    case 7: /* grid's z */
        return 65535;
    case 10: /* warp */
        return 32;
    case 13: /* clock, kHz */
        return (int)planted.max_sm_clock_mhz * 1000;
    case 15: /* copies beside kernels */
        return planted.overlap > 0;
    case 16: /* multiprocessors */
        return 4;
    case 17: /* a watchdog ends long kernels */
        return planted.driver_model == 0;
    case 18: /* integrated */
    case 20: /* compute mode */
    case 50: /* PCI domain */
        return 0;
    case 19: /* maps host memory */
    case 31: /* concurrent kernels */
    case 41: /* unified addresses */
    case 78: /* stream priorities */
    case 83: /* managed memory */
    case 115: /* memory pools */
        return 1;
    case 32: /* ECC */
        return planted.ecc > 0;
    case 33: /* PCI bus */
        return device + 1;
    case 34: /* PCI device */
        return 0;
    case 35: /* TCC */
        return planted.driver_model == 1;
    case 36: /* memory clock, kHz */
        return (int)planted.max_mem_clock_mhz * 1000;
    case 37: /* memory bus, bits */
        return 64;
    case 38: /* second-level cache, bytes */
        return 1 << 20;
    case 40: /* copy engines */
        return 2;
    case 75: /* compute capability */
        return 8;
    case 76: /* its minor number */
        return 0;
    case 89: /* concurrent managed access: not under Windows, nor WSL */
        return planted.wddm_batch < 1;
    default:
        *known = false;
        return 0;
    }
}

EXPORT CUresult cuDeviceGetAttribute(int *value, int number, int device)
{
    ENTER(NEED_INIT)
    bool known;
    int answer = attribute(number, device, &known);
    if (!is_device(device))
        return leave(&call, CUDA_ERROR_INVALID_DEVICE);
    if (known)
        *value = answer;
    return leave(&call, known ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
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
    charge(call, planted.context_create_us * 1e3);
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
