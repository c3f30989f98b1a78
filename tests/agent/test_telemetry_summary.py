from __future__ import annotations

from typing import Any

import pytest

from harness.agent.telemetry.summary import recorded

ANSWER: dict[str, Any] = {
    "interval_seconds": 0.1,
    "times": [0.0, 0.1, 0.3],
    "columns": {"cpu_busy_seconds": [1.0, 1.1, 1.7], "gpu0.power_watts": [100.0, None, 300.0], "gpu0.x": [None] * 3},
    "extremes": {"cpu_busy_seconds": [1.0, 1.7], "gpu0.power_watts": [50.0, 350.0]},
    "shares": {"gpu0.clock_event_reasons": {"8": 0.5}},
    "missing": {"cpu_frequency_hz": "no"},
    "gpus": {"gpu0": "GPU-1"},
    "startup_cpu_seconds": 0.02,
    "cpu_seconds": 0.001,
    "cpu_share": 0.002,
}


def test_a_level_has_extremes_of_all_samples_and_the_median_of_those_kept() -> None:
    assert recorded(ANSWER)["summary"]["gpu0.power_watts"] == {"min": 50.0, "median": 200.0, "max": 350.0}


def test_a_counter_has_its_total_and_its_rate() -> None:
    assert recorded(ANSWER)["summary"]["cpu_busy_seconds"] == pytest.approx(
        {"total": 0.7, "min": 1.0, "median": 2.0, "max": 3.0}
    )


def test_what_was_never_to_be_had_has_no_summary() -> None:
    assert "gpu0.x" not in recorded(ANSWER)["summary"]


def test_columns_and_the_samplers_cost_are_taken_over() -> None:
    found = recorded(ANSWER)

    assert found["columns"] == ANSWER["columns"]
    assert found["sampler"] == {"startup_cpu_seconds": 0.02, "cpu_seconds": 0.001, "cpu_share": 0.002}
    assert (found["missing"], found["gpus"]) == (ANSWER["missing"], ANSWER["gpus"])


def test_another_form_is_an_error() -> None:
    with pytest.raises(LookupError):
        recorded({"times": []})
    with pytest.raises(TypeError):
        recorded([])  # type: ignore[arg-type]
