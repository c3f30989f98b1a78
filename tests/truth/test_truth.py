"""The simulation in small: fewer data sets, always the same. `nox -s truth` is the whole of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.truth.__main__ import missed
from tests.truth.draw import draw
from tests.truth.measure import Score, Scores, Share, measured, total
from tests.truth.scenarios import SCENARIOS, Scenario
from tests.truth.table import tables

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
QUICK = ("5 blocks", "strong autocorrelation", "difference of exactly 1%", "4 boots each, apart")


@pytest.mark.parametrize("name", QUICK)
def test_the_analysis_meets_its_goals_and_pooling_does_not(name: str) -> None:
    scores = measured(BY_NAME[name], 0)
    assert scores.right.misses == ()
    assert scores.pooled.coverage.value < 0.75 < scores.right.coverage.value


def test_stopping_is_paid_for() -> None:
    scores = measured(BY_NAME["stops at any look"], 0, sets=60)
    assert scores.right.misses == ()
    assert scores.right.blocks.value < 20
    assert scores.hasty.blocks.value < scores.right.blocks.value, "who ignores the looks stops too soon"
    assert scores.hasty.coverage.value <= scores.right.coverage.value


def test_the_same_data_again() -> None:
    scenario = replace(BY_NAME["5 blocks"], steps=6)
    assert measured(scenario, 3, sets=12) == measured(scenario, 3, sets=12)


def test_what_is_drawn_is_what_the_scenario_says() -> None:
    scenario = Scenario(name="large", blocks=40, process=0.02, step=0.05, correlation=0.6, steps=50, effects=(0.1,))
    drawn = draw(scenario, 50, np.random.default_rng(1))
    logs = np.log(drawn.seconds)
    steps = logs - logs.mean(axis=3, keepdims=True)
    assert np.mean(logs[:, 2] - logs[:, 0]) == pytest.approx(0.1, abs=0.003)
    assert np.std(np.median(logs, axis=3)) > 0.02
    one, next_one = steps[..., :-1].ravel(), steps[..., 1:].ravel()
    assert np.corrcoef(one, next_one)[0, 1] == pytest.approx(0.6, abs=0.1)


def test_an_analysis_that_misses_is_found() -> None:
    wrong = measured(BY_NAME["5 blocks"], 0).pooled
    found = {BY_NAME["5 blocks"]: Scores(right=wrong, pooled=wrong, hasty=wrong)}
    assert missed(found)[0] == "5 blocks: coverage"
    fine = Score(coverage=Share(hits=95, of=100), alarms=Share(hits=1, of=100), families=Share(hits=0, of=1))
    lines = missed({BY_NAME["5 blocks"]: Scores(right=fine, pooled=fine, hasty=fine)})
    assert len(lines) == 2, "wrong analyses that miss nothing prove nothing"
    assert all("can't tell right from wrong" in line for line in lines)


def test_sums_and_table() -> None:
    one = Scores(right=Score(coverage=Share(hits=9, of=10)))
    both = total([one, one])
    assert both.right.coverage == Share(hits=18, of=20)
    text = "\n".join(tables({BY_NAME["5 blocks"]: both}))
    assert "| 5 blocks | 20 | 0.900 (" in text
    assert math.isnan(Share().value)
