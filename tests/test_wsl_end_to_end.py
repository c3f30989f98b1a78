"""The whole path with a distribution behind a stand-in wsl.exe: matrix.yaml → native and wsl → bundle → report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.platforms.wsl_machine import NAME, Machine
from tests.program import bundle_of, harness, journal_of, project

pytestmark = pytest.mark.docker  # whose base image is the tree that is entered

MATRIX = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
  wsl: {kind: wsl, distribution: Debian}
  gone: {kind: wsl, distribution: Gone}
stacks:
  driver: {}
tasks:
  control.delay: {microseconds: 200, samples: 5}
  driver.syscall:
  storage.small_files: {files: 20, rounds: 3}
profiles:
  smoke: {tasks: ["*"], blocks: 2}
"""


@pytest.fixture
def machine(tmp_path: Path, linux_root: Path) -> Iterator[Machine]:
    made = Machine(folder=tmp_path / "windows", root=linux_root).set_up()
    (made.folder / "profile/.wslconfig").write_text("[wsl2]\nprocessors=2\n", encoding="utf-8")
    yield made
    made.stop()
    assert "--shutdown" not in made.calls()


def test_native_and_a_distribution_side_by_side(tmp_path: Path, machine: Machine) -> None:
    folder = project(tmp_path / "project", MATRIX)
    machine.change(start_seconds=0.5)
    done = harness("run", cwd=folder, env=machine.environ)
    assert done.returncode == 0, done.stdout + done.stderr

    statuses = {(line["cell"].partition("/")[0], line["status"]) for line in journal_of(folder)}
    assert statuses == {("native", "ok"), ("native@2", "ok"), ("wsl", "ok"), ("gone", "unavailable")}
    record = json.loads((bundle_of(folder) / "run.json").read_text("utf-8"))["platforms"]
    assert record["gone"]["reason"].startswith("gone: there is no distribution Gone, there are: Debian")
    facts = record["wsl"]["inspection"]
    assert facts["wsl.stand_in"]["value"] == "the kernel inside is not WSL's"
    assert facts["wsl.settings"]["value"] == {"wsl2.processors": "2"}
    assert facts["wsl.start_cold_seconds"]["value"] > 0.5
    assert facts["storage.ext4.filesystem"]["value"]

    document = reported(folder)
    compared = [row for row in document["comparisons"] if row["platform"] == "wsl"]
    assert {row["task"].partition("[")[0] for row in compared} == {
        "control.delay",
        "driver.syscall",
        "storage.small_files",
    }
    created = {row["dims"]["location"] for row in compared if row["metric"] == "create_seconds"}
    assert created == {"ext4", "mnt-c", "tmpfs"}
    assert "A stand-in, not real hardware" in (folder / "out/index.html").read_text("utf-8")
    machine.wsl("--terminate", NAME)
    assert list(machine.cache.glob("scratch/*")) == []


def reported(folder: Path) -> dict[str, Any]:
    done = harness("report", "-o", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads((folder / "out/report.json").read_text("utf-8"))
    return document
