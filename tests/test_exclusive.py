"""The lock between processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from harness.exclusive import exclusive
from tests.agent.systems import not_under_wine

HOLDER = """
import sys
from pathlib import Path
from harness.exclusive import exclusive
with exclusive(Path(sys.argv[1]), on_wait=lambda: None):
    print("held", flush=True)
    sys.stdin.read()
"""


@not_under_wine("it refuses a lock without saying why")
def test_waits_for_another_process_and_outlives_its_death(tmp_path: Path) -> None:
    lock = tmp_path / "made" / "x.lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        waited: list[bool] = []

        def kill_holder() -> None:
            waited.append(True)
            holder.kill()

        with exclusive(lock, on_wait=kill_holder):
            assert waited == [True]


def test_free_again_after_an_exception(tmp_path: Path) -> None:
    lock = tmp_path / "x.lock"
    waited = threading.Event()
    with pytest.raises(ZeroDivisionError), exclusive(lock, on_wait=waited.set):
        _ = 1 / 0
    with exclusive(lock, on_wait=waited.set):
        assert not waited.is_set()
