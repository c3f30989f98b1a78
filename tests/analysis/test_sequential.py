"""The level of intervals at which a run stopped, against a simulation of the rule."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.analysis.sequential import coverage, level, worst

LOOKS = (5, 8, 12, 20)
TRIALS = 40_000


def simulated(looks: tuple[int, ...], level: float, precision: float) -> float:
    """Draw blocks, look, stop when the interval is narrow, and count how often it covers 0."""
    draws = np.random.default_rng(1).standard_normal((TRIALS, looks[-1]))
    waiting, covered = np.ones(TRIALS, dtype=bool), 0
    for look in looks:
        mean, spread = draws[:, :look].mean(axis=1), draws[:, :look].std(axis=1, ddof=1)
        half = stats.t.ppf(0.5 + level / 2, look - 1) * spread / np.sqrt(look)
        stops = waiting & ((half < precision) | (look == looks[-1]))
        covered += int((stops & (np.abs(mean) <= half)).sum())
        waiting &= ~stops
    return covered / TRIALS


@pytest.mark.parametrize("looks", [LOOKS, (5, 8, 9), (8, 30)])
@pytest.mark.parametrize("precision", [0.3, 0.6, 1.0])
def test_coverage_is_that_of_the_rule(looks: tuple[int, ...], precision: float) -> None:
    for each in (0.95, 0.97):
        assert coverage(looks, each, precision) == pytest.approx(simulated(looks, each, precision), abs=0.004)


def test_ignoring_the_looks_covers_too_seldom() -> None:
    assert worst(LOOKS, 0.95) < 0.93


def test_the_level_covers_in_the_worst_case_and_costs_less_than_bonferronis() -> None:
    assert worst(LOOKS, level(LOOKS)) == pytest.approx(0.95, abs=0.0005)
    assert 0.965 < level(LOOKS) < 0.9725


@pytest.mark.parametrize("looks", [(), (8,), (1, 8)])
def test_one_look_costs_nothing(looks: tuple[int, ...]) -> None:
    assert level(looks) == 0.95


@pytest.mark.parametrize("looks", [(2, 5, 8), (5, 8, 1_000_000)])
def test_never_above_bonferronis(looks: tuple[int, ...]) -> None:
    assert level(looks) <= 1 - 0.05 / 3
