"""What makes two runs' hosts one machine, and the systems that ran on it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.results.machine import UNPROVEN, Machine, difference, machine, system
from tests.boots import GPU, linux, manifest, windows

WITH_GPU = Machine(gpus=frozenset({GPU}), cpu="CPU", board="Board", memory=2**35)
WITHOUT = replace(WITH_GPU, gpus=frozenset())


def test_a_machine_is_read_from_the_inspection() -> None:
    found = machine(manifest(linux(1, host={"cpu.model": " A  CPU "})))
    assert found == Machine(gpus=frozenset({GPU}), cpu="A CPU", board="Synthetic Board 1", memory=32 * 2**30)


def test_what_is_not_recorded_is_empty() -> None:
    nothing = dict.fromkeys(("cpu.model", "board.vendor", "board.model", "system.memory_bytes"))
    assert machine(manifest(linux(1, gpu="", host=nothing))) == Machine(gpus=frozenset(), cpu="", board="", memory=0)


@pytest.mark.parametrize(
    "other", [WITH_GPU, replace(WITH_GPU, cpu="cpu"), replace(WITH_GPU, cpu="", board="", memory=1)]
)
def test_a_gpu_proves_a_machine_by_what_both_tell(other: Machine) -> None:
    assert difference(WITH_GPU, other, same=False) == difference(other, WITH_GPU, same=False) == ""


@pytest.mark.parametrize(
    ("one", "other", "same", "words"),
    [
        (WITH_GPU, replace(WITH_GPU, gpus=frozenset({"x", "y"})), True, f"GPU {GPU} here, x, y there"),
        (WITH_GPU, replace(WITH_GPU, board="Other"), True, "board Board here, Other there"),
        (WITHOUT, WITHOUT, False, UNPROVEN),
        (WITH_GPU, WITHOUT, False, UNPROVEN),
        (WITHOUT, WITHOUT, True, ""),
        (WITH_GPU, WITHOUT, True, ""),
        (WITHOUT, replace(WITHOUT, memory=2**34), True, "32.0 GiB of memory here, 16.0 GiB there"),
        (WITHOUT, replace(WITHOUT, memory=0), True, "neither a GPU on both sides nor the CPU's model and the memory's"),
    ],
)
def test_what_differs_or_is_open_is_named(one: Machine, other: Machine, same: bool, words: str) -> None:
    found = difference(one, other, same=same)
    assert found.startswith(words)
    assert bool(found) == bool(words)


def test_the_system_is_that_of_the_host() -> None:
    assert system(manifest(linux(1))) == "linux"
    assert system(manifest(windows(1))) == "windows"
    assert system(manifest(linux(1, host={"virtualization.wsl": "WSL2"}))) == "wsl"
    assert system(manifest(linux(1, host={"virtualization.wsl": "no"}))) == "linux"
    assert system(manifest(linux(1, host={"system.platform": None}))) == "unknown"
