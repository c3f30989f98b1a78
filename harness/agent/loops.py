"""The timed loops that the micro-probes share: what they offer, and how plain Python does it.

`harness.agent.helper.NativeHelper` offers the same in machine code. The two measure different things (one of them an
interpreter), so every metric carries the loop's name as its `loop` dim and is compared with its like only.
All values are seconds, one a sample (or a file), in the order measured. What the operating system refuses is an
OSError.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from harness.agent.messages import Metric, Scalar
from harness.agent.sampling import CALL_METRIC, CLOCK_METRIC, NANOSECOND, sample

FileOperation = Literal["create", "stat", "read", "unlink"]

ABSENT = "native helper absent: measured by a Python loop"
INSTRUMENT_SAMPLES = 100
INSTRUMENT_CALLS = 1000


class Loops(Protocol):
    """What a micro-probe can have timed. `calls` operations make one sample, whose value is the mean of one."""

    @property
    def name(self) -> str:
        """`native` or `python`: the metrics' `loop` dim."""

    @property
    def fused(self) -> bool:
        """Whether `fma` is the processor's fused multiply-add."""

    @property
    def versions(self) -> Mapping[str, str]:
        """What the result must name: the helper's digest."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the result must say about the loop."""

    def clock(self, samples: int, calls: int) -> list[float]:
        """One read of the clock."""

    def empty_call(self, samples: int, calls: int) -> list[float]:
        """One call of an empty function."""

    def fma(self, samples: int, calls: int) -> list[float]:
        """A chain of `calls` multiply-adds, each waiting for the one before; the value is the whole chain's."""

    def spin(self, samples: int, nanoseconds: int) -> list[float]:
        """What passed on the clock around a busy wait of `nanoseconds`."""

    def syscall(self, samples: int, calls: int) -> list[float]:
        """One getppid."""

    def thread(self, samples: int) -> list[float]:
        """One thread, from its creation until it is joined."""

    def fork(self, samples: int) -> list[float]:
        """One process that ends at once, from fork until it is waited for."""

    def files(self, operation: FileOperation, directory: str, files: int, size: int) -> list[float]:
        """Do `operation` to the files `0`…`files - 1` of `size` bytes in `directory`; one value a file."""

    def list_files(self, directory: str, files: int) -> float:
        """Read the whole directory once; an OSError unless it holds `files` entries."""


class PythonLoops:
    """The loops in plain Python: what remains where the native helper cannot be loaded."""

    name = "python"
    fused = False
    versions: Mapping[str, str] = {}
    warnings: tuple[str, ...] = (ABSENT,)

    def clock(self, samples: int, calls: int) -> list[float]:
        """One read of the clock."""
        return _per_call(time.perf_counter_ns, samples, calls)

    def empty_call(self, samples: int, calls: int) -> list[float]:
        """One call of an empty function."""
        return _per_call(_nothing, samples, calls)

    def fma(self, samples: int, calls: int) -> list[float]:
        """A chain of `calls` multiplications and additions."""
        return _per_call(lambda: _chain(calls), samples, 1)

    def spin(self, samples: int, nanoseconds: int) -> list[float]:
        """What passed on the clock around a busy wait of `nanoseconds`."""
        return _per_call(lambda: _spin(nanoseconds), samples, 1)

    def syscall(self, samples: int, calls: int) -> list[float]:
        """One getppid through the interpreter."""
        return _per_call(os.getppid, samples, calls)

    def thread(self, samples: int) -> list[float]:
        """One threading.Thread, from its creation until it is joined."""
        return _per_call(_one_thread, samples, 1)

    def fork(self, samples: int) -> list[float]:
        """One os.fork with the interpreter's own work before and after it."""
        return _per_call(_one_process, samples, 1)

    def files(self, operation: FileOperation, directory: str, files: int, size: int) -> list[float]:
        """Do `operation` to each file."""
        do = _FILE_OPERATIONS[operation]
        content = os.urandom(size)  # nothing compresses it
        seconds = []
        for path in [os.path.join(directory, str(number)) for number in range(files)]:  # noqa: PTH118 - timed: plain calls
            start = time.perf_counter_ns()
            do(path, content)
            seconds.append((time.perf_counter_ns() - start) * NANOSECOND)
        return seconds

    def list_files(self, directory: str, files: int) -> float:
        """Read the whole directory once."""
        start = time.perf_counter_ns()
        with os.scandir(directory) as entries:
            found = sum(1 for _ in entries)
        seconds = (time.perf_counter_ns() - start) * NANOSECOND
        _expect(found, files, directory)
        return seconds


class PythonClock(PythonLoops):
    """Plain Python where it is the right instrument: of operations that last milliseconds. No helper is missed."""

    warnings = ()


def instrument(loops: Loops) -> tuple[Metric, Metric]:
    """Return what one read of the loops' clock and one call cost: every probe reports them once."""
    clock = loops.clock(INSTRUMENT_SAMPLES, INSTRUMENT_CALLS)
    call = loops.empty_call(INSTRUMENT_SAMPLES, INSTRUMENT_CALLS)
    return loop_metric(CLOCK_METRIC, loops, clock), loop_metric(CALL_METRIC, loops, call)


def loop_metric(name: str, loops: Loops, samples: list[float], *, warmup: int = 0, **dims: Scalar) -> Metric:
    """Return samples in seconds as a metric that names its loop."""
    return Metric(
        name=name, unit="s", better="lower", samples=tuple(samples), warmup=warmup, dims={**dims, "loop": loops.name}
    )


def _per_call(operation: Callable[[], object], samples: int, calls: int) -> list[float]:
    return sample(operation, samples=samples, per_sample=calls)


def _nothing() -> None:
    pass


def _chain(calls: int) -> float:
    value = 0.0
    for _ in range(calls):
        value = value * 0.5 + 1.0
    return value


def _spin(nanoseconds: int) -> None:
    end = time.perf_counter_ns() + nanoseconds
    while time.perf_counter_ns() < end:
        pass


def _one_thread() -> None:
    thread = threading.Thread(target=_nothing)
    thread.start()
    thread.join()


def _one_process() -> None:
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "fork")
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _create(path: str, content: bytes) -> None:
    with open(path, "xb", buffering=0) as file:  # noqa: PTH123 - timed: plain calls
        file.write(content)


def _stat(path: str, content: bytes) -> None:
    _expect(os.stat(path).st_size, len(content), path)  # noqa: PTH116 - timed: plain calls


def _read(path: str, content: bytes) -> None:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - timed: plain calls
        _expect(len(file.read(len(content))), len(content), path)


def _unlink(path: str, content: bytes) -> None:  # noqa: ARG001 - the operations share a signature
    os.unlink(path)  # noqa: PTH108 - timed: plain calls


def _expect(found: int, wanted: int, path: str) -> None:
    if found != wanted:
        raise OSError(errno.EIO, f"{found} where {wanted} is right", path)


_FILE_OPERATIONS: Mapping[FileOperation, Callable[[str, bytes], None]] = {
    "create": _create,
    "stat": _stat,
    "read": _read,
    "unlink": _unlink,
}
