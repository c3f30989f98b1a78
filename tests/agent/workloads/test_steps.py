from __future__ import annotations

import math
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from harness.agent import peak_memory
from harness.agent.messages import Metric
from harness.agent.uncompared import UNCOMPARED
from harness.agent.workloads.steps import FEW_STEPS, Items, Recorder, outcome, process_seconds, record
from tests.agent.workloads.conftest import MakeContext

IMAGES = Items(name="image", per_step=64, on_device=32)


def recorder(losses: list[float], *, warmup: int = 2, batches: int = 10) -> Recorder:
    made = Recorder(warmup=warmup, batches=batches, progress=lambda _done, _total, _note: None)
    for loss in losses:
        made.add(0.5, loss)
    made.note_memory()
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
        items=IMAGES,
        per_second=64.0,
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
    assert metrics["loss"] == Metric(name="loss", unit="nat", better="lower", samples=(7.0,) * 12, warmup=2)
    assert metrics["peak_memory_bytes"].samples[0] > 2**20
    assert result.warnings == ()
    assert result.timed is not None
    assert (result.timed.item, result.timed.done) == ("image", 320), "what the cell's own device got done"


def test_what_is_no_loss_is_not_kept_as_one() -> None:
    result = outcome(recorder([7.0] * 12), items=IMAGES, per_second=1.0, import_seconds=1.0, versions={}, losses=False)
    assert "loss" not in {metric.name for metric in result.metrics}


def test_the_parts_of_a_start_add_up_and_data_are_none_of_them() -> None:
    made = Recorder(warmup=2, batches=10, progress=lambda _done, _total, _note: None)
    time.sleep(0.2)
    for number in range(12):
        made.add(0.02 if number else 0.05, 7.0)
    result = outcome(made, items=IMAGES, per_second=1.0, import_seconds=0.04, data_seconds=0.03, versions={})
    seconds = {metric.name: metric.samples[0] for metric in result.metrics if metric.unit == "s"}
    assert seconds["warmup_seconds"] == pytest.approx(0.07)
    assert seconds["data_set_seconds"] == 0.03
    assert 0.2 - 0.05 - 0.04 - 0.03 <= seconds["build_seconds"] < 0.2
    parts = (seconds[name] for name in ("start_seconds", "import_seconds", "build_seconds", "step_seconds"))
    assert seconds["startup_seconds"] == pytest.approx(sum(parts))
    assert {"loss", "data_set_seconds"} == UNCOMPARED


def test_the_timed_steps_are_marked() -> None:
    made = Recorder(warmup=1, batches=2, progress=lambda _done, _total, _note: None)
    made.add(0.5, 1.0)
    time.sleep(0.05)
    before = time.perf_counter()
    made.add(0.01, 1.0)
    made.add(0.01, 1.0)
    begin, end = made.timed
    assert before - 0.01 <= begin < before < end <= time.perf_counter()


def test_what_the_agent_does_for_itself_is_no_start(make_context: MakeContext) -> None:
    context = make_context("torch_cnn.lenet", params={"num_warmup_batches": 1, "num_batches": 10})
    seconds = []
    for upkeep in (0.0, 0.25):
        made = Recorder.of(replace(context, upkeep_seconds=upkeep))
        made.begun, made.first_step = 1.0, 2.0
        for _ in range(11):
            made.seconds.append(0.125)
            made.losses.append(7.0)
        metrics = outcome(made, items=IMAGES, per_second=1.0, import_seconds=0.5, versions={}).metrics
        seconds.append({metric.name: metric.samples[0] for metric in metrics})
    plain, left_out = seconds
    assert plain["start_seconds"] - left_out["start_seconds"] == 0.25
    assert plain["startup_seconds"] - left_out["startup_seconds"] == 0.25
    assert plain["build_seconds"] == left_out["build_seconds"] == 0.5


def test_memory_is_looked_for_off_the_clock_and_without_the_sampler(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def slow(but: int | None) -> int:
        time.sleep(0.2)
        asked.append(but)
        return 5

    monkeypatch.setattr(peak_memory, "of_tree", slow)
    made = Recorder(warmup=1, batches=2, progress=lambda *_: None, sampler=77)
    assert record(made, lambda _step: (0.0, 7.0)) < 0.1
    assert (asked, made.peak_memory) == ([77], 5)
    assert made.timed[1] - made.timed[0] < 0.1


def test_an_unsound_training_fails_without_metrics() -> None:
    result = outcome(
        recorder([math.nan] * 12),
        items=IMAGES,
        per_second=64.0,
        import_seconds=1.5,
        versions={"torch": "2"},
    )
    assert (result.status, result.metrics, result.versions) == ("failed", (), {"torch": "2"})
    assert "The loss is nan" in result.reason


def test_few_steps_are_warned_of() -> None:
    short = recorder([7.0] * (1 + FEW_STEPS), warmup=2, batches=FEW_STEPS - 1)
    result = outcome(short, items=IMAGES, per_second=1.0, import_seconds=1.0, versions={})
    assert [f"{FEW_STEPS - 1} timed steps" in warning for warning in result.warnings] == [True]


def test_progress_counts_every_step() -> None:
    told: list[tuple[int, int, str]] = []
    made = Recorder(warmup=1, batches=2, progress=lambda *what: told.append(what))
    for _ in range(3):
        made.add(0.1, 1.0)
    assert told == [(1, 3, "steps"), (2, 3, "steps"), (3, 3, "steps")]
