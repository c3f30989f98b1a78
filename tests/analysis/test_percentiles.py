"""Tails: the hierarchical bootstrap on drawn samples, and what report.json says of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.analysis.analyse import analyse
from harness.analysis.document import ComparisonRecord
from harness.analysis.percentiles import bootstrapped
from harness.analysis.report_json import report_json
from harness.results.bundle import read
from tests.synthetic import BANDWIDTH, SMALL_FILES, write_bundle

TRIALS = 250


@pytest.mark.parametrize(("percent", "samples", "between"), [(95, 30, 0.01), (95, 60, 0.0), (99, 200, 0.02)])
def test_intervals_cover(percent: int, samples: int, between: float) -> None:
    random, covered = np.random.default_rng(percent + samples), 0
    for _ in range(TRIALS):
        levels = between * random.standard_normal((2, 12, 1))
        ours, theirs = np.sort(levels + 0.05 * random.standard_normal((2, 12, samples)))
        _, low, high = bootstrapped(list(ours), list(theirs), percent=percent, level=0.95, random=random)
        covered += low <= 0 <= high
    assert 0.91 <= covered / TRIALS <= 0.985


def test_the_order_statistic_of_a_resample_is_drawn_as_it_is() -> None:
    """The Beta variate stands for drawing n samples with replacement and taking the k-th smallest."""
    random = np.random.default_rng(7)
    samples, k = np.sort(random.exponential(size=40)), 38
    slow = np.sort(random.choice(samples, (20_000, 40)))[:, k - 1]
    fast = samples[np.ceil(random.beta(k, 40 - k + 1, 20_000) * 40).astype(int) - 1]
    assert np.quantile(fast, [0.1, 0.5, 0.9]) == pytest.approx(np.quantile(slow, [0.1, 0.5, 0.9]))
    assert fast.mean() == pytest.approx(slow.mean(), rel=0.01)


def test_a_tail_alone_can_be_slower() -> None:
    random = np.random.default_rng(8)
    ours = np.sort(0.02 * random.standard_normal((10, 100)))
    theirs = 0.02 * random.standard_normal((10, 100))
    theirs[:, :8] += 1.0  # 8% of the samples: beyond p92
    theirs.sort()
    middle, low, high = bootstrapped(list(ours), list(theirs), percent=95, level=0.95, random=random)
    assert low < middle < high
    assert low > 0.8
    assert abs(float(np.median(theirs) - np.median(ours))) < 0.02


def test_values_that_do_not_vary() -> None:
    same = [np.zeros(20)] * 10
    assert bootstrapped(same, same, percent=95, level=0.95, random=np.random.default_rng(1)) == (0.0, 0.0, 0.0)


def records(folder: Path, **options: object) -> list[ComparisonRecord]:
    bundle = read(write_bundle(folder, platforms={"docker": 1.5}, **options))  # type: ignore[arg-type]  # of write_bundle
    return report_json(analyse(bundle), bundle)["comparisons"]


def test_the_report_has_them(tmp_path: Path) -> None:
    found = records(tmp_path / "run", blocks=10, samples=100, tasks=(BANDWIDTH, SMALL_FILES))
    for each in found:
        assert [tail["percent"] for tail in each["percentiles"]] == [95, 99]
        for tail in each["percentiles"]:
            assert tail["slowdown"] == pytest.approx(1.5, rel=0.05)
            low, high = tail["ci95"]
            assert low is not None
            assert high is not None
            assert 1.3 < low < 1.5 < high * 1.03
    assert {"baseline_location" in each["dims"] for each in found} == {True, False}
    assert records(tmp_path / "again", blocks=10, samples=100, tasks=(BANDWIDTH, SMALL_FILES)) == found


def test_too_few_invocations_say_so_and_too_few_samples_have_none(tmp_path: Path) -> None:
    (one,) = records(tmp_path / "blocks", blocks=9, samples=20, tasks=(BANDWIDTH,))
    assert one["percentiles"] == [
        {"percent": 95, "slowdown": None, "ci95": [None, None], "reason": "too few invocations: 9, 10 are needed"}
    ]
    (one,) = records(tmp_path / "samples", blocks=10, samples=19, tasks=(BANDWIDTH,))
    assert one["percentiles"] == []
