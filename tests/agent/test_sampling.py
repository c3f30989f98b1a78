from __future__ import annotations

import gc

import pytest

from harness.agent.sampling import sample

READ = 50  # nanoseconds that a read of the fake clock takes


class FakeClock:
    """Moves by READ at each read, and by what an operation says that it takes."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += READ
        return self.now


def test_a_sample_is_the_time_of_its_operations_by_their_number() -> None:
    clock = FakeClock()

    def operation() -> None:
        clock.now += 1000

    seconds = sample(operation, samples=3, per_sample=10, clock=clock)

    assert seconds == pytest.approx([(10 * 1000 + READ) * 1e-9 / 10] * 3)


def test_values_are_in_the_order_measured() -> None:
    clock = FakeClock()
    lengths = iter([900, 800, 100, 200, 300])

    def operation() -> None:
        clock.now += next(lengths)

    seconds = sample(operation, samples=5, clock=clock)

    assert seconds == pytest.approx([(each + READ) * 1e-9 for each in (900, 800, 100, 200, 300)])


@pytest.mark.parametrize(("samples", "per_sample"), [(0, 1), (-1, 1), (1, 0)])
def test_impossible_numbers_are_refused(samples: int, per_sample: int) -> None:
    with pytest.raises(ValueError, match="is needed"):
        sample(lambda: None, samples=samples, per_sample=per_sample)


def test_the_collector_rests_in_the_loop_and_is_left_as_it_was() -> None:
    seen = []
    sample(lambda: seen.append((gc.isenabled(), gc.get_freeze_count() > 0)), samples=1)

    assert seen == [(False, True)]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off_even_after_a_failure() -> None:
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError):
            sample(lambda: 1 / 0, samples=1)
        assert not gc.isenabled()
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()
