from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count, repeat

import pytest

from harness.agent.clocks import clock_overhead


def fake_clock(ticks: Iterator[int]) -> Callable[[], int]:
    return lambda: next(ticks)


def test_a_steady_clock_costs_one_step_a_read() -> None:
    overhead = clock_overhead(reads=10, clock=fake_clock(count(0, 40)))

    assert overhead.samples == pytest.approx((40e-9,) * 10)
    assert overhead.median == pytest.approx(40e-9)
    assert overhead.minimum == pytest.approx(40e-9)
    assert overhead.mean == pytest.approx(40e-9)
    assert overhead.resolution == pytest.approx(40e-9)


def test_a_coarse_clock_hides_the_cost_in_single_reads_but_not_in_their_mean() -> None:
    # Each read takes 10 ns, the clock shows full 100 ns only, as Windows does.
    overhead = clock_overhead(reads=100, clock=fake_clock(tick // 100 * 100 for tick in count(0, 10)))

    assert overhead.minimum == 0
    assert overhead.resolution == pytest.approx(100e-9)
    assert overhead.mean == pytest.approx(10e-9, rel=0.06)
    assert overhead.median == overhead.mean


def test_the_first_reads_are_thrown_away() -> None:
    slow_then_fast = iter([*range(0, 6000, 1000), *range(6000, 6060, 10)])
    overhead = clock_overhead(reads=3, clock=fake_clock(slow_then_fast))

    assert overhead.samples == pytest.approx((10e-9,) * 3)


def test_a_clock_that_stands_still_is_refused() -> None:
    with pytest.raises(ValueError, match="did not move"):
        clock_overhead(reads=5, clock=fake_clock(repeat(1)))


def test_the_real_clock_costs_something_and_less_than_a_tenth_of_a_millisecond() -> None:
    overhead = clock_overhead()

    assert 0 < overhead.median < 1e-4
    assert 0 < overhead.resolution < 1e-3
    assert len(overhead.samples) == 500
    assert time.get_clock_info("perf_counter").monotonic
