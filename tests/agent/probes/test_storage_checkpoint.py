"""Checkpoints: saved whole, forced to the disk, put in the last one's place."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

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


def test_a_location_without_room_for_two_states_is_left_out(
    run_task: RunTask, small_disk: Callable[[int], Path]
) -> None:
    place = Location(name="disk", path=str(small_disk(4096)))
    with pytest.raises(Unavailable, match="No space left on device"):
        run_task("storage.checkpoint", locations=[place], bytes=3 * MIB)
