"""Gaps against launches, over tasks: the slope is what a launch costs more, unless the tasks don't wait for them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import get_type_hints

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.analyse import analyse
from harness.analysis.document import DoseRecord, DoseResponseRecord
from harness.analysis.dose_response import agree, dose_responses
from harness.analysis.model import Attribution, Cause, Dose, DoseResponse
from harness.analysis.report_json import report_json
from tests.analysis.steps import GPU, PLATFORM, Machine, Run, Work

SLOWER = replace(Machine(), launch=13e-6)
LAUNCHES = (50, 100, 400, 900)


def works(*launches: int, hidden: float = 0.0) -> list[Work]:
    return [Work(task=f"torch_cnn.trivial[batch_size={each}]", launches=each, hidden=hidden) for each in launches]


def attribution(launches: float, gap: float, cost: float = 8e-6, spread: float = 1e-7) -> Attribution:
    number = launches or 1.0
    launch = Cause(
        cause="launch",
        seconds=launches * cost,
        ci95=(number * (cost - spread), number * (cost + spread)),
        count=launches,
        cost_seconds=cost,
    )
    return Attribution(
        task=f"a[{launches}]",
        stack="torch",
        device=GPU,
        baseline="native",
        platform=PLATFORM,
        step_seconds=0.01,
        gap_seconds=gap,
        gap_ci95=(gap, gap),
        comparable=True,
        causes=(launch,),
    )


def test_the_slope_is_the_planted_cost_of_a_launch_and_agrees_with_the_probe() -> None:
    bundle = Run(works=works(*LAUNCHES), theirs=SLOWER, blocks=10, samples=2, sigma=0.001).bundle()
    document = report_json(analyse(bundle), bundle)
    (found,) = document["dose_response"]
    assert set(found) == set(get_type_hints(DoseResponseRecord)) == {each.name for each in fields(DoseResponse)}
    assert set(found["points"][0]) == set(get_type_hints(DoseRecord)) == {each.name for each in fields(Dose)}
    assert (found["platform"], found["baseline"], found["stack"], found["device"]) == (PLATFORM, "native", "torch", GPU)
    assert found["slope_seconds"] == pytest.approx(8e-6, rel=0.03)
    assert found["probe_seconds"] == pytest.approx(8e-6, rel=0.03)
    assert found["agrees"] is True
    assert sorted(each["launches"] for each in found["points"]) == list(LAUNCHES)
    low, high = found["ci95"]
    assert low is not None
    assert high is not None
    assert low < 8e-6 < high


def test_launches_that_are_hidden_do_not_agree() -> None:
    bundle = Run(works=works(*LAUNCHES, hidden=1.0), theirs=SLOWER, blocks=10, samples=2, sigma=0.001).bundle()
    (found,) = analyse(bundle).dose_response
    assert found.slope_seconds == pytest.approx(0, abs=5e-7)
    assert found.agrees is False


@pytest.mark.parametrize(
    ("launches", "reason"),
    [
        ((100,), "1 task with counted launches, 3 are needed"),
        ((100, 200), "2 tasks with counted launches, 3 are needed"),
        ((100, 100, 100), "all tasks have as many launches"),
    ],
)
def test_without_a_line_there_is_a_reason(launches: tuple[int, ...], reason: str) -> None:
    (found,) = dose_responses([attribution(each, 8e-6 * each) for each in launches])
    assert (found.reason, found.slope_seconds, found.ci95, found.agrees) == (reason, None, (None, None), None)
    assert found.probe_seconds == 8e-6
    assert len(found.points) == len(launches)


def test_tasks_without_a_launch_or_without_its_cost_are_no_points() -> None:
    none = attribution(0, 1e-3)
    missing = replace(attribution(10, 1e-3), causes=(Cause(cause="launch", count=10, reason="no probe"),))
    assert dose_responses([none, missing]) == ()


def test_each_platform_has_its_own_line() -> None:
    several = [attribution(each, 8e-6 * each) for each in LAUNCHES]
    others = [replace(each, platform="wsl", gap_seconds=2 * each.gap_seconds) for each in several]
    found = dose_responses([*several, *others])
    assert [each.platform for each in found] == [PLATFORM, "wsl"]
    assert [each.slope_seconds for each in found] == pytest.approx([8e-6, 16e-6])
    assert [each.agrees for each in found] == [True, False]


@given(
    slope=st.floats(-1e-4, 1e-4),
    intercept=st.floats(-1e-2, 1e-2),
    launches=st.lists(st.integers(1, 10_000), min_size=3, max_size=8, unique=True),
)
def test_any_line_is_found(slope: float, intercept: float, launches: list[int]) -> None:
    (found,) = dose_responses([attribution(each, intercept + slope * each) for each in launches])
    assert found.slope_seconds == pytest.approx(slope, abs=1e-9)


def test_the_slopes_interval_covers() -> None:
    random, hits, trials = np.random.default_rng(1), 0, 300
    for _ in range(trials):
        noise = 1e-4 * random.standard_normal(len(LAUNCHES))
        points = [attribution(each, 8e-6 * each + more) for each, more in zip(LAUNCHES, noise.tolist(), strict=True)]
        low, high = dose_responses(points)[0].ci95
        assert low is not None
        assert high is not None
        hits += low <= 8e-6 <= high
    assert 0.91 <= hits / trials <= 0.985


def test_agreement_needs_both_intervals() -> None:
    assert agree(1.0, (0.9, 1.1), 1.14, (1.04, 1.24)) is True
    assert agree(1.0, (0.9, 1.1), 1.15, (1.05, 1.25)) is False  # they overlap, and differ
    assert agree(1.0, (None, None), 1.0, (0.9, 1.1)) is None
