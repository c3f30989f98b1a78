"""The timed loop: seconds per operation, one value a sample, warm-up first and marked.

The order of one sample: read the clock, run the operation `per_sample` times, read the clock; then store the value
and show progress, both outside the timed section. The garbage collector rests during the whole loop.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat

from harness.agent.clocks import NANOSECOND, Clock, ClockOverhead, clock_overhead

CLOCK_METRIC = "clock_seconds"

Operation = Callable[[], object]
Progress = Callable[[int, int, str], None]  # done, total, note: as `Context.progress`


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds per operation in the order measured; the first `warmup` values are warm-up.

    Each value is the time of `per_sample` operations divided by their number; nothing is subtracted from it.
    """

    seconds: tuple[float, ...]
    warmup: int
    per_sample: int
    clock: ClockOverhead

    @property
    def measured(self) -> tuple[float, ...]:
        """The values after warm-up."""
        return self.seconds[self.warmup :]


def sample(
    operation: Operation,
    *,
    samples: int,
    warmup: int,
    per_sample: int = 1,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter_ns,
) -> Timing:
    """Time `operation`: `warmup` samples that are kept apart, then `samples` that count.

    Raises ValueError unless there is at least one sample that counts and one operation in each. Whatever the
    operation raises goes on.
    """
    if samples < 1 or warmup < 0 or per_sample < 1:
        msg = f"samples {samples}, warmup {warmup}, per_sample {per_sample}: at least 1, 0 and 1 are needed"
        raise ValueError(msg)
    total = warmup + samples
    seconds = []
    overhead = clock_overhead(clock=clock)
    with _resting_collector():
        for done in range(1, total + 1):
            seconds.append(_elapsed(operation, per_sample, clock) * NANOSECOND / per_sample)
            if progress is not None:
                progress(done, total, "")
    return Timing(seconds=tuple(seconds), warmup=warmup, per_sample=per_sample, clock=overhead)


def _elapsed(operation: Operation, count: int, clock: Clock) -> int:
    """Return the nanoseconds that `count` operations take."""
    rounds = repeat(None, count)
    start = clock()
    for _ in rounds:
        operation()
    return clock() - start


@contextmanager
def _resting_collector() -> Iterator[None]:
    """Keep the cyclic garbage collector from running in a timed section; leave it as it was found."""
    was_enabled = gc.isenabled()
    was_frozen = gc.get_freeze_count() > 0
    gc.collect()
    gc.disable()
    gc.freeze()
    try:
        yield
    finally:
        if not was_frozen:
            gc.unfreeze()
        if was_enabled:
            gc.enable()
