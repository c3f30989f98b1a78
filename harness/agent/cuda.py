"""The CUDA driver API through ctypes: no toolkit, no framework, only the library that the GPU's driver installs.

    driver = open_driver()
    with driver.device(0).context() as gpu:
        stream = gpu.stream()
        ...

Whatever fails is a CudaError (`cuda_errors`), whose class decides the result's status. Handles (streams, events,
kernels) are plain numbers and live as long as their context; memory is given back by its context manager.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from harness.agent import cuda_types as types
from harness.agent.cuda_errors import error
from harness.agent.task import Unavailable, Unsupported

REMEDY = (
    "install the NVIDIA driver (for WSL, on Windows); start a container with its GPU: --gpus all, and "
    "NVIDIA_DRIVER_CAPABILITIES with compute"
)


def library_names() -> tuple[str, ...]:
    """Return where the driver's library may be, in order: by the system's search, and where WSL has it."""
    if sys.platform == "win32":
        return ("nvcuda.dll",)
    return ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")


def ordinal(device: str) -> int:
    """Return the number of the GPU that a cell's device names: 1 of `cuda:1`, 0 of `cuda`."""
    return int(device.partition(":")[2] or 0)


def open_driver(names: Sequence[str] | None = None) -> Driver:
    """Load the driver's library and initialize it.

    Raises Unavailable if there is none that loads, or if it does not find a GPU.
    """
    problems = []
    for name in names or library_names():
        try:
            library = ctypes.CDLL(name)
        except OSError as problem:
            problems.append(str(problem))
            continue
        driver = Driver(library)
        driver.call("cuInit", 0)
        return driver
    msg = f"no CUDA driver: {'; '.join(problems)}: {REMEDY}"
    raise Unavailable(msg)


class Driver:
    """The loaded library. Functions are called by their exported names (`cuMemAlloc_v2`)."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Declare the types of the functions that the library has."""
        self._library = library
        for name, signature in types.SIGNATURES.items():
            if hasattr(library, name):
                getattr(library, name).argtypes = signature
                getattr(library, name).restype = ctypes.c_int

    def status(self, function: str, *arguments: object) -> int:
        """Call a function and return its CUresult. Raises Unsupported if this driver does not have it."""
        self.need(function)
        return int(getattr(self._library, function)(*arguments))

    def need(self, *functions: str) -> None:
        """Raise Unsupported if this driver lacks one of the functions."""
        for function in functions:
            if not hasattr(self._library, function):
                msg = f"this driver has no {function}: update the driver"
                raise Unsupported(msg)

    def call(self, function: str, *arguments: object) -> None:
        """Call a function; raise CudaError unless it succeeds."""
        self.check(self.status(function, *arguments), function)

    def check(self, result: int, function: str) -> None:
        """Raise the CudaError that a CUresult of `function` stands for, if it is one."""
        if result != types.SUCCESS:
            raise error(result, function, self._says(result))

    def address(self, function: str) -> int:
        """Return where a function lies in memory, 0 if this driver does not have it."""
        if not hasattr(self._library, function):
            return 0
        return ctypes.cast(getattr(self._library, function), ctypes.c_void_p).value or 0

    def number(self, function: str, *arguments: object, kind: type[ctypes._SimpleCData[int]] = ctypes.c_int) -> int:
        """Call a function that fills in a number through its first argument; return the number."""
        value = kind()
        self.call(function, ctypes.byref(value), *arguments)
        return int(value.value)

    def handle(self, function: str, *arguments: object) -> int:
        """Call a function that fills in a handle or an address through its first argument; return it."""
        value = ctypes.c_void_p()
        self.call(function, ctypes.byref(value), *arguments)
        return value.value or 0

    @contextmanager
    def owned(self, handle: int, release: str) -> Iterator[int]:
        """Yield what `release` gives back at the end.

        After an error the release is tried and not judged: in a lost context it fails too, and the cause counts.
        """
        try:
            yield handle
        except BaseException:
            self.status(release, handle)
            raise
        self.call(release, handle)

    @cached_property
    def version(self) -> str:
        """The latest CUDA version that the driver supports, such as `13.0`."""
        version = self.number("cuDriverGetVersion")
        return f"{version // 1000}.{version % 1000 // 10}"

    def device(self, ordinal: int) -> Device:
        """Return the GPU of this number, counted as CUDA_VISIBLE_DEVICES leaves them. Raises Unavailable."""
        count = self.number("cuDeviceGetCount")
        if ordinal >= count:
            msg = f"cuda:{ordinal} is asked for and {count} GPUs are visible: {REMEDY}"
            raise Unavailable(msg)
        return Device(driver=self, ordinal=ordinal, handle=self.number("cuDeviceGet", ordinal))

    def _says(self, result: int) -> str:
        text = ctypes.c_char_p()
        if self.status("cuGetErrorString", result, ctypes.byref(text)) != types.SUCCESS or not text.value:
            return ""
        return text.value.decode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True)
class Device:
    """One GPU."""

    driver: Driver
    ordinal: int
    handle: int

    @property
    def name(self) -> str:
        """The product's name."""
        text = ctypes.create_string_buffer(256)
        self.driver.call("cuDeviceGetName", text, len(text), self.handle)
        return text.value.decode("utf-8", "replace")

    @property
    def uuid(self) -> str:
        """`GPU-…`, as NVML has it; under MIG the instance's number without its prefix."""
        uuid = types.Uuid()
        self.driver.call("cuDeviceGetUuid_v2", ctypes.byref(uuid), self.handle)
        return f"GPU-{UUID(bytes=bytes(uuid.bytes))}"

    @property
    def bus_id(self) -> str:
        """Its address on the PCI bus as Linux writes it, `0000:3b:00.0`; under MIG that of the whole GPU."""
        text = ctypes.create_string_buffer(32)
        self.driver.call("cuDeviceGetPCIBusId", text, len(text), self.handle)
        return text.value.decode("ascii", "replace").lower()

    def reaches(self, other: Device) -> bool:
        """Whether this GPU can use the other's memory itself (peer to peer)."""
        return bool(self.driver.number("cuDeviceCanAccessPeer", self.handle, other.handle))

    @contextmanager
    def context(self, flags: int = 0) -> Iterator[CudaContext]:
        """Yield a new context of this GPU, current on this thread; destroy it with all that was made in it.

        A context that ends without an error has done all its work: a failure of the device that no call has reported
        yet is raised here.
        """
        with self.driver.owned(self.driver.handle("cuCtxCreate_v2", flags, self.handle), "cuCtxDestroy_v2") as handle:
            yield CudaContext(driver=self.driver, device=self, handle=handle)
            self.driver.call("cuCtxSetCurrent", handle)
            self.driver.call("cuCtxSynchronize")


@dataclass(frozen=True, kw_only=True)
class CudaContext:
    """A context of a GPU. Its methods work on the context that is current, which it is unless another was made so."""

    driver: Driver
    device: Device
    handle: int

    def make_current(self) -> None:
        """Let this thread's further calls work on this context."""
        self.driver.call("cuCtxSetCurrent", self.handle)

    def stream(self) -> int:
        """Return a new stream that does not wait for the default one."""
        return self.driver.handle("cuStreamCreate", types.STREAM_NON_BLOCKING)

    def synchronize(self, stream: int) -> None:
        """Wait until all work of the stream is done."""
        self.driver.call("cuStreamSynchronize", stream)

    def event(self) -> int:
        """Return a new event that takes the time."""
        return self.driver.handle("cuEventCreate", types.EVENT_DEFAULT)

    def elapsed(self, start: int, end: int) -> float:
        """Return the seconds between two events that have come; the driver tells them to half a microsecond."""
        milliseconds = ctypes.c_float()
        self.driver.call("cuEventElapsedTime", ctypes.byref(milliseconds), start, end)
        return milliseconds.value * 1e-3

    def module(self, ptx: str) -> int:
        """Return the module that the driver compiles from PTX."""
        return self.driver.handle("cuModuleLoadData", ptx.encode("ascii"))

    def kernel(self, module: int, name: str, *arguments: int) -> Kernel:
        """Return a module's kernel with its arguments, all of them u64."""
        return Kernel(self.driver.handle("cuModuleGetFunction", module, name.encode("ascii")), arguments)

    def free_memory(self) -> int:
        """Return the bytes of the GPU's memory that are free."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.driver.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    @contextmanager
    def memory(self, size: int) -> Iterator[int]:
        """Yield the address of `size` bytes of the GPU's memory."""
        address = self.driver.number("cuMemAlloc_v2", size, kind=types.DEVICE_POINTER)
        with self.driver.owned(address, "cuMemFree_v2"):
            yield address

    @contextmanager
    def pinned(self, size: int) -> Iterator[int]:
        """Yield the address of `size` bytes of pinned host memory."""
        with self.driver.owned(self.driver.handle("cuMemHostAlloc", size, 0), "cuMemFreeHost") as address:
            yield address

    def read(self, address: int, size: int) -> bytes:
        """Return `size` bytes of the GPU's memory."""
        content = (ctypes.c_char * size)()
        self.driver.call("cuMemcpyDtoH_v2", content, address, size)
        return content.raw


class Kernel:
    """A kernel and its arguments, which stay where the driver finds them as long as this object lives."""

    def __init__(self, function: int, arguments: Sequence[int] = ()) -> None:
        """Lay the arguments out as cuLaunchKernel wants them."""
        self.function = function
        self._values = [ctypes.c_uint64(value) for value in arguments]
        self._pointers = (ctypes.c_void_p * len(arguments))(*map(ctypes.addressof, self._values))

    @property
    def parameters(self) -> int:
        """The address of the list of the arguments' addresses, 0 where there are none."""
        return ctypes.addressof(self._pointers) if self._values else 0
