"""The synthetic step on the simulated driver: as long as what was planted. Nothing here is about a GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.agent.loops import ABSENT
from harness.agent.messages import Location
from harness.agent.step_counts import NAMES
from harness.agent.task import Unavailable, find
from tests.agent.conftest import Plant
from tests.agent.probes.conftest import INSTRUMENT, RunOnGpu, least, metric, names

EMPTY: dict[str, Any] = {
    **dict.fromkeys(("launches", "syncs", "h2d_copies", "d2h_copies", "d2d_copies", "allocations", "files"), 0),
    "samples": 60,
    "warmup": 2,
    "h2d_bytes": 2**16,
    "d2h_bytes": 2**16,
    "d2d_bytes": 2**16,
}
# Far above what the calls themselves and the interpreter cost: 3 µs a call were seen on a machine that has just begun.
PLANTED: dict[str, float] = {
    "launch_ns": 100_000,
    "kernel_ns": 20_000,
    "sync_spin_ns": 400_000,
    "copy_submit_ns": 200_000,
    "h2d_latency_ns": 400_000,
    "d2h_latency_ns": 600_000,
    "d2d_latency_ns": 800_000,
    "h2d_gbps": 0.25,
    "d2h_gbps": 0.2,
    "d2d_gbps": 0.4,
    "alloc_ns": 600_000,
    "free_ns": 400_000,
    "alloc_mib_ns": 0,
    "free_mib_ns": 0,
}
SYNC = PLANTED["sync_spin_ns"]


def copy(way: str) -> float:
    """Return what a copy of 64 KiB takes with its submission and wait, in nanoseconds."""
    moving = PLANTED[f"{way}_latency_ns"] + 2**16 / PLANTED[f"{way}_gbps"]
    return PLANTED["copy_submit_ns"] + moving + SYNC


PARTS: dict[str, tuple[dict[str, Any], float]] = {
    "launches": ({"launches": 24, "syncs": 3}, 24 * PLANTED["launch_ns"] + 3 * (PLANTED["kernel_ns"] + SYNC)),
    "up": ({"h2d_copies": 4}, 4 * copy("h2d")),
    "down": ({"d2h_copies": 3}, 3 * copy("d2h")),
    "across": ({"d2d_copies": 2}, 2 * copy("d2d")),
    "allocations": ({"allocations": 3}, 3 * (PLANTED["alloc_ns"] + PLANTED["free_ns"]) + SYNC),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_step_lasts_as_long_as_its_parts(run_on_gpu: RunOnGpu, plant: Plant, native: object, part: str) -> None:
    params, nanoseconds = PARTS[part]
    plant(**PLANTED)
    assert least(run_on_gpu("control.step", **{**EMPTY, **params}), "step_seconds") == pytest.approx(
        1e-9 * nanoseconds, rel=0.05
    )


def test_the_parts_add_up_and_are_counted(run_on_gpu: RunOnGpu, plant: Plant, loop: str, tmp_path: Path) -> None:
    plant(**PLANTED)
    params = {name: value for wanted, _ in PARTS.values() for name, value in wanted.items()}
    where = (Location(name="here", path=str(tmp_path)), Location(name="there", path="/nowhere"))
    outcome = run_on_gpu("control.step", locations=where, **{**EMPTY, **params, "files": 5, "file_bytes": 8192})
    assert names(outcome) == {"step_seconds", *NAMES - {"operation_count"}, "driver_call_seconds", *INSTRUMENT}
    assert least(outcome, "step_seconds", loop=loop) > 1e-9 * sum(planted for _, planted in PARTS.values())
    assert (ABSENT in outcome.warnings) == (loop == "python")
    assert metric(outcome, "launch_count").samples == (24,)
    assert metric(outcome, "sync_count").samples == (3 + 4 + 3 + 2 + 1,)
    assert metric(outcome, "copy_count", direction="d2h", memory="pinned").samples == (3,)
    assert metric(outcome, "copy_bytes", direction="h2d").samples == (4 * 2**16,)
    assert metric(outcome, "copy_bytes", direction="d2d", memory="device").samples == (2 * 2**16,)
    assert metric(outcome, "allocation_count").samples == (3,)
    assert metric(outcome, "file_count", location="here").samples == (5,)
    assert metric(outcome, "read_bytes", location="here").samples == (5 * 8192,)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"launches": 5, "syncs": 2}, {"launches": 5}])
def test_launches_make_equal_groups(run_on_gpu: RunOnGpu, plant: Plant, wrong: dict[str, int]) -> None:
    plant()
    with pytest.raises(Unavailable, match=r"5 launches don't make . equal groups"):
        run_on_gpu("control.step", **{**EMPTY, **wrong})


def test_files_need_a_place(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant()
    with pytest.raises(Unavailable, match="offers no location for its files"):
        run_on_gpu("control.step", **{**EMPTY, "files": 1})


def test_every_part_may_be_left_out() -> None:
    task = find("control.step")
    assert task is not None
    assert [name for name in task.params if task.refusal(name, 0)] == [
        "h2d_bytes", "d2h_bytes", "d2d_bytes", "allocation_bytes", "file_bytes", "samples",
    ]  # fmt: skip
