"""What the CUDA driver's errors mean for a measurement, and what to do about each.

The class decides the status of the result: `CudaOutOfMemoryError` is a MemoryError (`oom`), `CudaUnsupportedError` an
Unsupported, `CudaUnavailableError` an Unavailable; any other CudaError is a failure. Numbers, names and meanings are
those of CUresult in cuda.h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.agent.task import Unavailable, Unsupported


class CudaError(Exception):
    """A call of the driver failed: `code` and `name` are CUresult's, `function` is what was called.

    `lost` errors stay: the context, and all that was measured in it since the last synchronization, is worth nothing.
    """

    def __init__(self, code: int, function: str, driver_says: str = "") -> None:
        """Make the text: function, name, number, meaning, and what to do."""
        known = KNOWN.get(code, _Known("CUDA_ERROR", driver_says or "unknown error", _REPORT))
        if (function, code) in _NOT_PINNED:
            known = replace(known, meaning="the platform does not pin this memory", remedy=_HOST_MEMORY)
        self.code = code
        self.function = function
        self.name = known.name
        self.lost = known.lost
        remedy = _HOST_MEMORY if known.remedy is _MEMORY and function.startswith("cuMemHost") else known.remedy
        super().__init__(f"{function}: {known.name} ({code}): {known.meaning}; {remedy}")


class CudaOutOfMemoryError(CudaError, MemoryError):
    """The driver refused memory."""


class CudaUnsupportedError(CudaError, Unsupported):
    """The platform's driver, or the GPU, can't do this."""


class CudaUnavailableError(CudaError, Unavailable):
    """There is no GPU, or the driver does not work."""


def error(code: int, function: str, driver_says: str = "") -> CudaError:
    """Return the error of the class that decides the result's status; whatever stops cuInit makes CUDA unavailable."""
    if function == "cuInit":
        return CudaUnavailableError(code, function, driver_says)
    if (function, code) in _NOT_PINNED:
        return CudaUnsupportedError(code, function, driver_says)
    return _CLASSES.get(code, CudaError)(code, function, driver_says)


@dataclass(frozen=True)
class _Known:
    name: str
    meaning: str
    remedy: str
    lost: bool = False


_REPORT = "see whether a CUDA sample fails alike, and the kernel log for an Xid of the GPU"
_LOST = "the context is lost: look for an Xid in the kernel log (dmesg), then run again; if it returns, check the GPU"
_DRIVER = "check that nvidia-smi works; restart the machine after an update of the driver"
_UPDATE = "update the driver, or leave this task out on this platform"
_MEMORY = "free memory of the GPU (other processes, desktop) or lower the sizes in matrix.yaml"
_HOST_MEMORY = "give the platform more memory, or raise its limit of locked memory (ulimit -l)"
_BUG = "a mistake of this tool: please report it with this line"
_VISIBLE = "check CUDA_VISIBLE_DEVICES; start a container with its GPU (--gpus all)"

KNOWN: Mapping[int, _Known] = {
    1: _Known("CUDA_ERROR_INVALID_VALUE", "a wrong argument", _BUG),
    2: _Known("CUDA_ERROR_OUT_OF_MEMORY", "not enough memory", _MEMORY),
    3: _Known("CUDA_ERROR_NOT_INITIALIZED", "the driver was not initialized", _DRIVER),
    34: _Known("CUDA_ERROR_STUB_LIBRARY", "the toolkit's stub, not the driver", "mend LD_LIBRARY_PATH"),
    46: _Known("CUDA_ERROR_DEVICE_UNAVAILABLE", "the GPU is in use", "end what uses it; check its compute mode"),
    100: _Known("CUDA_ERROR_NO_DEVICE", "no GPU is visible", _VISIBLE),
    101: _Known("CUDA_ERROR_INVALID_DEVICE", "no GPU of this number", _VISIBLE),
    200: _Known("CUDA_ERROR_INVALID_IMAGE", "the kernels' text was refused", _BUG),
    201: _Known("CUDA_ERROR_INVALID_CONTEXT", "no context is current", _BUG),
    209: _Known("CUDA_ERROR_NO_BINARY_FOR_GPU", "the kernels need a GPU of compute capability 5.0", "use a newer GPU"),
    214: _Known("CUDA_ERROR_ECC_UNCORRECTABLE", "the GPU's memory gave wrong data", _LOST, lost=True),
    217: _Known("CUDA_ERROR_PEER_ACCESS_UNSUPPORTED", "no way between these GPUs", "see nvidia-smi topo -p2p r"),
    218: _Known("CUDA_ERROR_INVALID_PTX", "the kernels' text can't be compiled", _BUG),
    221: _Known("CUDA_ERROR_JIT_COMPILER_NOT_FOUND", "the driver's PTX compiler is missing", _DRIVER),
    222: _Known("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the driver is too old for the kernels' text", _UPDATE),
    304: _Known("CUDA_ERROR_OPERATING_SYSTEM", "the operating system refused a call", _DRIVER),
    700: _Known("CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel used an address that is not its own", _LOST, lost=True),
    702: _Known("CUDA_ERROR_LAUNCH_TIMEOUT", "the system's watchdog ended a kernel", _LOST, lost=True),
    704: _Known("CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "peer access was on before", _BUG),
    709: _Known("CUDA_ERROR_CONTEXT_IS_DESTROYED", "the context is gone", _LOST, lost=True),
    710: _Known("CUDA_ERROR_ASSERT", "a kernel gave up", _LOST, lost=True),
    712: _Known("CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED", "the memory is pinned already", _BUG),
    714: _Known("CUDA_ERROR_HARDWARE_STACK_ERROR", "the GPU's stack broke", _LOST, lost=True),
    715: _Known("CUDA_ERROR_ILLEGAL_INSTRUCTION", "the GPU met an unknown instruction", _LOST, lost=True),
    716: _Known("CUDA_ERROR_MISALIGNED_ADDRESS", "a kernel used a misaligned address", _LOST, lost=True),
    717: _Known("CUDA_ERROR_INVALID_ADDRESS_SPACE", "a kernel used a wrong address space", _LOST, lost=True),
    718: _Known("CUDA_ERROR_INVALID_PC", "the GPU's program counter broke", _LOST, lost=True),
    719: _Known("CUDA_ERROR_LAUNCH_FAILED", "a kernel failed", _LOST, lost=True),
    800: _Known("CUDA_ERROR_NOT_PERMITTED", "the platform does not permit this", "run with the rights that it needs"),
    801: _Known("CUDA_ERROR_NOT_SUPPORTED", "the platform or the GPU does not support this", _UPDATE),
    802: _Known("CUDA_ERROR_SYSTEM_NOT_READY", "the GPUs' fabric is not up", "start nvidia-fabricmanager"),
    803: _Known("CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "the driver's two halves differ", _DRIVER),
    804: _Known("CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "no forward compatibility on this GPU", _UPDATE),
    999: _Known("CUDA_ERROR_UNKNOWN", "the driver does not say what", _DRIVER, lost=True),
}  # fmt: skip

# How drivers answer where the operating system does not let them pin: from another call, the same numbers are mistakes.
_NOT_PINNED = frozenset({("cuMemHostRegister_v2", 1), ("cuMemHostRegister_v2", 304), ("cuMemHostAlloc", 304)})

_CLASSES: Mapping[int, type[CudaError]] = {
    2: CudaOutOfMemoryError,
    **dict.fromkeys((34, 46, 100, 101, 802, 803, 804), CudaUnavailableError),
    **dict.fromkeys((209, 217, 221, 222, 800, 801), CudaUnsupportedError),
}
