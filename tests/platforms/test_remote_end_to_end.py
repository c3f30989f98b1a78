"""Runs that lack their remote host, a real sshd on loopback; one that has it is in test_everywhere.py."""

from __future__ import annotations

from pathlib import Path

from tests.platforms.sshd import LoopbackSshd
from tests.program import harness, journal_of, project

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
