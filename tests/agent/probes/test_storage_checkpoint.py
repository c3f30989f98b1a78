"""Checkpoints: saved whole, forced to the disk, put in the last one's place."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.agent import files
from harness.agent.messages import Location
from harness.agent.task import Unavailable
from tests.agent.probes.conftest import RunTask, least, metric

MIB = 2**20


def test_saves_are_measured_on_each_location_and_leave_nothing(run_task: RunTask, tmp_path: Path) -> None:
    places = [Location(name=name, path=str(tmp_path / name)) for name in ("one", "two")]
    for place in places:
        Path(place.path).mkdir()
    outcome = run_task("storage.checkpoint", locations=places, bytes=MIB, saves=3)
    for name in ("one", "two"):
        saves = metric(outcome, "save_seconds", location=name, bytes=MIB)
        assert (len(saves.samples), saves.warmup, saves.unit, saves.better) == (4, 1, "s", "lower")
        assert all(0 < seconds < 10 for seconds in saves.samples)
        assert not list((tmp_path / name).iterdir())
    assert not outcome.warnings


def test_a_state_may_be_larger_than_what_random_makes_at_once(run_task: RunTask, tmp_path: Path) -> None:
    place = Location(name="disk", path=str(tmp_path))
    outcome = run_task("storage.checkpoint", locations=[place], bytes=256 * MIB, saves=1)
    assert (outcome.status, outcome.warnings) == ("ok", ())


def test_a_disk_that_takes_longer_is_seen(run_task: RunTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsync, synced = os.fsync, []

    def slow(descriptor: int) -> None:
        fsync(descriptor)
        synced.append(os.fstat(descriptor).st_size)
        time.sleep(0.05)

    monkeypatch.setattr(os, "fsync", slow)
    place = Location(name="disk", path=str(tmp_path))
    outcome = run_task("storage.checkpoint", locations=[place], bytes=MIB, saves=3)
    assert least(outcome, "save_seconds") >= 0.05
    assert synced == [MIB] * 4  # whole, before it takes the last one's place


def test_waiting_for_a_scanner_is_part_of_a_save(
    run_task: RunTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Windows does while another program has the file open."""
    replace, asked = os.replace, []

    def refuse_every_other(source: Path, target: Path) -> None:
        asked.append(source)
        if len(asked) % 2:
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse_every_other)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(files, "PAUSE", 0.05)
    place = Location(name="disk", path=str(tmp_path))
    outcome = run_task("storage.checkpoint", locations=[place], bytes=MIB, saves=3)
    assert least(outcome, "save_seconds") >= 0.05
    assert len(asked) == 2 * 4


def test_a_location_without_room_for_two_states_is_left_out(
    run_task: RunTask, small_disk: Callable[[int], Path]
) -> None:
    place = Location(name="disk", path=str(small_disk(4096)))
    with pytest.raises(Unavailable, match="No space left on device"):
        run_task("storage.checkpoint", locations=[place], bytes=3 * MIB)
