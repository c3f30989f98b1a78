"""The loops over calls of the CUDA driver in plain Python: what remains where the native helper cannot be loaded."""

from __future__ import annotations

import ctypes
import errno
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from harness.agent import cuda_types as types
from harness.agent.cuda import Driver, Kernel
from harness.agent.cuda_operations import Kind, Memory, Operation
from harness.agent.loops import Loops
from harness.agent.sampling import NANOSECOND, sample

Pair = tuple[list[float], list[float]]


class PythonCudaLoops:
    """Offers what `cuda_loops.CudaLoops` says."""

    def __init__(self, driver: Driver, timed: Loops) -> None:
        """Keep the driver."""
        self.timed = timed
        self._driver = driver

    def driver_call(self, samples: int, calls: int) -> list[float]:
        """One cuCtxGetCurrent through the interpreter."""
        context = ctypes.byref(ctypes.c_void_p())
        call = partial(self._driver.call, "cuCtxGetCurrent", context)
        return sample(call, samples=samples, per_sample=calls)

    def enqueue(self, samples: int, operations: Sequence[Operation], *, repeats: int = 1, flush: bool = False) -> Pair:
        """Enqueue and wait."""
        calls = [self._prepared(operation, flush=flush) for operation in operations] * repeats
        streams = list(dict.fromkeys(operation.stream for operation in operations))
        enqueued, done = [], []
        for _ in range(samples):
            start = time.perf_counter_ns()
            for call in calls:
                call()
            middle = time.perf_counter_ns()
            for stream in streams:
                self._driver.call("cuStreamSynchronize", stream)
            end = time.perf_counter_ns()
            enqueued.append((middle - start) * NANOSECOND)
            done.append((end - start) * NANOSECOND)
        return enqueued, done

    def each(self, samples: int, operation: Operation, *, batch: int, flush: bool = False) -> list[float]:
        """Enqueue, each alone."""
        call = self._prepared(operation, flush=flush)
        seconds = []
        for number in range(1, samples + 1):
            start = time.perf_counter_ns()
            call()
            seconds.append((time.perf_counter_ns() - start) * NANOSECOND)
            if number % batch == 0 or number == samples:
                self._driver.call("cuStreamSynchronize", operation.stream)
        return seconds

    def both(self, samples: int, context: int, operations: tuple[Operation, Operation]) -> list[float]:
        """Carry out both, the second by a pool of one thread."""
        first, second = (partial(self.enqueue, 1, [operation]) for operation in operations)
        seconds = []
        enter = partial(self._driver.call, "cuCtxSetCurrent", context)
        with ThreadPoolExecutor(max_workers=1, initializer=enter) as pool:
            for _ in range(samples):
                start = time.perf_counter_ns()
                beside = pool.submit(second)
                first()
                beside.result()
                seconds.append((time.perf_counter_ns() - start) * NANOSECOND)
        return seconds

    def allocate(self, samples: int, memory: Memory, size: int, *, stream: int = 0, address: int = 0) -> Pair:
        """Allocate and free."""
        allocate, free = self._allocator(memory, size, stream, address)
        allocated, freed = [], []
        for _ in range(samples):
            start = time.perf_counter_ns()
            made = allocate()
            middle = time.perf_counter_ns()
            free(made)
            end = time.perf_counter_ns()
            allocated.append((middle - start) * NANOSECOND)
            freed.append((end - middle) * NANOSECOND)
        self._driver.call("cuStreamSynchronize", stream)
        return allocated, freed

    def _prepared(self, operation: Operation, *, flush: bool) -> Callable[[], None]:
        call = self._operation(operation)
        if not flush:
            return call

        def flushed() -> None:
            call()
            result = self._driver.status("cuStreamQuery", operation.stream)
            if result != types.NOT_READY:
                self._driver.check(result, "cuStreamQuery")

        return flushed

    def _operation(self, operation: Operation) -> Callable[[], None]:  # noqa: PLR0911 - one for each kind
        one, call = operation, self._driver.call
        copied = (one.destination, one.source, one.size, one.stream)
        match one.kind:
            case Kind.LAUNCH:
                kernel = one.kernel or Kernel(0)
                return partial(
                    call, "cuLaunchKernel", kernel.function, *(1,) * 6, 0, one.stream, kernel.parameters, None
                )
            case Kind.GRAPH:
                return partial(call, "cuGraphLaunch", one.handle, one.stream)
            case Kind.TO_DEVICE:
                return partial(call, "cuMemcpyHtoDAsync_v2", *copied)
            case Kind.TO_HOST:
                return partial(call, "cuMemcpyDtoHAsync_v2", *copied)
            case Kind.ON_DEVICE:
                return partial(call, "cuMemcpyDtoDAsync_v2", *copied)
            case Kind.TO_PEER:
                between = (one.destination, one.peer, one.source, one.handle)
                return partial(call, "cuMemcpyPeerAsync", *between, one.size, one.stream)
            case Kind.RECORD:
                return partial(call, "cuEventRecord", one.handle, one.stream)
            case Kind.EXPECT_PENDING:
                return partial(self._expect_pending, one.handle)

    def _expect_pending(self, event: int) -> None:
        result = self._driver.status("cuEventQuery", event)
        if result == types.SUCCESS:
            raise BlockingIOError(errno.EAGAIN, "the event has come")
        if result != types.NOT_READY:
            self._driver.check(result, "cuEventQuery")

    def _allocator(
        self, memory: Memory, size: int, stream: int, address: int
    ) -> tuple[Callable[[], int], Callable[[int], None]]:
        number, handle, call = self._driver.number, self._driver.handle, self._driver.call
        match memory:
            case Memory.DEVICE:
                return partial(number, "cuMemAlloc_v2", size, kind=types.DEVICE_POINTER), partial(call, "cuMemFree_v2")
            case Memory.POOL:
                pool = partial(number, "cuMemAllocAsync", size, stream, kind=types.DEVICE_POINTER)
                return pool, lambda made: call("cuMemFreeAsync", made, stream)
            case Memory.HOST:
                return partial(handle, "cuMemHostAlloc", size, 0), partial(call, "cuMemFreeHost")
            case Memory.REGISTERED:

                def register() -> int:
                    call("cuMemHostRegister_v2", address, size, 0)
                    return address

                return register, partial(call, "cuMemHostUnregister")
