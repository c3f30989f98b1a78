from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import __main__ as again
from tests.__main__ import COMPUTING, MEASURING, OTHERS, PLACES, REST, passed
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


KILLED = "import os, signal\ndef test_killed(): os.kill(os.getpid(), signal.SIGKILL)"


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


def test_tests_that_a_signal_ends_have_not_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_it.py").write_text(KILLED)
    monkeypatch.chdir(tmp_path)
    assert passed(["test_it.py"]) == signal.SIGKILL


def test_both_parts_run_and_either_fails_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = {MEASURING: 1, OTHERS: 0}
    ran: list[object] = []

    def part(arguments: tuple[str, ...]) -> int:
        ran.append(arguments)
        return statuses[arguments]

    monkeypatch.setattr(again, "passed", part)
    assert again.main([]) == 1
    assert ran == [MEASURING, OTHERS]
    assert again.main(["others"]) == 0
    assert ran[2:] == [OTHERS]


def test_computing_and_the_rest_are_the_others() -> None:
    assert all((ROOT / place).is_dir() for place in PLACES)
    assert {*COMPUTING} >= {"not measures", *PLACES}
    assert [*REST] == [*OTHERS, *(f"--ignore={place}" for place in PLACES)]


def test_where_the_first_failure_stops_there_is_no_second_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_it.py").write_text(DISTURBED + DEFECT)
    monkeypatch.chdir(tmp_path)
    assert passed(["-x", "test_it.py"]) == 1
