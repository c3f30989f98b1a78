"""How many boots a precision takes: by the formula, by simulation, and from bundles."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from harness.analysis.boot_plan import LEAST, MOST, boots_needed, half_width, needs
from harness.analysis.estimate import unpaired
from harness.results.merge import merged
from tests.boots import Boot, linux, windows, write_boot


@pytest.mark.parametrize("boots", [3, 5, 9])
def test_the_half_width_is_that_of_an_interval_with_those_spreads(boots: int) -> None:
    scores = stats.norm.ppf((np.arange(boots) + 0.5) / boots)
    scores /= scores.std(ddof=1)
    estimate = unpaired(np.exp(0.01 * scores), np.exp(0.03 * scores))
    assert estimate.low is not None
    assert estimate.high is not None
    assert half_width(0.01, 0.03, boots) == pytest.approx((estimate.high - estimate.low) / 2)


def test_the_number_is_the_smallest_that_reaches_the_precision() -> None:
    for spread in (0.005, 0.01, 0.015):
        found = boots_needed(spread, spread, precision=0.02)
        assert found is not None
        assert half_width(spread, spread, found) <= 0.02
        assert found == LEAST or half_width(spread, spread, found - 1) > 0.02


def test_steady_boots_need_the_least_and_wild_ones_too_many() -> None:
    assert boots_needed(0.0, 0.0, precision=0.02) == LEAST
    assert boots_needed(0.001, 0.0, precision=0.02) == LEAST
    assert boots_needed(0.1, 0.1, precision=0.02) is None
    assert half_width(0.1, 0.1, MOST) > 0.02


def found(folder: Path, *drawn: Boot) -> dict[tuple[str, str], tuple[tuple[float, float], int | None]]:
    paths = [write_boot(folder / boot.id, boot) for boot in drawn]
    with merged(paths) as bundle:
        return {(need.platform, need.metric): (need.spreads, need.boots) for need in needs(bundle, 0.02)}


def test_the_variance_of_both_sides_is_taken_from_their_boots(tmp_path: Path) -> None:
    shifts = {1: 0.01, 2: 0.03, 3: -0.01, 4: -0.03}
    drawn = [(windows, linux)[number % 2](number, sigma=1e-5, effects={"": shift}) for number, shift in shifts.items()]
    known = found(tmp_path, *drawn)
    assert set(known) == {
        (name, m) for name in ("native-windows", "wsl") for m in ("step_seconds", "images_per_second")
    }
    (ours, theirs), boots = known["wsl", "step_seconds"]
    assert ours == pytest.approx(math.sqrt(2) * 0.01, rel=0.01)
    assert theirs == pytest.approx(math.sqrt(2) * 0.03, rel=0.01)
    assert boots is None


def test_one_boot_of_the_other_side_is_taken_to_vary_as_this_side(tmp_path: Path) -> None:
    drawn = [linux(1, effects={"": 0.004}), windows(2), linux(3, effects={"": -0.004})]
    (ours, theirs), boots = found(tmp_path, *drawn)["wsl", "step_seconds"]
    assert ours == theirs
    assert boots is not None


def test_before_the_other_system_was_booted_the_baseline_stands_for_both(tmp_path: Path) -> None:
    known = found(tmp_path, linux(1, effects={"": 0.004}), linux(2, effects={"": -0.004}))
    assert {platform for platform, _ in known} == {"native"}


def test_one_boot_tells_no_variance(tmp_path: Path) -> None:
    assert found(tmp_path, linux(1)) == {}
    assert found(tmp_path / "two", linux(1), windows(2)) == {}
