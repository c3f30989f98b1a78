from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from harness.agent.execute import _verdict, execute, fill_in, one_line
from harness.agent.messages import CellResult, CellSpec, Metric, to_json
from harness.agent.task import Context, Outcome, Task, find
from tests.agent.conftest import MakeSpec
from tests.agent.systems import CRASH, CRASHED

pytestmark = pytest.mark.usefixtures("fake_probes")


def silent(done: int, total: int, note: str) -> None:
    pass


def run(spec: CellSpec) -> CellResult:
    result = execute(spec, silent)
    assert CellResult.from_json(json.loads(json.dumps(to_json(result), allow_nan=False))) == result
    return result


def test_a_good_task_gives_its_metrics_versions_and_warnings(make_spec: MakeSpec) -> None:
    shown = []
    result = execute(make_spec(params={"samples": 2}), lambda *progress: shown.append(progress))

    assert (result.status, result.reason) == ("ok", "")
    assert result.metrics == (Metric(name="fake_seconds", unit="s", better="lower", samples=(0.5, 0.5), warmup=1),)
    assert result.params == {"samples": 2}
    assert result.versions["fake"] == "1.0"
    assert result.versions["python.implementation"]
    assert result.telemetry["seconds"] >= 0
    assert result.warnings == ("one line",)
    assert shown == [(1, 1, "done")]


@pytest.mark.parametrize(
    ("entry", "status", "reason"),
    [
        ("fake.limited", "limited", "refused above 1 GB"),
        ("fake.unsupported", "unsupported", "the platform can't"),
        ("fake.unavailable", "unavailable", "no device here"),
        ("fake.silent", "unavailable", "the task does not say what is missing"),
        ("fake.memory", "oom", "the process ran out of memory"),
        ("fake.exit", "failed", "SystemExit: 3"),
        ("fake.interrupt", "interrupted", "stopped by a signal before it was done"),
        ("fake.nothing", "failed", "MessageError: the task measured nothing"),
        ("fake.device", "unsupported", "fake.device runs on cuda, not on cpu"),
        ("fake.picky", "unsupported", "value 0.5 not on cpu"),
        ("fake.unknown", "failed", "no task is called 'fake.unknown'"),
        ("nowhere.at_all", "failed", "no task is called 'nowhere.at_all'"),
    ],
)
def test_every_way_to_end_is_told_apart(make_spec: MakeSpec, entry: str, status: str, reason: str) -> None:
    result = run(make_spec(entry))

    assert (result.status, result.reason) == (status, reason)
    assert result.versions["python"]
    assert "seconds" in result.telemetry


def test_a_worker_that_was_killed_is_a_lack_of_memory_wherever_torch_says_so() -> None:
    """torch's handler of SIGCHLD raises in whatever the process is at; the words were seen."""
    error = RuntimeError("DataLoader worker (pid 77) is killed by signal: Killed. ")
    status, reason = _verdict(error)
    assert status == "oom"
    assert reason.startswith(
        "a DataLoader worker was killed, as the kernel does where memory is lacking: lower the batch"
    )


def test_a_task_learns_what_the_agent_did_for_itself(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    contexts: list[Context] = []

    def note(context: Context) -> Outcome:
        contexts.append(context)
        return Outcome(metrics=(), status="failed", reason="it measures nothing")

    def slow() -> dict[str, str]:
        time.sleep(0.2)
        return {}

    monkeypatch.setattr("harness.agent.execute._found", lambda _spec: Task(summary="a stand-in", run=note, seconds=5.0))
    monkeypatch.setattr("harness.agent.versions.collect", slow)
    started = time.perf_counter()
    result = run(make_spec())
    [context] = contexts
    assert result.status == "failed"
    assert context.sampler not in (None, os.getpid())
    assert 0.2 <= context.upkeep_seconds < time.perf_counter() - started


def test_an_unforeseen_failure_is_one_line_and_its_traceback_is_log(
    make_spec: MakeSpec, capsys: pytest.CaptureFixture[str]
) -> None:
    result = run(make_spec("fake.failing"))

    assert (result.status, result.reason) == ("failed", "RuntimeError: first second \\udcff")
    assert "in run_failing" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error",
    [
        # As torch 2.13 and TensorFlow 2.21 say it, torch on Windows too; on a GPU it mostly raises a class of its own.
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: …"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:116] data. DefaultCPUAllocator: not enough memory: you tried …"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported at …"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2.00 GiB."),
        type("ResourceExhaustedError", (Exception,), {})("OOM when allocating tensor with shape[10000000,10000000]"),
    ],
)
def test_a_framework_without_memory_is_oom(error: Exception) -> None:
    status, reason = _verdict(error)
    assert status == "oom"
    assert reason.endswith(": lower the batch, or give the platform more memory")


def test_a_graph_without_memory_says_so_first() -> None:
    """As TensorFlow 2.21 says it of a session's graph: a traceback, then the matter, then hints."""
    said = (
        "Graph execution error:\n\nDetected at node 'tower_0/v/inputs' defined at (most recent call last):\n"
        + '  File "/opt/stack/lib/python3.11/site-packages/somewhere.py", line 198, in run\n' * 9
        + "OOM when allocating tensor with shape[10000000,227,227,3] and type float on CPU:0 by allocator mklcpu\n"
        "Hint: If you want to see a list of allocated tensors when OOM happens, add a flag.\n"
    )
    status, reason = _verdict(type("ResourceExhaustedError", (Exception,), {})(said))
    matter, _, advice = reason.rpartition(": ")
    assert (status, advice) == ("oom", "lower the batch, or give the platform more memory")
    assert (
        matter
        == "OOM when allocating tensor with shape[10000000,227,227,3] and type float on CPU:0 by allocator mklcpu"
    )


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_sample_that_is_not_finite_fails_the_cell(make_spec: MakeSpec, value: str) -> None:
    result = run(make_spec("fake.endless", params={"value": value}))

    assert result.status == "failed"
    assert result.reason == f"MessageError: metric fake_seconds: samples: a finite number is expected, not {value}"
    assert result.metrics == ()


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"sample": 2}, "fake.good: unknown parameter 'sample', it takes: samples, value"),
        ({"samples": 2.5}, "fake.good: parameter samples: int is expected, not 2.5"),
        ({"samples": True}, "fake.good: parameter samples: int is expected, not True"),
        ({"value": "4KiB"}, "fake.good: parameter value: float is expected, not '4KiB'"),
        ({"samples": 0}, "fake.good: parameter samples: a number at least 1 is expected, not 0"),
        ({"samples": 7, "value": 7}, "fake.good: samples 7 and value 7 don't go together"),
    ],
)
def test_wrong_parameters_fail_with_what_is_right(make_spec: MakeSpec, params: dict[str, object], reason: str) -> None:
    result = run(make_spec(params=params))

    assert (result.status, result.reason) == ("failed", reason)


def test_defaults_are_filled_in_and_a_whole_number_will_do_for_a_float(make_spec: MakeSpec) -> None:
    task = find("fake.good")
    assert task is not None

    assert fill_in(task, make_spec(params={"value": 2})) == {"value": 2, "samples": 3}


def test_a_resource_must_be_given_and_be_there(make_spec: MakeSpec, tmp_path: Path) -> None:
    missing = run(make_spec("fake.resource"))
    gone = run(make_spec("fake.resource", resources={"tf_benchmarks": str(tmp_path / "gone")}))
    there = run(make_spec("fake.resource", resources={"tf_benchmarks": str(tmp_path)}))

    assert (missing.status, gone.status, there.status) == ("unavailable", "unavailable", "ok")
    assert "was not given" in missing.reason
    assert gone.reason.endswith(f"is not at {tmp_path / 'gone'}")


def test_tasks_that_last_are_sampled_and_short_ones_are_not(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    lasting = run(make_spec())
    monkeypatch.setattr("harness.agent.execute.SAMPLED_SECONDS", 6.0)
    short = run(make_spec())

    assert "times" in lasting.telemetry["samples"]
    assert short.telemetry["samples"] == {"error": "not sampled: the task is declared to be short"}


def test_a_throttled_gpu_is_a_warning_and_the_samples_stay(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = {"name": "throttled", "share": 0.4, "rule": "heat", "gpu": "GPU-1"}
    monkeypatch.setattr("harness.agent.telemetry.recorder.marks", lambda *_: [mark])
    result = run(make_spec())

    assert result.status == "ok"
    assert result.metrics
    assert result.telemetry["marks"] == [mark]
    assert any("GPU-1 was throttled during 40%" in warning for warning in result.warnings)


def test_a_sampler_that_crashes_costs_the_samples_alone(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.agent.own_process.PROGRAM", CRASH)
    result = run(make_spec())

    assert (result.status, result.warnings) == ("ok", ("one line",))
    assert result.telemetry["samples"] == {"error": f"the sampler crashed ({CRASHED})"}


def test_a_result_does_not_say_who_the_user_is(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("USERPROFILE", "/home/alice")
    result = run(make_spec("fake.person"))

    assert (result.status, result.reason) == ("failed", "RuntimeError: ~/data is not there")
    assert "~/data is not there" in (log := capfd.readouterr().err)
    assert "alice" not in log


def test_one_line_keeps_the_words() -> None:
    assert one_line(" a\n\tb\r\nc \udc80") == "a b c \\udc80"
