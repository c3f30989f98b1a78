from __future__ import annotations

import gc

import pytest

from harness.agent.clocks import ClockOverhead
from harness.agent.sampling import (
    Timing,
    sample,
)

READ = 50  # nanoseconds that a read of the fake clock takes


class FakeClock:
    """Moves by READ at each read, and by what an operation says that it takes."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += READ
        return self.now


def timing(*seconds: float, warmup: int = 0, per_sample: int = 1, clock: float = 1e-7) -> Timing:
    overhead = ClockOverhead(samples=(clock,), mean=clock, resolution=clock)
    return Timing(seconds=seconds, warmup=warmup, per_sample=per_sample, clock=overhead)


def test_a_sample_is_the_time_of_its_operations_by_their_number() -> None:
    clock = FakeClock()

    def operation() -> None:
        clock.now += 1000

    result = sample(operation, samples=3, warmup=2, per_sample=10, clock=clock)

    assert result.seconds == pytest.approx(((10 * 1000 + READ) * 1e-9 / 10,) * 5)
    assert result.warmup == 2
    assert result.per_sample == 10
    assert len(result.measured) == 3
    assert result.clock.median == pytest.approx(READ * 1e-9)


def test_values_are_in_the_order_measured_with_warm_up_first() -> None:
    clock = FakeClock()
    lengths = iter([900, 800, 100, 200, 300])

    def operation() -> None:
        clock.now += next(lengths)

    result = sample(operation, samples=3, warmup=2, clock=clock)

    assert result.seconds == pytest.approx(tuple((each + READ) * 1e-9 for each in (900, 800, 100, 200, 300)))
    assert result.measured == result.seconds[2:]


def test_progress_counts_warm_up_and_lies_outside_the_timed_section() -> None:
    clock = FakeClock()
    shown = []

    def progress(done: int, total: int, note: str) -> None:
        clock.now += 10**9
        shown.append((done, total, note))

    result = sample(lambda: None, samples=2, warmup=1, progress=progress, clock=clock)

    assert shown == [(1, 3, ""), (2, 3, ""), (3, 3, "")]
    assert max(result.seconds) == pytest.approx(READ * 1e-9)


@pytest.mark.parametrize(("samples", "warmup", "per_sample"), [(0, 0, 1), (1, -1, 1), (1, 0, 0)])
def test_impossible_numbers_are_refused(samples: int, warmup: int, per_sample: int) -> None:
    with pytest.raises(ValueError, match="are needed"):
        sample(lambda: None, samples=samples, warmup=warmup, per_sample=per_sample)


def test_the_collector_rests_in_the_loop_and_is_left_as_it_was() -> None:
    seen = []
    sample(lambda: seen.append((gc.isenabled(), gc.get_freeze_count() > 0)), samples=1, warmup=0)

    assert seen == [(False, True)]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off_even_after_a_failure() -> None:
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            sample(lambda: 1 / 0, samples=1, warmup=0)
        assert not gc.isenabled()
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()
