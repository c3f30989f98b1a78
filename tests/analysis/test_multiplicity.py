"""The list of regressions: Holm over all comparisons."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from harness.analysis.estimate import Estimate, p_value, paired, unpaired, verdict
from harness.analysis.model import Comparison
from harness.analysis.multiplicity import adjusted, listed

ONE = Comparison(
    task="task",
    metric="step_seconds",
    dims={},
    unit="s",
    stack="driver",
    device="cpu",
    baseline="native",
    platform="docker",
    slowdown=1.1,
    ci95=(1.05, 1.15),
    verdict="slower",
    blocks=8,
    paired=True,
    noise_floor=0.0,
    mde=0.02,
    comparable=True,
)


def test_holms_steps_and_the_list() -> None:
    found = adjusted([replace(ONE, p_value=p) for p in (0.04, 0.001, 0.02, 0.03)])
    assert [each.p_holm for each in found] == pytest.approx([0.06, 0.004, 0.06, 0.06])
    assert listed(found) == (1,)


def test_what_is_not_comparable_is_neither_tested_nor_counted() -> None:
    found = adjusted([replace(ONE, p_value=0.03), replace(ONE, p_value=0.0, comparable=False), ONE])
    assert [each.p_holm for each in found] == [pytest.approx(0.03), None, None]
    assert listed(found) == (0,)


def test_faster_is_no_regression() -> None:
    assert listed(adjusted([replace(ONE, verdict="faster", p_value=0.001)])) == ()


def test_nothing_compared() -> None:
    assert (adjusted([]), listed([])) == ((), ())


@pytest.mark.parametrize("estimator", [paired, unpaired])
def test_p_is_below_one_in_twenty_exactly_when_there_is_a_verdict(estimator: type) -> None:
    random = np.random.default_rng(5)
    said = set()
    for _ in range(300):
        values = np.exp(random.normal(0, 0.02, 6)), np.exp(random.normal(0.035, 0.02, 6))
        estimate: Estimate = estimator(*values)
        p = p_value(estimate, 0.012)
        assert p is not None
        said.add(differs := verdict(estimate, 0.012) in {"slower", "faster"})
        assert (p < 0.05) is differs
    assert said == {True, False}


def test_p_of_no_margin_is_scipys() -> None:
    ours, theirs = np.array([1.0, 1.1, 0.9, 1.0]), np.array([1.3, 1.2, 1.25, 1.4])
    edge = math.log1p(0.01)
    expected = stats.ttest_1samp(np.log(theirs / ours) - edge, 0.0).pvalue
    assert p_value(paired(ours, theirs), None) == pytest.approx(float(expected))
    assert p_value(paired(ours, theirs), None, looks=3) == pytest.approx(3 * float(expected))


def test_p_at_the_edges() -> None:
    assert p_value(paired(np.array([1.0]), np.array([2.0])), None) is None
    assert p_value(paired(np.ones(3), np.ones(3)), None) == 1.0
    assert p_value(paired(np.ones(3), 2 * np.ones(3)), None) == 0.0
