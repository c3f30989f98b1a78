"""Whose process it was, and folders that outlive theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.platforms import leftovers
from harness.platforms.owner import Owner


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True) as process:
        yield process
        process.kill()


def test_a_living_process_is_running_and_not_gone(sleeper: subprocess.Popen[bytes]) -> None:
    for owner in (Owner.of(os.getpid()), Owner.of(sleeper.pid)):
        assert owner.is_running()
        assert not owner.is_gone()


def test_a_killed_process_is_gone_even_as_a_zombie(sleeper: subprocess.Popen[bytes]) -> None:
    owner = Owner.of(sleeper.pid)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert owner.is_gone()
    sleeper.wait()
    assert owner.is_gone()
    assert not owner.is_running()


def test_another_process_with_the_same_id_is_not_the_owner() -> None:
    assert replace(Owner.of(os.getpid()), start="1").is_gone()


def test_an_earlier_boot_is_gone() -> None:
    owner = replace(Owner.of(os.getpid()), boot="another")
    assert owner.is_gone()
    assert not owner.is_running()


@pytest.mark.parametrize("unknown", [{"host": "another"}, {"namespace": "pid:[1]"}, {"boot": ""}, {"start": ""}])
def test_what_cannot_be_told_from_here_is_neither(unknown: dict[str, str]) -> None:
    owner = replace(Owner.of(os.getpid()), pid="999999999", **unknown)
    assert not owner.is_gone()
    assert not owner.is_running()


def test_a_record_names_its_owner() -> None:
    owner = Owner.of(os.getpid())
    assert Owner.from_record(owner.record()) == owner
    assert Owner.from_record({}) is None
    assert Owner.from_record({**owner.record(), "pid": "-1"}) is None
    assert Owner.from_record({**owner.record(), "boot": 3}) is None


def gone(folder: Path) -> None:
    """Let the folder belong to a process that has ended."""
    record = replace(Owner.of(os.getpid()), start="1").record()
    (folder / leftovers.OWNER).write_text(json.dumps(record), encoding="utf-8")


def test_a_sweep_removes_only_what_the_gone_left(tmp_path: Path) -> None:
    dead, living, unclaimed, spoiled = (tmp_path / name for name in ("dead", "living", "unclaimed", "spoiled"))
    for folder in (dead, living, unclaimed, spoiled):
        (folder / "native").mkdir(parents=True)
    gone(dead)
    leftovers.claim(living)
    (spoiled / leftovers.OWNER).write_text("{", encoding="utf-8")
    leftovers.sweep(*tmp_path.iterdir(), tmp_path / "nowhere")
    assert {path.name for path in tmp_path.iterdir()} == {"living", "unclaimed", "spoiled"}


def test_a_sweep_ends_the_process_that_was_left(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder = tmp_path / "dead"
    (folder / "native").mkdir(parents=True)
    leftovers.note(folder / "native" / leftovers.PROCESS, sleeper.pid)
    gone(folder)
    leftovers.sweep(folder)
    assert sleeper.wait(timeout=10) < 0
    assert not folder.exists()


def test_a_sweep_leaves_a_process_that_only_has_the_same_id(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    folder = tmp_path / "dead"
    (folder / "native").mkdir(parents=True)
    other = replace(Owner.of(sleeper.pid), start="1")
    (folder / "native" / leftovers.PROCESS).write_text(json.dumps(other.record()), encoding="utf-8")
    gone(folder)
    leftovers.sweep(folder)
    assert sleeper.poll() is None


def test_a_resumed_run_starts_with_an_empty_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "native" / "job").mkdir(parents=True)
    gone(folder)
    leftovers.claim(folder)
    assert [path.name for path in folder.iterdir()] == [leftovers.OWNER]
    (folder / "native").mkdir()
    leftovers.claim(folder)
    assert (folder / "native").is_dir()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(PlatformError, match=r"folder .* can't be made.*OVERHEAD_MATRIX_CACHE"):
        leftovers.claim(tmp_path / "file" / "run")
