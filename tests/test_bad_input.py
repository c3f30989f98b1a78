"""What a user asks for in vain, through the whole path: a status with its reason, and the next cell runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.program import harness, journal_of, project

pytestmark = [pytest.mark.stack, pytest.mark.slow]

TOO_LARGE = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
stacks:
  torch: {requirements: images/torch/requirements.txt, cpu_requirements: images/torch/requirements-cpu.txt}
tasks:
  torch_matmul.square: [{size: 10000000}, {size: 64}]
profiles:
  all: {tasks: ["*"], blocks: 1}
"""


def test_what_memory_cannot_hold_is_oom_and_the_next_cell_runs(tmp_path: Path) -> None:
    project(tmp_path, TOO_LARGE)
    done = harness("run", cwd=tmp_path)
    assert done.returncode == 1
    assert "3 of 6 cells failed" in done.stdout
    statuses = {(line["cell"].rpartition("/")[2], line["status"]) for line in journal_of(tmp_path)}
    assert statuses == {
        (f"{prefix}torch_matmul.square[size={size}]", status)
        for prefix in ("", "counts.")
        for size, status in (("10000000", "oom"), ("64", "ok"))
    }
    assert harness("report", "-o", "out", cwd=tmp_path).returncode == 0
    document = json.loads((tmp_path / "out/report.json").read_text("utf-8"))
    reasons = {row["what"]: row["reason"] for row in document["capabilities"]}
    assert "you tried to allocate 400000000000000 bytes" in reasons["torch/torch_matmul.square[size=10000000]"]
