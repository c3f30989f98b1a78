"""The timed loops over calls of the CUDA driver: in machine code, and in plain Python where that cannot be loaded.

What is enqueued is a list of operations, so one loop times launches, graphs, copies and any mixture of them.
All values are seconds, one a sample, in the order measured. What fails in the driver is a CudaError.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Protocol

from harness.agent.cuda import Driver
from harness.agent.cuda_operations import Memory, Operation, pack
from harness.agent.cuda_python_loops import Pair, PythonCudaLoops
from harness.agent.helper import NativeHelper, loops
from harness.agent.loops import Loops

# The functions of cuda_driver_t in native/cuda.h, in its order.
FUNCTIONS = (
    "cuCtxGetCurrent",
    "cuCtxSetCurrent",
    "cuLaunchKernel",
    "cuGraphLaunch",
    "cuMemcpyHtoDAsync_v2",
    "cuMemcpyDtoHAsync_v2",
    "cuMemcpyDtoDAsync_v2",
    "cuMemcpyPeerAsync",
    "cuEventRecord",
    "cuEventQuery",
    "cuStreamQuery",
    "cuStreamSynchronize",
    "cuMemAlloc_v2",
    "cuMemFree_v2",
    "cuMemAllocAsync",
    "cuMemFreeAsync",
    "cuMemHostAlloc",
    "cuMemFreeHost",
    "cuMemHostRegister_v2",
    "cuMemHostUnregister",
)
POOL = ("cuMemAllocAsync", "cuMemFreeAsync")  # since CUDA 11.2
FAILURE = 1_000_000  # PROBE_CUDA_FAILURE of native/overhead_probe.h


class CudaLoops(Protocol):
    """What a probe can have timed. `timed` names the loop, and has the clock's cost."""

    @property
    def timed(self) -> Loops:
        """The loops of the same make that call no driver."""

    def driver_call(self, samples: int, calls: int) -> list[float]:
        """One cuCtxGetCurrent, as the mean of `calls`: what entering the driver costs."""

    def enqueue(self, samples: int, operations: Sequence[Operation], *, repeats: int = 1, flush: bool = False) -> Pair:
        """Enqueue all operations `repeats` times, then wait for their streams.

        Return the seconds until all was enqueued, and those until all was done. With `flush`, cuStreamQuery follows
        each operation. Operations of one stream stand side by side.
        """

    def each(self, samples: int, operation: Operation, *, batch: int, flush: bool = False) -> list[float]:
        """Enqueue one operation, timed alone; after every `batch` of them wait for the stream, untimed."""

    def both(self, samples: int, context: int, operations: tuple[Operation, Operation]) -> list[float]:
        """Carry out two operations at once, each on a thread of its own, until both are done."""

    def allocate(self, samples: int, memory: Memory, size: int, *, stream: int = 0, address: int = 0) -> Pair:
        """Allocate and free `size` bytes; return the seconds of the one and of the other.

        `address` is the memory that REGISTERED pins, `stream` orders POOL.
        """


def cuda_loops(driver: Driver) -> CudaLoops:
    """Return the native loops where the helper can be loaded, else the Python ones."""
    timed = loops("cuda_enqueue")
    if isinstance(timed, NativeHelper):
        return NativeCudaLoops(driver, timed)
    return PythonCudaLoops(driver, timed)


class NativeCudaLoops:
    """The loops of native/cuda.c."""

    def __init__(self, driver: Driver, timed: NativeHelper) -> None:
        """Look up the driver's functions. Raises Unsupported if it lacks one that no loop can do without."""
        driver.need(*(name for name in FUNCTIONS if name not in POOL))
        self.timed = timed
        self._driver = driver
        self._functions = (ctypes.c_void_p * len(FUNCTIONS))(*map(driver.address, FUNCTIONS))

    def driver_call(self, samples: int, calls: int) -> list[float]:
        """One cuCtxGetCurrent."""
        return self._call("cuda_call", samples, samples, calls)

    def enqueue(self, samples: int, operations: Sequence[Operation], *, repeats: int = 1, flush: bool = False) -> Pair:
        """Enqueue and wait."""
        packed = pack(operations)
        return _pairs(
            self._call(
                "cuda_enqueue", 2 * samples, samples, ctypes.addressof(packed), len(operations), repeats, int(flush)
            )
        )

    def each(self, samples: int, operation: Operation, *, batch: int, flush: bool = False) -> list[float]:
        """Enqueue, each alone."""
        packed = pack([operation])
        return self._call("cuda_each", samples, samples, ctypes.addressof(packed), batch, int(flush))

    def both(self, samples: int, context: int, operations: tuple[Operation, Operation]) -> list[float]:
        """Carry out both."""
        packed = pack(operations)
        return self._call("cuda_both", samples, samples, context, ctypes.addressof(packed))

    def allocate(self, samples: int, memory: Memory, size: int, *, stream: int = 0, address: int = 0) -> Pair:
        """Allocate and free. Raises Unsupported if the driver has no pools."""
        if memory is Memory.POOL:
            self._driver.need(*POOL)
        return _pairs(self._call("cuda_allocate", 2 * samples, samples, int(memory), size, stream, address))

    def _call(self, name: str, count: int, *arguments: int) -> list[float]:
        try:
            return self.timed.call(name, count, ctypes.addressof(self._functions), *arguments)
        except OSError as problem:
            number = (problem.errno or 0) - FAILURE
            if number < 0:
                raise
            function, result = divmod(number, 1000)
            self._driver.check(result, FUNCTIONS[function])
            raise


def _pairs(values: list[float]) -> Pair:
    return values[0::2], values[1::2]
