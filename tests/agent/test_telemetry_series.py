from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.telemetry.series import Series

VALUES = st.none() | st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(VALUES, max_size=300), st.integers(3, 40))
def test_memory_is_bounded_and_nothing_is_forgotten_of_the_extremes(values: list[float | None], capacity: int) -> None:
    series = Series(["level"], capacity)
    for tick, value in enumerate(values):
        series.add(float(tick), [value])
    kept = series.columns["level"]
    measured = [value for value in values if value is not None]

    assert len(series.times) == len(kept) <= capacity
    assert series.times == sorted(series.times)
    assert kept == [values[int(time)] for time in series.times]
    assert series.extremes == ({"level": (min(measured), max(measured))} if measured else {})


@given(st.integers(3, 30), st.integers(0, 2000))
def test_when_it_is_full_the_rate_halves(capacity: int, ticks: int) -> None:
    """As the sampler does it: the next row comes `stride` intervals later."""
    series = Series(["tick"], capacity)
    tick = 0
    while tick < ticks:
        series.add(float(tick), [float(tick)])
        tick += series.stride

    assert series.stride & (series.stride - 1) == 0
    assert {after - before for before, after in pairwise(series.times)} <= {float(series.stride)}
    assert (series.stride > 1) == (ticks >= capacity - 1 + capacity % 2)


@pytest.mark.parametrize("capacity", [4, 1000])
def test_the_share_of_a_bit_is_one_of_time_whatever_the_rate_became(capacity: int) -> None:
    series = Series(["reasons"], capacity, ["reasons"])
    tick = 0
    while tick < 512:
        series.add(float(tick), [0x8 | 0x1 if tick < 128 else 0x1])
        tick += series.stride

    shares = series.shares["reasons"]
    assert shares["1"] == 1
    assert shares["8"] == pytest.approx(0.25, abs=0.01 if capacity == 1000 else 0.15)
    assert set(shares) == {"1", "8"}
    assert series.extremes == {}


def test_what_was_never_to_be_had_has_no_share() -> None:
    series = Series(["reasons", "power"], 8, ["reasons"])
    series.add(0.0, [None, None])

    assert (series.shares, series.extremes) == ({}, {})
    assert series.columns == {"reasons": [None], "power": [None]}


def test_a_capacity_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ValueError, match="2 rows"):
        Series(["x"], 2)
