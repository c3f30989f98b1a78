"""A small client of the driver API for the tests of the simulation: plain ctypes, every error an exception."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from ctypes import byref, c_float, c_size_t, c_uint, c_uint64, c_void_p

from tests.simulated.driver import SimulatedDriver

PTX = b"""
.version 7.0
.target sm_50
.address_size 64
.visible .entry empty() { ret; }
.visible .entry spin(.param .u64 nanoseconds) { ret; }
.visible .entry fma(.param .u64 out, .param .u64 iterations) { ret; }
"""
MIB = 1 << 20
NON_BLOCKING = 1


class CudaError(Exception):
    """What a call returned if it was not success."""

    def __init__(self, function: str, number: int) -> None:
        super().__init__(f"{function}: {number}")
        self.number = number


class Client:
    """A context on device 0 of a driver that is planted anew."""

    def __init__(self, driver: SimulatedDriver, flags: int = 0) -> None:
        self.library = driver.plant()
        self("cuInit", 0)
        self.context = self.context_on(0, flags)
        self.module = self.handle("cuModuleLoadData", PTX)

    def __call__(self, function: str, *arguments: object) -> None:
        number = getattr(self.library, function)(*arguments)
        if number != 0:
            raise CudaError(function, number)

    def handle(self, function: str, *arguments: object) -> c_void_p:
        """Call a function whose first parameter takes a handle; return the handle."""
        handle = c_void_p()
        self(function, byref(handle), *arguments)
        return handle

    def capture(self, stream: c_void_p, work: Callable[[], object]) -> c_void_p:
        """Return the graph of what `work` enqueues in the stream."""
        graph = c_void_p()
        self("cuStreamBeginCapture_v2", stream, 0)
        work()
        self("cuStreamEndCapture", stream, byref(graph))
        return graph

    def context_on(self, device: int, flags: int = 0) -> c_void_p:
        return self.handle("cuCtxCreate_v2", flags, device)

    def stream(self, flags: int = NON_BLOCKING) -> c_void_p:
        return self.handle("cuStreamCreate", flags)

    def event(self, flags: int = 0) -> c_void_p:
        return self.handle("cuEventCreate", flags)

    def kernel(self, name: bytes = b"empty") -> c_void_p:
        return self.handle("cuModuleGetFunction", self.module, name)

    def launch(self, kernel: c_void_p, stream: c_void_p | None = None, *parameters: int) -> None:
        values = [c_uint64(each) for each in parameters]
        pointers = (c_void_p * max(len(values), 1))(*[ctypes.addressof(each) for each in values])
        self("cuLaunchKernel", kernel, *[c_uint(1)] * 6, 0, stream, pointers, None)

    def memory(self, size: int) -> c_uint64:
        start = c_uint64()
        self("cuMemAlloc_v2", byref(start), c_size_t(size))
        return start

    def pinned(self, size: int) -> c_void_p:
        return self.handle("cuMemHostAlloc", c_size_t(size), 0)

    def milliseconds(self, first: c_void_p, last: c_void_p) -> float:
        elapsed = c_float()
        self("cuEventElapsedTime", byref(elapsed), first, last)
        return elapsed.value

    def between_events(self, stream: c_void_p, work: Callable[[], object], gate: int = 20_000_000) -> float:
        """Return the device's nanoseconds for what `work` enqueues behind a kernel that spins `gate` nanoseconds."""
        first, last = self.event(), self.event()
        self.launch(self.kernel(b"spin"), stream, gate)
        self("cuEventRecord", first, stream)
        work()
        self("cuEventRecord", last, stream)
        self("cuEventSynchronize", last)
        return self.milliseconds(first, last) * 1e6

    def free_bytes(self) -> int:
        free, total = c_size_t(), c_size_t()
        self("cuMemGetInfo_v2", byref(free), byref(total))
        return free.value


def least(call: Callable[[], object], after: Callable[[], object] = lambda: None, repeats: int = 40) -> float:
    """Return the fewest nanoseconds that `call` took; `after` is not timed. No other process can make it less."""
    taken = []
    for _ in range(repeats):
        start = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - start)
        after()
    return min(taken)
