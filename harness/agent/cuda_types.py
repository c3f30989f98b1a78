"""The driver API's types, numbers and function signatures, as cuda.h has them.

The exported names carry the version that a function was last changed in (`cuMemAlloc_v2`); drivers keep the old ones
for good, so the oldest version that fits is called here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

INT, UINT, CHAR = ctypes.c_int, ctypes.c_uint, ctypes.c_char
SIZE = ctypes.c_size_t
POINTER = ctypes.c_void_p  # a host address, or a handle (context, stream, event, module, function, graph)
DEVICE_POINTER = ctypes.c_uint64
TEXT = ctypes.c_char_p

SUCCESS = 0
NOT_READY = 600

# CUctx_flags
SCHED_SPIN, SCHED_YIELD, SCHED_BLOCKING = 1, 2, 4
# CUstream_flags, CUevent_flags, CUstreamCaptureMode
STREAM_NON_BLOCKING = 1
EVENT_DEFAULT = 0
CAPTURE_THREAD_LOCAL = 1


class Uuid(ctypes.Structure):
    """CUuuid."""

    _fields_ = (("bytes", ctypes.c_ubyte * 16),)


_OUT = ctypes.c_void_p  # the address of what the function fills in; ctypes.byref
_EVENTS = {
    "cuEventCreate": (_OUT, UINT),
    "cuEventRecord": (POINTER, POINTER),
    "cuEventQuery": (POINTER,),
    "cuEventElapsedTime": (_OUT, POINTER, POINTER),
}
_DEVICES = {
    "cuInit": (UINT,),
    "cuDriverGetVersion": (_OUT,),
    "cuDeviceGetCount": (_OUT,),
    "cuDeviceGet": (_OUT, INT),
    "cuDeviceGetName": (TEXT, INT, INT),
    "cuDeviceGetUuid_v2": (_OUT, INT),
    "cuDeviceGetPCIBusId": (TEXT, INT, INT),
    "cuDeviceCanAccessPeer": (_OUT, INT, INT),
}
_CONTEXTS = {
    "cuCtxCreate_v2": (_OUT, UINT, INT),
    "cuCtxDestroy_v2": (POINTER,),
    "cuCtxSetCurrent": (POINTER,),
    "cuCtxGetCurrent": (_OUT,),
    "cuCtxSynchronize": (),
    "cuCtxEnablePeerAccess": (POINTER, UINT),
    "cuModuleLoadData": (_OUT, TEXT),
    "cuModuleUnload": (POINTER,),
    "cuModuleGetFunction": (_OUT, POINTER, TEXT),
}
_STREAMS = {
    "cuStreamCreate": (_OUT, UINT),
    "cuStreamQuery": (POINTER,),
    "cuStreamSynchronize": (POINTER,),
    "cuLaunchKernel": (POINTER, *(UINT,) * 7, POINTER, POINTER, POINTER),
    "cuStreamBeginCapture_v2": (POINTER, INT),
    "cuStreamEndCapture": (POINTER, _OUT),
    "cuGraphInstantiateWithFlags": (_OUT, POINTER, ctypes.c_uint64),
    "cuGraphLaunch": (POINTER, POINTER),
    "cuGraphExecDestroy": (POINTER,),
    "cuGraphDestroy": (POINTER,),
}
_MEMORY = {
    "cuMemGetInfo_v2": (_OUT, _OUT),
    "cuMemAlloc_v2": (_OUT, SIZE),
    "cuMemFree_v2": (DEVICE_POINTER,),
    "cuMemAllocAsync": (_OUT, SIZE, POINTER),
    "cuMemFreeAsync": (DEVICE_POINTER, POINTER),
    "cuMemHostAlloc": (_OUT, SIZE, UINT),
    "cuMemFreeHost": (POINTER,),
    "cuMemHostRegister_v2": (POINTER, SIZE, UINT),
    "cuMemHostUnregister": (POINTER,),
    "cuMemsetD8_v2": (DEVICE_POINTER, ctypes.c_ubyte, SIZE),
}
_COPIES = {
    "cuMemcpyDtoH_v2": (POINTER, DEVICE_POINTER, SIZE),
    "cuMemcpyHtoDAsync_v2": (DEVICE_POINTER, POINTER, SIZE, POINTER),
    "cuMemcpyDtoHAsync_v2": (POINTER, DEVICE_POINTER, SIZE, POINTER),
    "cuMemcpyDtoDAsync_v2": (DEVICE_POINTER, DEVICE_POINTER, SIZE, POINTER),
    "cuMemcpyPeerAsync": (DEVICE_POINTER, POINTER, DEVICE_POINTER, POINTER, SIZE, POINTER),
}
_ERRORS = {
    "cuGetErrorString": (INT, _OUT),
}
SIGNATURES: Mapping[str, tuple[type, ...]] = {
    **_DEVICES,
    **_CONTEXTS,
    **_STREAMS,
    **_EVENTS,
    **_MEMORY,
    **_COPIES,
    **_ERRORS,
}
