"""What of the telemetry gets into report.json: thinned, bounded, and nothing that is not of the agent's form."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.agent.messages import CellResult, Metric
from harness.analysis.telemetry import MOST_POINTS, MOST_WORKLOADS, telemetry


def result(
    samples: dict[str, Any], *, block: int = 1, platform: str = "docker", task: str = "torch_cnn.trivial"
) -> CellResult:
    return CellResult(
        cell=f"{platform}/torch/{task}",
        platform=platform,
        stack="torch",
        task=task,
        params={},
        device="cuda:0",
        block=block,
        attempt=1,
        status="ok",
        reason="",
        metrics=(Metric(name="step_seconds", unit="s", better="lower", samples=(0.1, 0.1)),),
        telemetry={"samples": samples},
    )


def sampled(columns: dict[str, Any], number: int = 4) -> dict[str, Any]:
    return {"times": [0.1 * n for n in range(number)], "columns": columns}


def test_levels_are_kept_and_counters_become_rates() -> None:
    columns = {
        "gpu3.utilization_percent": [0, 90, 92, None],
        "cpu_busy_seconds": [0.0, 0.15, 0.3, 0.45],
    }
    (record,) = telemetry([result(sampled(columns))])
    assert record["columns"]["gpu.utilization_percent"] == [0, 90, 92, None]
    assert record["columns"]["cpu_busy"][0] is None
    assert record["columns"]["cpu_busy"][1:] == pytest.approx([1.5] * 3)
    assert record["medians"]["gpu.utilization_percent"] == [90.0]


@pytest.mark.parametrize(
    ("timed", "expected"), [([0.1, 0.2], 91.0), (None, 50.5), ([7.0, 8.0], 50.5), ([None], 50.5), ("x", 50.5)]
)
def test_the_typical_value_is_that_of_the_timed_steps(timed: Any, expected: float) -> None:  # noqa: ANN401 - any JSON
    found = result(sampled({"gpu0.utilization_percent": [0, 90, 92, 11]}))
    (record,) = telemetry([replace(found, telemetry={**found.telemetry, "timed": timed})])
    assert record["medians"]["gpu.utilization_percent"] == [expected]
    assert len(record["times"]) == 4, "all of it is drawn"


def test_the_last_process_is_shown_and_all_are_summed_up() -> None:
    found = [result(sampled({"cpu_frequency_hz": [block * 1e9] * 4}), block=block) for block in (3, 1, 2)]
    (record,) = telemetry([*found, result(sampled({"cpu_frequency_hz": [9e9] * 4}), platform="docker@2")])
    assert record["block"] == 3
    assert record["medians"]["cpu_frequency_hz"] == [1e9, 2e9, 3e9]


def test_it_is_bounded_whatever_was_recorded() -> None:
    long = sampled({"cpu_frequency_hz": list(range(5000))}, 5000)
    records = telemetry(result(long, task=f"torch_cnn.t{n}") for n in range(20))
    assert len(records) == MOST_WORKLOADS
    for record in records:
        assert len(record["times"]) == MOST_POINTS == len(record["columns"]["cpu_frequency_hz"])
        assert (record["times"][0], round(record["times"][-1], 6)) == (0.0, 499.9)


@pytest.mark.parametrize(
    "samples",
    [
        {"error": "not sampled"},
        {"times": "soon", "columns": {}},
        {"times": [0.0, None], "columns": {}},
        {"times": [0.0, 0.1], "columns": ["x"]},
    ],
)
def test_telemetry_of_another_form_is_none(samples: dict[str, Any]) -> None:
    assert telemetry([result(samples)]) == []


def test_a_column_of_another_form_or_length_is_left_out() -> None:
    columns = {
        "cpu_frequency_hz": ["<script>"] * 4,
        "gpu0.power_watts": [1.0],
        "gpu0.temperature_celsius": [40] * 4,
    }
    (record,) = telemetry([result(sampled(columns))])
    assert list(record["columns"]) == ["gpu.temperature_celsius"]
