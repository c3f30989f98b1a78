"""What reading the clock costs, and how finely it ticks: the floor below which a sample says nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

NANOSECOND = 1e-9

Clock = Callable[[], int]  # nanoseconds, monotonic


@dataclass(frozen=True, kw_only=True)
class ClockOverhead:
    """The clock as measured: what one pair of back-to-back reads shows, and the smallest step ever seen.

    All values are seconds. `samples` are the differences between two reads with nothing in between; they may be 0
    where the clock ticks more slowly than it is read. `mean` is the time of all reads by their number, which a coarse
    tick does not distort. `resolution` is the smallest difference above 0.
    """

    samples: tuple[float, ...]
    mean: float
    resolution: float

    @property
    def median(self) -> float:
        """The typical cost that one timed section contains; the mean where the tick hides it."""
        return median(self.samples) or self.mean

    @property
    def minimum(self) -> float:
        """The smallest cost seen, 0 under a coarse tick."""
        return min(self.samples)


def clock_overhead(*, reads: int = 500, clock: Clock = time.perf_counter_ns) -> ClockOverhead:
    """Measure the clock by `reads` pairs of back-to-back reads, after as many that are thrown away.

    Raises ValueError if the clock never moved.
    """
    _pairs(reads, clock)
    pairs = _pairs(reads, clock)
    ticks = [tick for pair in pairs for tick in pair]
    steps = [later - earlier for earlier, later in pairwise(ticks) if later > earlier]
    if not steps:
        msg = f"the clock did not move during {2 * reads} reads"
        raise ValueError(msg)
    return ClockOverhead(
        samples=tuple((later - earlier) * NANOSECOND for earlier, later in pairs),
        mean=(ticks[-1] - ticks[0]) * NANOSECOND / (len(ticks) - 1),
        resolution=min(steps) * NANOSECOND,
    )


def _pairs(reads: int, clock: Clock) -> list[tuple[int, int]]:
    return [(clock(), clock()) for _ in range(reads)]
