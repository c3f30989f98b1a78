from __future__ import annotations

import json
import os
import threading
import time

import pytest

from harness.agent.telemetry import sampler
from harness.agent.telemetry.series import Series
from harness.agent.telemetry.sources import Source
from harness.agent.telemetry.summary import recorded
from tests.agent.systems import not_on_windows

pytestmark = pytest.mark.measures

LARGEST = 99_999_999_999.0  # a clock in Hz, bytes per second


def constant(name: str, value: float) -> Source:
    return Source((name,), lambda: (value,), errors=(OSError,))


def run(sources: list[Source], seconds: float) -> Series:
    stop = threading.Event()
    threading.Timer(seconds, stop.set).start()
    return sampler._sample(sources, time.perf_counter(), stop, os.getppid())


@not_on_windows("its clock ticks too seldom for so short intervals")
@pytest.mark.parametrize("columns", [1, 12, 8 * 12 + 6])
def test_a_long_task_fills_no_more_than_its_room(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes and however many GPUs there are: thousands of ticks of the widest numbers."""
    monkeypatch.setattr(sampler, "INTERVAL", 1e-7)
    series = run([constant(f"gpu{number}.column", LARGEST - 0.5) for number in range(columns)], 0.8)
    assert series.stride > 1

    answer = {"times": series.times, "columns": series.columns, "extremes": {}, "shares": {}, "gpus": {}, "missing": {}}
    cost = {"startup_cpu_seconds": 0.0, "cpu_seconds": 0.0, "cpu_share": 0.0}
    size = len(json.dumps(recorded({"interval_seconds": 1, **answer, **cost})))
    assert size < 100_000


def test_a_source_that_answers_late_leaves_ticks_out_instead_of_hurrying_after_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sampler, "INTERVAL", 0.02)

    def slow() -> tuple[float]:
        time.sleep(0.1)
        return (1.0,)

    series = run([Source(("slow",), slow, errors=(OSError,))], 0.6)
    assert 3 <= len(series.times) <= 8


def test_sampling_ends_with_a_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "INTERVAL", 60.0)
    series = run([constant("x", 1.0)], 0.2)

    assert len(series.times) == 2
    assert series.times[-1] >= 0.1  # the sampler may begin later than the wait for its end


def test_a_parent_that_was_gone_before_the_first_row_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "INTERVAL", 0.01)
    series = sampler._sample([constant("x", 1.0)], time.perf_counter(), threading.Event(), os.getppid() + 1)

    assert len(series.times) == 2
