"""One ratio with its interval: coverage, power, inversion, verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.estimate import Estimate, Values, minimal_effect, paired, unpaired, verdict, widened

TRIALS = 400


def drawn(
    random: np.random.Generator, *, slowdown: float, blocks: int = 8, sigma: float = 0.02
) -> tuple[Values, Values]:
    """Two platforms' per-invocation medians in interleaved blocks that drift by 3% over the run."""
    drift = np.linspace(0, 0.03, blocks)
    sides = (np.exp(drift + random.normal(math.log(factor), sigma, blocks)) for factor in (1.0, slowdown))
    return next(sides), next(sides)


@pytest.mark.parametrize("level", [0.95, 0.9875])
def test_intervals_cover_as_often_as_they_say(level: float) -> None:
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(TRIALS):
        low, high = paired(*drawn(random, slowdown=1.03), level=level).interval
        assert low is not None
        assert high is not None
        covered += low <= 1.03 <= high
    assert level - 0.03 <= covered / TRIALS <= level + 0.03


@pytest.mark.parametrize("level", [0.95, 0.9702])
def test_the_paired_interval_is_scipys(level: float) -> None:
    baseline, platform = drawn(np.random.default_rng(3), slowdown=1.1)
    found = paired(baseline, platform, level=level)
    scipys = stats.ttest_1samp(np.log(platform) - np.log(baseline), 0).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx(tuple(scipys))


@pytest.mark.parametrize("estimate", [paired, unpaired])
def test_a_widened_interval_is_the_one_of_that_level(estimate: Callable[..., Estimate]) -> None:
    sides = drawn(np.random.default_rng(4), slowdown=1.1)
    narrow, wide = (estimate(*sides, level=level) for level in (0.95, 0.995))
    low, high = narrow.interval
    assert low is not None
    assert high is not None
    assert narrow.t_freedom is not None
    assert widened(low, high, level=0.95, to=0.995, freedom=narrow.t_freedom) == pytest.approx(wide.interval)


def test_a_planted_slowdown_is_found() -> None:
    estimate = paired(*drawn(np.random.default_rng(2), slowdown=1.03, sigma=0.005))
    assert verdict(estimate, 0.005) == "slower"
    assert estimate.ratio == pytest.approx(1.03, abs=0.01)


def test_the_detectable_effect_is_detected_in_four_of_five_runs() -> None:
    random = np.random.default_rng(3)
    effects = [minimal_effect(paired(*drawn(random, slowdown=1.0))) for _ in range(100)]
    typical = float(np.median([effect for effect in effects if effect is not None]))
    found = sum(paired(*drawn(random, slowdown=1 + typical)).resolved for _ in range(TRIALS))
    assert 0.7 <= found / TRIALS <= 0.9


@pytest.mark.parametrize("blocks", [1, 2])
def test_no_detectable_effect_without_three_blocks(blocks: int) -> None:
    assert minimal_effect(paired(*drawn(np.random.default_rng(4), slowdown=1.0, blocks=blocks))) is None


def test_more_blocks_detect_less() -> None:
    effects = [
        minimal_effect(Estimate(log_ratio=0, low=-1, high=1, spread=0.02, blocks=blocks)) for blocks in (3, 5, 8, 20)
    ]
    assert None not in effects
    assert effects == sorted(effects, key=lambda effect: -(effect or 0))


def test_one_block_has_no_interval_and_no_verdict() -> None:
    estimate = paired(np.array([1.0]), np.array([2.0]))
    assert estimate.ratio == pytest.approx(2.0)
    assert estimate.interval == (None, None)
    assert verdict(estimate, 0.0) == "inconclusive"
    assert not estimate.resolved


def test_equal_values_have_an_interval_of_no_width() -> None:
    estimate = paired(np.full(5, 0.1), np.full(5, 0.1))
    assert estimate.interval == (1.0, 1.0)
    assert verdict(estimate, None) == "equivalent"


@pytest.mark.parametrize(
    ("low", "high", "floor", "expected"),
    [
        (1.02, 1.04, None, "slower"),
        (1.02, 1.04, 0.005, "slower"),
        (1.02, 1.04, 0.03, "inconclusive"),
        (1.02, 1.04, 0.05, "equivalent"),
        (0.92, 0.95, 0.01, "faster"),
        (0.92, 0.95, 0.10, "equivalent"),
        (0.995, 1.005, None, "equivalent"),
        (0.98, 1.005, None, "inconclusive"),
        (0.995, 1.02, 0.0, "inconclusive"),
        (0.5, 2.0, 0.01, "inconclusive"),
        (1.001, 1.002, None, "equivalent"),
        (1 / 1.0199, 1.0199, 0.02, "equivalent"),
        (1 / 1.0201, 1.0, 0.02, "inconclusive"),
    ],
)
def test_verdicts(low: float, high: float, floor: float | None, expected: str) -> None:
    estimate = Estimate(log_ratio=0.0, low=math.log(low), high=math.log(high), spread=0.01, blocks=8)
    assert verdict(estimate, floor) == expected


VALUES = st.lists(st.floats(1e-9, 1e12), min_size=2, max_size=12)
PAIRS = VALUES.flatmap(
    lambda values: st.tuples(
        st.just(values), st.lists(st.floats(1e-9, 1e12), min_size=len(values), max_size=len(values))
    )
)


@settings(deadline=None)
@given(sides=PAIRS, level=st.sampled_from([0.95, 0.99]))
def test_turning_a_comparison_round_inverts_it(sides: tuple[list[float], list[float]], level: float) -> None:
    first, second = map(np.array, sides)
    there, back = paired(first, second, level=level), paired(second, first, level=level)
    assert there.ratio * back.ratio == pytest.approx(1.0)
    assert (there.low, there.high) == pytest.approx((-(back.high or 0), -(back.low or 0)))


@settings(deadline=None)
@given(sides=PAIRS, factor=st.floats(1e-6, 1e6))
def test_units_do_not_matter(sides: tuple[list[float], list[float]], factor: float) -> None:
    first, second = map(np.array, sides)
    there, scaled = paired(first, second), paired(factor * first, factor * second)
    assert there.log_ratio == pytest.approx(scaled.log_ratio, abs=1e-9)
    assert there.low == pytest.approx(scaled.low, abs=1e-6)


@settings(deadline=None)
@given(sides=PAIRS)
def test_a_rate_gives_the_ratio_of_its_time(sides: tuple[list[float], list[float]]) -> None:
    first, second = map(np.array, sides)
    assert paired(1 / first, 1 / second, better="higher").ratio == pytest.approx(paired(first, second).ratio)


@settings(deadline=None)
@given(values=st.lists(st.floats(1e-300, 1e300), min_size=2, max_size=4))
def test_no_values_give_an_infinite_number(values: list[float]) -> None:
    side = np.array(values)
    estimate = paired(side, side[::-1])
    assert all(number is not None and math.isfinite(number) for number in (estimate.ratio, *estimate.interval))
