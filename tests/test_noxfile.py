"""The front door: what a user's Ctrl-C leaves to the harness."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import ROOT

# Stands in for the harness: it takes longer to remove what it has started than nox waits of its own accord.
FAKE_HARNESS = """
import time

try:
    print("measuring", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    time.sleep(2)
    print("removed what was started", flush=True)
    raise SystemExit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="not on Windows: it signals a process group")
@pytest.mark.parametrize("session", ["matrix", "doctor"])
def test_ctrl_c_leaves_the_time_to_tidy_up(tmp_path: Path, session: str) -> None:
    for name in ("noxfile.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness/__main__.py").write_text(FAKE_HARNESS)
    for name in ("__init__.py", "native.py"):
        (tmp_path / "harness" / name).touch()
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    nox = subprocess.Popen(
        [sys.executable, "-m", "nox", "--no-venv", "--no-install", "-s", session],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert nox.stdout is not None
    assert nox.stdout.readline() == "measuring\n"
    os.killpg(nox.pid, signal.SIGINT)
    said, _ = nox.communicate(timeout=60)
    assert said == "removed what was started\n"
    assert nox.returncode == 130
