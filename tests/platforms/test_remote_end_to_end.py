"""The whole path through a real sshd on loopback: matrix.yaml → native and remote → bundle → report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness import interpreters
from tests.platforms.sshd import LoopbackSshd
from tests.program import bundle_of, harness, journal_of, project

BOTH = """\
schema: 1
baseline: native
platforms:
  native: {{kind: native}}
  lab: {{kind: remote, host: loopback, config: {config}, folder: {work}, python: {python}}}
stacks:
  driver: {{}}
tasks:
  control.fma: {{samples: 2, sample_seconds: 0.5}}
  driver.syscall:
  storage.small_files: {{files: 20, rounds: 3}}
profiles:
  both: {{tasks: ["*"], blocks: 2}}
"""


@pytest.mark.slow
def test_native_and_remote_side_by_side(sshd: LoopbackSshd, tmp_path: Path) -> None:
    work = tmp_path / "work"
    matrix = BOTH.format(config=sshd.config, work=work, python=interpreters.base())
    folder = project(tmp_path / "project", matrix)
    done = harness("run", "--profile", "both", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = journal_of(folder)
    assert {line["status"] for line in lines} == {"ok"}, done.stdout
    assert len([line for line in lines if line["cell"].startswith("lab/")]) == 6
    assert not list((work / "runs").iterdir())
    manifest = json.loads((bundle_of(folder) / "run.json").read_text())
    inspection = manifest["platforms"]["lab"]["inspection"]
    assert inspection["remote.same_host"]["value"] is True
    assert inspection["cpu.model"] == manifest["platforms"]["native"]["inspection"]["cpu.model"]
    done = harness("report", "-o", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    document = json.loads((folder / "out/report.json").read_text("utf-8"))
    compared = {(row["task"], row["metric"]) for row in document["comparisons"] if row["platform"] == "lab"}
    assert ("control.fma", "fma_seconds") in compared
    locations = {row["dims"].get("location") for row in document["comparisons"] if row["task"].startswith("storage")}
    assert {"host", "tmpfs"} <= locations
    assert "A stand-in, not real hardware" in (folder / "out/index.html").read_text("utf-8")


def test_a_host_that_is_away_costs_its_cells_and_no_more(sshd: LoopbackSshd, tmp_path: Path) -> None:
    sshd.stop()
    matrix = BOTH.format(config=sshd.config, work=tmp_path / "work", python="python3")
    folder = project(tmp_path / "project", matrix)
    done = harness("run", "--profile", "both", "--task", "driver.syscall", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = [line for line in journal_of(folder) if line["cell"].startswith("lab/")]
    assert [line["status"] for line in refused] == ["unavailable"]
    assert "no ssh server listens there" in refused[0]["reason"]
    assert "systemctl start ssh" in refused[0]["reason"]
