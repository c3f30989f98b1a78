"""A GPU is taken from the host's drivers and given back, on a made-up machine. No real device was bound by this."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.platforms import vfio_loan
from harness.platforms.owner import Owner
from harness.platforms.vfio import driver
from tests.platforms.planted_gpu import AUDIO, DEVICES, GPU, HOME, NETWORK, PlantedKernel, planted


@pytest.fixture
def machine(tmp_path: Path) -> PlantedKernel:
    return planted(tmp_path / "machine")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def drivers(machine: PlantedKernel) -> dict[str, str]:
    return {each: driver(machine, each) for each in HOME}


def overrides(machine: PlantedKernel) -> set[str]:
    return {each for each in HOME if machine.text(f"/{DEVICES}/{each}/driver_override")}


def notes(cache: Path) -> list[Path]:
    return sorted((cache / vfio_loan.FOLDER).glob("*"))


def orphan(note: Path, **changes: str) -> None:
    """Let the note's writer be a process that has ended."""
    record = json.loads(note.read_text(encoding="utf-8"))
    record["owner"] = replace(Owner.of(os.getpid()), start="1", **changes).record()
    note.write_text(json.dumps(record), encoding="utf-8")


def test_the_card_goes_to_the_guest_and_comes_back(machine: PlantedKernel, cache: Path) -> None:
    loan = vfio_loan.borrow(machine, GPU, cache)
    assert loan.borrowed
    assert drivers(machine) == {**HOME, GPU: "vfio-pci", AUDIO: "vfio-pci"}
    assert len(notes(cache)) == 1
    assert vfio_loan.give_back(machine, loan) == []
    assert drivers(machine) == HOME
    assert overrides(machine) == set()
    assert notes(cache) == []


def test_what_vfio_held_already_stays_as_it_is(machine: PlantedKernel, cache: Path) -> None:
    for each in (GPU, AUDIO):
        machine.bind(each, "vfio-pci")
        machine.write(f"/{DEVICES}/{each}/driver_override", "vfio-pci\n")
    loan = vfio_loan.borrow(machine, GPU, cache)
    assert not loan.borrowed
    assert vfio_loan.give_back(machine, loan) == []
    assert drivers(machine) == {**HOME, GPU: "vfio-pci", AUDIO: "vfio-pci"}
    assert overrides(machine) == {GPU, AUDIO}


def test_a_device_without_a_driver_gets_none_back(machine: PlantedKernel, cache: Path) -> None:
    machine.write("/unbind", AUDIO)
    loan = vfio_loan.borrow(machine, GPU, cache)
    assert driver(machine, AUDIO) == "vfio-pci"
    assert vfio_loan.give_back(machine, loan) == []
    assert drivers(machine) == {**HOME, AUDIO: ""}


def test_what_is_refused_is_not_touched(machine: PlantedKernel, cache: Path) -> None:
    machine.group(NETWORK)
    with pytest.raises(PlatformError, match="not viable"):
        vfio_loan.borrow(machine, GPU, cache)
    assert drivers(machine) == HOME
    assert notes(cache) == []


def test_a_binding_that_fails_is_undone(machine: PlantedKernel, cache: Path) -> None:
    machine.refuses.add("vfio-pci")
    with pytest.raises(PlatformError, match=r"can't be bound to vfio-pci: it is held by no driver.*dmesg"):
        vfio_loan.borrow(machine, GPU, cache)
    assert drivers(machine) == HOME
    assert overrides(machine) == set()
    assert notes(cache) == []


def test_a_driver_that_does_not_come_back_is_told_and_tried_again(machine: PlantedKernel, cache: Path) -> None:
    loan = vfio_loan.borrow(machine, GPU, cache)
    machine.refuses.add("nvidia")
    (problem,) = vfio_loan.give_back(machine, loan)
    assert f"{GPU} could not be given back to nvidia" in problem
    assert "/sys/bus/pci/drivers/nvidia/bind" in problem
    assert driver(machine, AUDIO) == HOME[AUDIO]
    (note,) = notes(cache)
    orphan(note)
    machine.refuses.clear()
    assert vfio_loan.reclaim(machine, cache) == []
    assert drivers(machine) == HOME
    assert notes(cache) == []


def test_the_next_run_gives_back_what_a_killed_one_holds(machine: PlantedKernel, cache: Path) -> None:
    vfio_loan.borrow(machine, GPU, cache)
    assert vfio_loan.reclaim(machine, cache) == []
    assert driver(machine, GPU) == "vfio-pci", "a living run's device was taken away"
    orphan(notes(cache)[0])
    assert vfio_loan.reclaim(machine, cache) == []
    assert drivers(machine) == HOME
    assert notes(cache) == []


def test_after_a_reboot_there_is_nothing_to_give_back(machine: PlantedKernel, cache: Path) -> None:
    vfio_loan.borrow(machine, GPU, cache)
    orphan(notes(cache)[0], boot="another")
    vfio_loan.reclaim(machine, cache)
    assert driver(machine, GPU) == "vfio-pci", "the boot's own binding was changed"
    assert notes(cache) == []


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"owner": {}, "before": {}}', '{"owner": 1, "before": 2}'])
def test_a_spoilt_note_changes_nothing(machine: PlantedKernel, cache: Path, text: str) -> None:
    note = cache / vfio_loan.FOLDER / "0000-01-00.0.json"
    note.parent.mkdir(parents=True)
    note.write_text(text, encoding="utf-8")
    assert vfio_loan.reclaim(machine, cache) == []
    assert drivers(machine) == HOME
