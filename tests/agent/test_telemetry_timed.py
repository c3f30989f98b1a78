"""What a GPU did between the first and the last timed step, from samples that are given."""

from __future__ import annotations

from typing import Any

import pytest

from harness.agent.task import Span
from harness.agent.telemetry.timed import LEAST, SHORTEST, gpu_metrics, gpu_warnings

TIMES = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def measured(begin: float, end: float, **columns: list[float | None]) -> dict[str, float]:
    samples: dict[str, Any] = {
        "gpus": {"gpu0": "GPU-1"},
        "times": TIMES,
        "columns": {f"gpu0.{name}": column for name, column in columns.items()},
    }
    timed = Span(begin=100 + begin, end=100 + end, item="token", done=4)
    found = gpu_metrics({"samples": samples, "timed": [begin, end]}, timed)
    return {metric.name: metric.samples[0] for metric in found}


def test_the_integral_is_that_of_the_timed_steps_alone() -> None:
    """Idle at 20 W until 1 s, then rising by 10 W a second: from 1.5 to 4.5 s that is 3 s at 40 W."""
    found = measured(1.5, 4.5, power_watts=[20, 25, 35, 45, 55, 500])
    before, after = 25 + 10 * 0.5, 55 + 445 * 0.5
    exact = (before + 35) / 2 * 0.5 + 40 + 50 + (55 + after) / 2 * 0.5
    assert found == {"energy_per_token": pytest.approx(exact / 4)}


def test_the_mean_is_weighted_by_time_and_gaps_are_bridged() -> None:
    found = measured(0.0, 5.0, utilization_percent=[0, 100, None, 100, 100, 0])
    assert found == {"gpu_utilization": pytest.approx((0.5 + 3 + 0.5) / 5)}


def test_beyond_the_samples_the_nearest_holds() -> None:
    assert measured(-1.0, 7.0, power_watts=[8.0] * 6) == {"energy_per_token": pytest.approx(8.0 * 8 / 4)}


def test_few_samples_say_nothing() -> None:
    assert measured(0.5, 0.5 + LEAST - 1, power_watts=[8.0] * 6) == {}
    assert measured(0.5, 0.5 + LEAST, power_watts=[8.0] * 6) != {}


def test_steps_that_nvml_blurs_say_nothing_and_that_is_told() -> None:
    times = [number / 10 for number in range(41)]
    columns = {"gpu0.power_watts": [8.0] * 41}
    samples: dict[str, Any] = {"gpus": {"gpu0": "GPU-1"}, "times": times, "columns": columns}
    long, short = ({"samples": samples, "timed": [1.0, 1.0 + seconds]} for seconds in (SHORTEST, SHORTEST - 0.1))
    span = Span(begin=1.0, end=1.0, item="image", done=1)
    assert [metric.name for metric in gpu_metrics(long, span)] == ["energy_per_image"]
    assert gpu_warnings(long) == ()
    assert gpu_metrics(short, span) == ()
    [warning] = gpu_warnings(short)
    assert "the timed steps took 1.9 s: too short for energy and GPU utilization" in warning


def test_without_a_gpu_there_is_nothing_to_warn_of() -> None:
    assert gpu_warnings({"samples": {"gpus": {}, "times": TIMES, "columns": {}}, "timed": [1.0, 1.5]}) == ()
    assert gpu_warnings({"samples": {"error": "cut off"}}) == ()


def test_a_task_that_is_no_workload_has_none() -> None:
    assert gpu_metrics({"samples": {}, "timed": [0, 1]}, None) == ()
    assert gpu_metrics({"samples": {"error": "cut off"}}, Span(begin=0, end=1, item="image", done=1)) == ()
