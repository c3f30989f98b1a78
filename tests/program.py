"""Starts the program as a user does: `python -m harness` in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

MATRIX = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
  docker: {kind: container}
stacks:
  driver: {}
tasks:
  control.delay: {microseconds: 200, samples: 5}
  driver.syscall:
profiles:
  tiny: {tasks: [control.delay], platforms: [native], blocks: 3}
  both: {tasks: [control.delay], blocks: 3}
  long: {tasks: ["*"], platforms: [native], blocks: 8}
"""


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness", *arguments]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **(extra or {})}


def harness(
    *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end; its output is piped, as in a log."""
    return subprocess.run(
        command(*arguments), cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=timeout, check=False
    )


def project(folder: Path, matrix: str = MATRIX) -> Path:
    """Lay out a folder with a matrix.yaml and the images/ that its stacks are built from."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "matrix.yaml").write_text(matrix, encoding="utf-8")
    shutil.copytree(ROOT / "images", folder / "images", dirs_exist_ok=True)
    return folder


def bundle_of(folder: Path) -> Path:
    """Return the only bundle in the folder's results/."""
    (manifest,) = (folder / "results").glob("*/run.json")
    return manifest.parent


def journal_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (bundle_of(folder) / "journal.jsonl").read_text("utf-8").splitlines()]


def one_line_error(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line on stderr; anything more, a traceback say, is an assertion."""
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("overhead-matrix: ")
    return lines[0]
