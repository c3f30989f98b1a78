"""What is planted into the simulated driver comes back: no figure here says anything about a GPU."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from harness.agent import host_memory, own_process, pinned_ceiling
from harness.agent.cuda import open_driver
from harness.agent.cuda_errors import CudaError
from harness.agent.pinned_ceiling import Ceiling
from harness.agent.task import Unavailable
from tests.agent.conftest import Plant
from tests.agent.costs import costs
from tests.agent.probes.conftest import RunOnGpu, least, metric, names
from tests.agent.systems import not_on_windows

MIB = 2**20
SMALL: dict[str, Any] = {
    "max_bytes": MIB,
    "samples": 30,
    "point_seconds": 1.0,
    "pinned_bytes": 8 * MIB,
    "pinned_block": MIB,
}
KINDS = {"device", "pool", "host", "registered"}


@pytest.mark.parametrize("planted", [200, 400])
def test_every_kind_costs_what_was_planted(run_on_gpu: RunOnGpu, plant: Plant, loop: str, planted: int) -> None:
    """Each call its own multiple of the planted microseconds; what grows with the size is added for 1 MiB."""
    calls = ("alloc", "free", "async_alloc", "async_free", "host_alloc", "host_free", "host_register")
    every = {f"{call}_ns": 1e3 * planted * factor for factor, call in enumerate((*calls, "host_unregister"), start=1)}
    plant(**every, alloc_mib_ns=0, free_mib_ns=0, host_alloc_mib_ns=2e5, host_register_mib_ns=4e5)
    outcome = run_on_gpu("copies.allocation", **SMALL)
    assert outcome.status == "ok"
    expected = {
        "device": (1, 2, 0),
        "pool": (3, 4, 0),
        "host": (5, 6, 2e-4),
        "registered": (7, 8, 4e-4),
    }
    for kind, (allocate, free, added) in expected.items():
        dims: dict[str, Any] = {"kind": kind, "bytes": MIB, "loop": loop}
        assert least(outcome, "allocate_seconds", **dims) == costs(allocate * planted * 1e-6 + added, loop)
        assert least(outcome, "free_seconds", **dims) == costs(free * planted * 1e-6, loop)
        assert metric(outcome, "allocate_seconds", **dims).warmup == 1
    sizes = {each.dims["bytes"] for each in outcome.metrics if each.name == "allocate_seconds"}
    assert sizes == {4096, 65536, MIB}
    assert metric(outcome, "pinned_reached_bytes").samples == (8 * MIB,)


@pytest.mark.parametrize("wall_mib", [3, 5])
def test_a_wall_is_found_and_told(run_on_gpu: RunOnGpu, plant: Plant, wall_mib: int) -> None:
    plant(pinned_wall_mib=wall_mib)
    outcome = run_on_gpu("copies.allocation", **SMALL)
    reached = metric(outcome, "pinned_reached_bytes")
    assert (reached.samples, reached.unit, reached.better) == ((wall_mib * MIB,), "B", "higher")
    assert outcome.status == "limited"
    assert (
        f"pinned memory ends at {wall_mib} MiB of 8 MiB asked for (cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY): "
        in outcome.reason
    )
    assert {each.dims["kind"] for each in outcome.metrics if each.name == "allocate_seconds"} == KINDS


def test_sizes_beyond_a_wall_are_left_out_with_a_warning(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(pinned_wall_mib=0.5)
    outcome = run_on_gpu("copies.allocation", **SMALL)
    sizes = {each.dims["bytes"] for each in outcome.metrics if each.dims.get("kind") == "host"}
    assert sizes == {4096, 65536}
    assert any(text.startswith("host memory left out: cuMemHostAlloc") for text in outcome.warnings)
    assert metric(outcome, "pinned_reached_bytes").samples == (0,)


def test_pools_that_are_not_supported_are_left_out(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(fail=("cuMemAllocAsync:801",))
    outcome = run_on_gpu("copies.allocation", **SMALL)
    assert {each.dims["kind"] for each in outcome.metrics if each.name == "allocate_seconds"} == KINDS - {"pool"}
    assert any(text.startswith("pool memory left out: cuMemAllocAsync") for text in outcome.warnings)


@pytest.mark.parametrize(
    ("kind", "refusal"),
    [
        ("registered", "cuMemHostRegister_v2:1"),
        ("registered", "cuMemHostRegister_v2:304"),
        ("registered", "cuMemHostRegister_v2:801"),
        ("host", "cuMemHostAlloc:304"),
        ("host", "cuMemHostAlloc:801"),
    ],
)
def test_a_kind_that_the_platform_does_not_pin_is_left_out(
    run_on_gpu: RunOnGpu, plant: Plant, loop: str, kind: str, refusal: str
) -> None:
    plant(fail=(refusal,))
    outcome = run_on_gpu("copies.allocation", **SMALL)
    assert {each.dims["kind"] for each in outcome.metrics if each.name == "allocate_seconds"} == KINDS - {kind}
    [warning] = [text for text in outcome.warnings if "left out" in text]
    assert warning.startswith(f"{kind} memory left out: {refusal.partition(':')[0]}: CUDA_ERROR_")
    assert "report it" not in warning
    assert outcome.status == ("limited" if kind == "host" else "ok")


def test_what_is_a_mistake_stays_one(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(fail=("cuMemAlloc_v2:1",))
    with pytest.raises(CudaError, match=r"cuMemAlloc_v2: CUDA_ERROR_INVALID_VALUE \(1\): .* a mistake of this tool"):
        run_on_gpu("copies.allocation", **SMALL)


def test_a_gpu_that_admits_one_process_admits_the_one_that_pins(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the compute mode `exclusive process`, a context of this process would keep the child from having one."""
    plant()
    contexts: list[int] = []

    def search(ordinal: int, block: int, most: int) -> Ceiling:
        contexts.append(open_driver().handle("cuCtxGetCurrent"))
        return Ceiling(reached=most, asked=most)

    monkeypatch.setattr(pinned_ceiling, "search", search)
    run_on_gpu("copies.allocation", **SMALL)
    assert contexts == [0]


@not_on_windows("ctypes turns a crash into an OSError")
def test_a_process_that_dies_at_the_wall_leaves_what_it_reached(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(fail=())
    assert "pinned_reached_bytes" in names(run_on_gpu("copies.allocation", **SMALL))
    plant(crash=("cuMemHostAlloc",))
    found = pinned_ceiling.search(0, MIB, 4 * MIB)
    assert (found.reached, found.asked) == (0, 4 * MIB)
    assert "the process was ended: status -11" in found.reason()


def test_what_was_reached_is_known_however_the_child_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    dying = "print('{\"pinned\": 4096}', flush=True); print('{\"pinn', flush=True); import os; os.abort()"
    monkeypatch.setattr(own_process, "PROGRAM", dying)
    found = pinned_ceiling.search(0, 4096, 8192)
    assert found.reached == 4096
    assert re.fullmatch(r"the process was ended: status (-6|3|3221226505)", found.ended_by)  # by Windows' abort 3


def test_a_child_that_hangs_is_not_waited_for_and_shows_no_wall(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = "print('{\"pinned\": 4096}', flush=True); import time; time.sleep(60)"
    monkeypatch.setattr(own_process, "PROGRAM", hanging)
    monkeypatch.setattr(pinned_ceiling, "TIMEOUT", 2.0)
    with pytest.raises(Unavailable, match=r"no end within 2 s, when 0\.00390625 MiB were pinned"):
        pinned_ceiling.search(0, 4096, 8192)


def test_a_driver_that_fails_at_the_wall_has_one(plant: Plant) -> None:
    plant(fail=("cuMemHostAlloc:719:2",))
    found = pinned_ceiling.search(0, MIB, 4 * MIB)
    assert (found.reached, found.ended_by) == (2 * MIB, "cuMemHostAlloc: CUDA_ERROR_LAUNCH_FAILED")


def test_a_child_that_fails_before_it_pins_has_found_no_wall(plant: Plant) -> None:
    plant()
    with pytest.raises(Unavailable, match="cuda:7 is asked for and 1 GPUs are visible"):
        pinned_ceiling.search(7, MIB, 4 * MIB)


def test_a_search_that_failed_is_a_warning(run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant()
    monkeypatch.setattr(own_process, "PROGRAM", "raise RuntimeError('broken install')")
    outcome = run_on_gpu("copies.allocation", **SMALL)
    assert outcome.status == "ok"
    assert "pinned_reached_bytes" not in names(outcome)
    assert any("pinned ceiling left out" in text and "broken install" in text for text in outcome.warnings)


def test_never_more_is_pinned_than_a_safe_share(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant()
    monkeypatch.setattr(host_memory, "available", lambda: 64 * MIB)
    asked: list[int] = []

    def search(ordinal: int, block: int, most: int) -> Ceiling:
        asked.append(most)
        return Ceiling(reached=most, asked=most)

    monkeypatch.setattr(pinned_ceiling, "search", search)
    run_on_gpu("copies.allocation", **{**SMALL, "pinned_bytes": 2**40, "pinned_share": 0.26})
    assert asked == [16 * MIB]  # whole blocks


def test_the_time_that_a_search_may_take_grows_with_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[float] = []

    def answer(argv: list[str], *, timeout: float, **_: object) -> subprocess.CompletedProcess[str]:
        limits.append(timeout)
        return subprocess.CompletedProcess(argv, 0, '{"ended_by": ""}', "")

    monkeypatch.setattr(subprocess, "run", answer)
    for gibibytes in (8, 64):
        pinned_ceiling.search(0, MIB, gibibytes * 2**30)
    assert limits[1] - limits[0] == 56 * 2**30 / pinned_ceiling.SLOWEST
    assert limits[0] > pinned_ceiling.TIMEOUT
