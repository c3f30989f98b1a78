from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from harness.agent.messages import CellResult, CellSpec, Metric, to_json, write_json
from harness.platforms.base import Ending, Job
from harness.runner.outcome import judge

SPEC = CellSpec(
    cell="native/driver/control.fma",
    platform="native",
    stack="driver",
    task="control.fma",
    entry="control.fma",
    params={},
    device="cpu",
    block=1,
    attempt=1,
    seed=1,
)
MEASURED = CellResult.of(SPEC, "ok", metrics=(Metric(name="x_seconds", unit="s", better="lower", samples=(1.0,)),))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    (tmp_path / "work").mkdir()
    return Job(spec=SPEC, folder=tmp_path / "work", log=tmp_path / "log", timeout=7, on_line=lambda _line: None)


def test_a_written_result_counts(job: Job) -> None:
    write_json(job.result, to_json(MEASURED))
    assert judge(job, Ending(exit_code=0)) == MEASURED


@pytest.mark.parametrize(
    ("ending", "status", "words"),
    [
        (Ending(timed_out=True), "timeout", "after 7 s"),
        (Ending(oom=True), "oom", "lack of memory"),
        (Ending(signal=11), "crashed", "SIGSEGV"),
        (Ending(exit_code=0xC0000005), "crashed", "exception 0xc0000005"),
        (Ending(signal=200), "crashed", "signal 200"),
        (Ending(exit_code=3), "failed", "status 3"),
        (Ending(exit_code=0), "failed", "no result"),
    ],
)
def test_an_ending_without_a_result_has_its_own_status(job: Job, ending: Ending, status: str, words: str) -> None:
    result = judge(job, ending)
    assert result.status == status
    assert words in result.reason


def test_the_last_line_of_the_log_says_why(job: Job) -> None:
    job.log.write_text("Traceback\nImportError: no module named torch\n\n")
    assert "ImportError: no module named torch" in judge(job, Ending(exit_code=1)).reason


def test_a_crash_after_the_result_is_a_warning(job: Job) -> None:
    write_json(job.result, to_json(MEASURED))
    result = judge(job, Ending(signal=6))
    assert result.status == "ok"
    assert "SIGABRT after the result" in result.warnings[-1]


def test_a_result_does_not_save_what_ran_out_of_time(job: Job) -> None:
    write_json(job.result, to_json(MEASURED))
    assert judge(job, Ending(timed_out=True)).status == "timeout"


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 9}', "\xff"])
def test_an_unreadable_result_is_a_failure(job: Job, content: str) -> None:
    job.result.write_bytes(content.encode("latin-1"))
    result = judge(job, Ending(exit_code=0))
    assert result.status == "failed"
    assert "can't be read" in result.reason


def test_a_result_of_another_invocation_is_refused(job: Job) -> None:
    write_json(job.result, to_json(replace(MEASURED, block=2)))
    assert "another invocation" in judge(job, Ending(exit_code=0)).reason
