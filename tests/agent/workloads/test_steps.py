from __future__ import annotations

import math
import subprocess
import sys
import time

import pytest

from harness.agent.messages import Metric
from harness.agent.workloads.steps import FEW_STEPS, Recorder, outcome, process_seconds, throughput


def recorder(losses: list[float], *, warmup: int = 2, batches: int = 10) -> Recorder:
    made = Recorder(warmup=warmup, batches=batches, progress=lambda _done, _total, _note: None)
    for loss in losses:
        made.add(0.5, loss)
    return made


def test_the_process_is_as_old_as_it_is() -> None:
    program = "import time; time.sleep(0.3); from harness.agent.workloads.steps import process_seconds as s; print(s())"
    started = time.perf_counter()
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert 0.29 <= float(printed) <= time.perf_counter() - started + 0.02  # the kernel counts in ticks of 10 ms


def test_this_process_started_in_the_past() -> None:
    assert 0 < process_seconds() < 24 * 3600


def test_a_sound_training_has_no_complaint() -> None:
    assert recorder([7.0] * 12).complaint() == ""


@pytest.mark.parametrize("made", [0, 11, 13])
def test_a_wrong_number_of_steps_is_told(made: int) -> None:
    assert recorder([7.0] * made).complaint().startswith(f"{made} steps were made, 12 were asked for")


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_is_told_with_its_step(loss: float) -> None:
    assert f"The loss is {loss} from step 2 on" in recorder([7.0] * 3 + [loss] * 9).complaint()


def test_metrics_of_a_training() -> None:
    result = outcome(
        recorder([7.0] * 12),
        per_second=throughput("images_per_second", "images/s", 64.0),
        import_seconds=1.5,
        versions={"torch": "2"},
    )
    metrics = {metric.name: metric for metric in result.metrics}
    assert result.status == "ok"
    assert metrics["step_seconds"] == Metric(
        name="step_seconds", unit="s", better="lower", samples=(0.5,) * 12, warmup=2
    )
    assert metrics["images_per_second"].better == "higher"
    assert metrics["images_per_second"].samples == (64.0,)
    assert metrics["import_seconds"].samples == (1.5,)
    assert metrics["startup_seconds"].samples[0] > 0
    assert result.warnings == ()


def test_an_unsound_training_fails_without_metrics() -> None:
    result = outcome(
        recorder([math.nan] * 12),
        per_second=throughput("images_per_second", "images/s", 64.0),
        import_seconds=1.5,
        versions={"torch": "2"},
    )
    assert (result.status, result.metrics, result.versions) == ("failed", (), {"torch": "2"})
    assert "The loss is nan" in result.reason


def test_few_steps_are_warned_of() -> None:
    short = recorder([7.0] * (1 + FEW_STEPS), warmup=2, batches=FEW_STEPS - 1)
    result = outcome(
        short, per_second=throughput("images_per_second", "images/s", 1.0), import_seconds=1.0, versions={}
    )
    assert [f"{FEW_STEPS - 1} timed steps" in warning for warning in result.warnings] == [True]


def test_progress_counts_every_step() -> None:
    told: list[tuple[int, int, str]] = []
    made = Recorder(warmup=1, batches=2, progress=lambda *what: told.append(what))
    for _ in range(3):
        made.add(0.1, 1.0)
    assert told == [(1, 3, "steps"), (2, 3, "steps"), (3, 3, "steps")]
