from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.agent.messages import CellResult, Metric
from harness.errors import BundleError, ResultsError
from harness.runner.journal import Journal, resume_command

NOW = "2026-01-01T00:00:00.000+00:00"


def result(block: int = 1, attempt: int = 1, samples: int = 1) -> CellResult:
    return CellResult(
        cell="native/driver/control.fma",
        platform="native",
        stack="driver",
        task="control.fma",
        params={},
        device="cpu",
        block=block,
        attempt=attempt,
        status="ok",
        metrics=(Metric(name="x_seconds", unit="s", better="lower", samples=(1.0,) * samples),),
    )


def test_a_line_names_a_file_with_that_digest(tmp_path: Path) -> None:
    with Journal(tmp_path / "run") as journal:
        journal.append(result(), started=NOW, seconds=1.5)
    (line,) = (tmp_path / "run/journal.jsonl").read_text().splitlines()
    record = json.loads(line)
    content = (tmp_path / "run" / record["file"]).read_bytes()
    assert record["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["file"] == "invocations/1.native~driver~control.fma.1.json"
    assert (record["block"], record["attempt"], record["status"], record["seconds"]) == (1, 1, "ok", 1.5)


def test_a_reopened_journal_goes_on(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append(result(1), started=NOW, seconds=1)
    with Journal(tmp_path) as journal:
        journal.append(result(2), started=NOW, seconds=1)
        assert [line.block for line in journal.lines] == [1, 2]


def test_a_line_cut_by_a_kill_is_dropped_and_the_rest_stays(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.append(result(1), started=NOW, seconds=1)
    with (tmp_path / "journal.jsonl").open("a") as file:
        file.write('{"block": 2, "cell": "native/dri')
    with Journal(tmp_path) as journal:
        journal.append(result(2), started=NOW, seconds=1)
    assert [json.loads(line)["block"] for line in (tmp_path / "journal.jsonl").read_text().splitlines()] == [1, 2]


def test_two_runs_in_one_bundle_are_refused(tmp_path: Path) -> None:
    with Journal(tmp_path), pytest.raises(ResultsError, match="in use by another run"):
        Journal(tmp_path)


def test_a_full_disk_is_told_with_the_way_to_go_on_and_loses_nothing(small_disk: Callable[[int], Path]) -> None:
    folder = small_disk(64) / "20260101-000000-abcd"
    with Journal(folder) as journal:
        journal.append(result(1), started=NOW, seconds=1)
        with pytest.raises(ResultsError) as caught:
            journal.append(result(2, samples=20_000), started=NOW, seconds=1)
    text = str(caught.value)
    assert "\n" not in text
    assert "No space left on device" in text
    assert "nox -s matrix -- --resume 20260101-000000-abcd" in text
    with Journal(folder) as journal:
        assert [line.block for line in journal.lines] == [1]


def test_a_results_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(ResultsError, match="--results"):
        Journal(tmp_path / "results")


def test_a_reason_does_not_name_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    told = replace(result(), status="unavailable", reason="/home/alice/x is no folder", warnings=("see /home/alice",))
    with Journal(tmp_path) as journal:
        journal.append(told, started=NOW, seconds=0)
    written = "".join(path.read_text() for path in tmp_path.rglob("*.json*"))
    assert "~/x is no folder" in written
    assert "alice" not in written


@pytest.mark.parametrize("line", [b"{}\n", b"\xff\n", b"nonsense\n"])
def test_a_broken_line_is_one_line(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "journal.jsonl").write_bytes(line)
    with pytest.raises(BundleError, match="line 1"):
        Journal(tmp_path)


@pytest.mark.parametrize(
    ("matrix", "command"),
    [
        ("matrix.yaml", "nox -s matrix -- --resume run"),
        ("", "nox -s matrix -- --resume run"),
        ("ci/my lab.yaml", "nox -s matrix -- --resume run -m 'ci/my lab.yaml'"),
    ],
)
def test_the_way_to_go_on_names_the_matrix(matrix: str, command: str) -> None:
    assert resume_command(Path("results/run"), matrix) == command
