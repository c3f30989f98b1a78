from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.program import ROOT

DISTURBED = """
from pathlib import Path

def test_disturbed_once():
    seen = Path("seen")
    disturbed = not seen.exists()
    seen.touch()
    assert not disturbed

def test_good():
    with Path("good").open("a") as file:
        file.write("once ")
"""
DEFECT = "def test_defect(): assert False"


@pytest.mark.parametrize(("source", "status"), [(DISTURBED, 0), (DISTURBED + DEFECT, 1), ("import nothing", 2)])
def test_what_fails_once_runs_again_alone_and_a_defect_fails_twice(tmp_path: Path, source: str, status: int) -> None:
    (tmp_path / "test_it.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "-m", "tests", "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "runs once more" in done.stdout or status == 2
    if status < 2:
        assert (tmp_path / "good").read_text() == "once "
        assert ("2 failed" in done.stdout) == bool(status)
