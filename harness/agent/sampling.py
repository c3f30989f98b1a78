"""The timed loop in plain Python: seconds per operation, one value a sample.

One sample: read the clock, run the operation `per_sample` times, read the clock. Nothing is subtracted: what the clock
costs is a metric of its own. The garbage collector rests during the whole loop.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import repeat
from typing import TypeVar

CLOCK_METRIC = "clock_seconds"
CALL_METRIC = "call_seconds"
NANOSECOND = 1e-9

Operation = Callable[[], object]
Clock = Callable[[], int]  # nanoseconds, monotonic
T = TypeVar("T")


def sample(
    operation: Operation, *, samples: int, per_sample: int = 1, clock: Clock = time.perf_counter_ns
) -> list[float]:
    """Return the seconds of one operation, the mean of `per_sample` in a row, `samples` times in the order measured.

    Raises ValueError unless there is at least one of each. Whatever the operation raises goes on.
    """
    if samples < 1 or per_sample < 1:
        msg = f"samples {samples}, per_sample {per_sample}: at least 1 of each is needed"
        raise ValueError(msg)
    with _resting_collector():
        return [_elapsed(operation, per_sample, clock) * NANOSECOND / per_sample for _ in range(samples)]


def timed(call: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that a call takes, and what it returns: for what takes much longer than the interpreter."""
    start = time.perf_counter_ns()
    value = call()
    return (time.perf_counter_ns() - start) * NANOSECOND, value


def _elapsed(operation: Operation, count: int, clock: Clock) -> int:
    """Return the nanoseconds that `count` operations take."""
    rounds = repeat(None, count)
    start = clock()
    for _ in rounds:
        operation()
    return clock() - start


@contextmanager
def _resting_collector() -> Iterator[None]:
    """Keep the cyclic garbage collector from running in a timed section; afterwards it is on or off as before."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_enabled:
            gc.enable()
