"""What is planted into the simulated driver comes back: no figure here says anything about a GPU."""

from __future__ import annotations

import ctypes
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from harness.agent import gpu_node, host_memory
from harness.agent.cpus import NODES, usable_cpus
from harness.agent.cuda_errors import CudaError
from harness.agent.gpu_node import SLOTS
from harness.agent.helper import NativeHelper
from harness.agent.probes import copies_bandwidth, copies_gated, copies_paths
from harness.agent.probes.copies_overlap import hidden
from harness.agent.probes.copies_paths import CopyError, sizes
from harness.agent.task import Unavailable, Unsupported, find
from tests.agent.conftest import Plant
from tests.agent.costs import costs
from tests.agent.probes.conftest import INSTRUMENT, RunOnGpu, curve, favoured, least, metric, names
from tests.agent.trees import tree

KIB, MIB = 2**10, 2**20
COMMON = {"driver_call_seconds", *INSTRUMENT}
# Small enough for most samples to end before the system gives the processor to somebody else.
LARGEST = 256 * KIB
SMALL: dict[str, Any] = {"max_bytes": LARGEST, "growth": 16, "samples": 40, "point_seconds": 0.5}
CURVE = {"copy_seconds", "copy_enqueue_seconds", "copy_latency_seconds", "copy_bandwidth"}


def test_every_task_of_copies_is_found() -> None:
    for name in ("bandwidth", "gated", "peer", "overlap", "allocation"):
        task = find(f"copies.{name}")
        assert task is not None
        assert task.devices == ("cuda",)
    assert find("copies_bandwidth.bandwidth") is None


def test_all_probes_of_a_gpu_fit_into_a_block() -> None:
    """One invocation each, as the plan expects it: a minute and a half at most."""
    copies = ("bandwidth", "gated", "peer", "overlap", "allocation")
    driver = ("context", "launch", "sync", "graph")
    tasks = [find(name) for name in (*(f"copies.{each}" for each in copies), *(f"driver.{each}" for each in driver))]
    assert sum(task.seconds for task in tasks if task is not None) < 90


def test_sizes_are_a_series_of_two_at_least() -> None:
    assert list(sizes(1024, 4)) == [4, 16, 64, 256, 1024]
    assert list(sizes(1000, 4)) == [4, 16, 64, 256]
    assert list(sizes(1, 16, 4096)) == [4096, 65536]


def test_every_path_has_its_curve(run_on_gpu: RunOnGpu, plant: Plant, loop: str) -> None:
    plant()
    outcome = run_on_gpu("copies.bandwidth", **SMALL)
    assert names(outcome) == CURVE | COMMON
    paths = {(each.dims["direction"], each.dims["memory"]) for each in outcome.metrics if each.name == "copy_seconds"}
    one_way = {(direction, memory) for direction in ("h2d", "d2h") for memory in ("pinned", "pageable")}
    assert paths == one_way | {("d2d", "device"), ("both", "pinned"), ("both", "pageable")}
    copied = [each for each in outcome.metrics if each.name == "copy_seconds"]
    assert {each.dims["bytes"] for each in copied} == {4, 64, KIB, 16 * KIB, LARGEST}
    assert all(each.warmup == 1 and len(each.samples) >= 4 for each in copied)
    assert {each.dims["loop"] for each in outcome.metrics} == {loop}
    assert (outcome.status, outcome.versions["gpu"]) == ("ok", "Simulated GPU")


@pytest.mark.parametrize("factor", [1, 2])
def test_latency_and_bandwidth_of_each_path_come_back(run_on_gpu: RunOnGpu, plant: Plant, factor: int) -> None:
    """Each path its own: microseconds times `factor`, and GB/s through it."""
    planted = {
        ("h2d", "pinned"): (100 * factor, 1.2 / factor),
        ("d2h", "pinned"): (130 * factor, 1.0 / factor),
        ("d2d", "device"): (160 * factor, 1.4 / factor),
        ("h2d", "pageable"): (190 * factor, 0.8 / factor),
        ("d2h", "pageable"): (190 * factor, 0.6 / factor),
    }
    plant(
        **{f"{way}_latency_ns": 1e3 * planted[way, memory][0] for way, memory in list(planted)[:3]},
        **{f"{way}_gbps": planted[way, memory][1] for way, memory in list(planted)[:3]},
        pageable_latency_ns=1e3 * planted["h2d", "pageable"][0],
        pageable_h2d_gbps=planted["h2d", "pageable"][1],
        pageable_d2h_gbps=planted["d2h", "pageable"][1],
        copy_submit_ns=0,
        sync_spin_ns=0,
    )
    outcome = run_on_gpu("copies.bandwidth", **SMALL)
    for (direction, memory), (microseconds, gbps) in planted.items():
        dims = {"direction": direction, "memory": memory}
        found = curve(outcome, "copy_seconds", "bytes", min, **dims)
        assert found.intercept == pytest.approx(1e-6 * microseconds, rel=0.05)
        assert 1 / found.slope == pytest.approx(1e9 * gbps, rel=0.05)
        reported = curve(outcome, "copy_seconds", "bytes", median, **dims)
        latency = metric(outcome, "copy_latency_seconds", up_to_bytes=LARGEST, **dims)
        assert latency.samples == (reported.intercept,)
        rate = metric(outcome, "copy_bandwidth", bytes=LARGEST, **dims)  # the latency is in it
        assert max(rate.samples[1:]) == pytest.approx(
            LARGEST / (1e-6 * microseconds + LARGEST / (1e9 * gbps)), rel=0.05
        )


@pytest.mark.parametrize("gbps", [0.5, 1.0])
def test_each_large_copy_has_its_own_bandwidth(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch, gbps: float
) -> None:
    """At a fixed size, and not the slope over all: a cache that speeds up small copies must not weigh in it."""
    monkeypatch.setattr(copies_paths, "LARGE", 16 * KIB)
    plant(d2h_gbps=gbps, d2h_latency_ns=100_000, copy_submit_ns=0, sync_spin_ns=0)
    outcome = run_on_gpu("copies.bandwidth", **SMALL)
    dims = {"direction": "d2h", "memory": "pinned"}
    rates = [each for each in outcome.metrics if each.name == "copy_bandwidth" and dims.items() <= each.dims.items()]
    assert {each.dims["bytes"] for each in rates} == {16 * KIB, LARGEST}
    for each in rates:
        size = int(each.dims["bytes"])
        seconds = metric(outcome, "copy_seconds", bytes=size, **dims)
        assert each.samples == tuple(size / one for one in seconds.samples)
        assert (each.warmup, each.unit, each.better) == (1, "B/s", "higher")
        assert max(each.samples[1:]) == pytest.approx(size / (1e-4 + size / (1e9 * gbps)), rel=0.05)


@pytest.mark.parametrize("duplex", [1.0, 0.5])
def test_both_ways_at_once_share_what_they_share(run_on_gpu: RunOnGpu, plant: Plant, duplex: float) -> None:
    plant(h2d_gbps=1, d2h_gbps=1, duplex=duplex, h2d_latency_ns=0, d2h_latency_ns=0, copy_submit_ns=0, sync_spin_ns=0)
    outcome = run_on_gpu("copies.bandwidth", **SMALL)
    both = least(outcome, "copy_seconds", direction="both", memory="pinned", bytes=LARGEST)
    assert both == pytest.approx(LARGEST / 1e9 / duplex, rel=0.05)
    rate = metric(outcome, "copy_bandwidth", direction="both", memory="pinned", bytes=LARGEST)
    assert max(rate.samples[1:]) == pytest.approx(2 * duplex * 1e9, rel=0.05)  # the sum of the two


@pytest.mark.parametrize("latency_us", [60, 120])
def test_pageable_copies_run_both_ways_at_once(
    run_on_gpu: RunOnGpu, plant: Plant, native: NativeHelper, latency_us: int
) -> None:
    """One after the other they would take twice as long. Both threads must get a processor: of many samples some do."""
    plant(pageable_latency_ns=1e3 * latency_us, sync_spin_ns=0)

    def both() -> float:
        with favoured():
            outcome = run_on_gpu("copies.bandwidth", max_bytes=64, growth=16, samples=2000, point_seconds=0.5)
        return least(outcome, "copy_seconds", direction="both", memory="pageable", bytes=4)

    attempts = (both() for _ in range(8))  # the kernel may leave both on one processor for as long as an attempt takes
    found = next((seconds for seconds in attempts if seconds < 1.5e-6 * latency_us), None)
    assert found is not None, "never at once"
    assert found >= 1e-6 * latency_us


@pytest.mark.parametrize("submit_us", [100, 200])
def test_the_call_alone_is_told(run_on_gpu: RunOnGpu, plant: Plant, submit_us: int) -> None:
    plant(copy_submit_ns=1e3 * submit_us)
    outcome = run_on_gpu("copies.bandwidth", **SMALL)
    enqueued = least(outcome, "copy_enqueue_seconds", direction="h2d", memory="pinned", bytes=LARGEST)
    assert enqueued == pytest.approx(1e-6 * submit_us, rel=0.05)


def test_no_copy_is_larger_than_there_is_room_for(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(memory_mib=1)
    outcome = run_on_gpu("copies.bandwidth", **SMALL)
    assert max(int(each.dims.get("bytes", 0)) for each in outcome.metrics) == 16 * KIB
    assert "copies of up to 16384 bytes only: 0 MiB of memory may be used for each buffer" in outcome.warnings
    plant()
    monkeypatch.setattr(host_memory, "available", lambda: 8 * 16 * KIB)
    outcome = run_on_gpu("copies.bandwidth", **SMALL)
    assert max(int(each.dims.get("bytes", 0)) for each in outcome.metrics) == 16 * KIB


@pytest.mark.parametrize(("wall_mib", "most"), [(1, 256 * KIB), (8, 4 * MIB)])
def test_a_pinned_wall_limits_the_copies(run_on_gpu: RunOnGpu, plant: Plant, wall_mib: int, most: int) -> None:
    plant(pinned_wall_mib=wall_mib)
    outcome = run_on_gpu("copies.bandwidth", **{**SMALL, "max_bytes": 64 * MIB, "point_seconds": 0.01})
    pinned = [each for each in outcome.metrics if each.dims.get("memory") == "pinned"]
    assert max(int(each.dims.get("bytes", 0)) for each in pinned) == most
    assert outcome.status == "limited"
    assert f"pinned copies of up to {most} bytes only" in outcome.reason
    pageable = [each for each in outcome.metrics if each.dims.get("memory") == "pageable"]
    assert max(int(each.dims.get("bytes", 0)) for each in pageable) == 64 * MIB


def test_no_pinned_memory_at_all_is_out_of_memory(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(fail=("cuMemHostAlloc:2",))
    with pytest.raises(MemoryError, match=r"cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY"):
        run_on_gpu("copies.bandwidth", **SMALL)


def test_a_copy_that_brings_something_else_counts_for_nothing(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant()
    monkeypatch.setattr(ctypes, "string_at", lambda address, size: b"something else")
    with pytest.raises(CopyError, match="did not come back as they were sent"):
        run_on_gpu("copies.bandwidth", **SMALL)


def test_a_device_that_is_lost_in_the_middle_is_a_failure(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(fail=("cuMemcpyDtoHAsync_v2:700:100",))
    with pytest.raises(CudaError, match="CUDA_ERROR_ILLEGAL_ADDRESS") as raised:
        run_on_gpu("copies.bandwidth", **SMALL)
    assert raised.value.lost


GATED: dict[str, Any] = {"max_bytes": MIB, "samples": 15, "point_seconds": 0.2}


@pytest.mark.parametrize(("submit_us", "latency_us", "gbps"), [(100, 10, 1.0), (300, 20, 0.5)])
def test_the_gate_keeps_the_drivers_path_out(
    run_on_gpu: RunOnGpu, plant: Plant, loop: str, submit_us: int, latency_us: int, gbps: float
) -> None:
    plant(copy_submit_ns=1e3 * submit_us, h2d_latency_ns=1e3 * latency_us, h2d_gbps=gbps, sync_spin_ns=0)
    outcome = run_on_gpu("copies.gated", **GATED)
    assert names(outcome) == {"gated_seconds", "ungated_seconds", "driver_path_seconds", "gated_bandwidth"} | COMMON
    device = 1e-6 * latency_us + MIB / (gbps * 1e9)
    for copies in (1, copies_gated.ROW):
        gated = least(outcome, "gated_seconds", direction="h2d", bytes=MIB, copies=copies, loop=loop)
        assert gated == pytest.approx(device, rel=0.01)  # the simulated device's own time: no machine disturbs it
    rate = metric(outcome, "gated_bandwidth", direction="h2d", bytes=MIB, copies=copies_gated.ROW)
    assert median(rate.samples[1:]) == pytest.approx(MIB / device, rel=0.01)
    ungated = least(outcome, "ungated_seconds", direction="h2d", bytes=MIB)
    assert ungated == costs(device + 1e-6 * submit_us, loop)
    path = least(outcome, "driver_path_seconds", direction="h2d", bytes=4)
    assert path == costs(1e-6 * submit_us, loop)


@pytest.mark.parametrize("gbps", [0.5, 1.0])
def test_a_host_of_two_nodes_is_measured_from_the_gpus_own(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gbps: float
) -> None:
    """From the other node copies take ten times as long: every sample must have been submitted beside the GPU."""
    first, last = usable_cpus()[0], usable_cpus()[-1]
    nodes = {f"{NODES}/online": "0-1", f"{NODES}/node0/cpulist": f"{last}", f"{NODES}/node1/cpulist": f"{first}"}
    files = tree(tmp_path, {**nodes, f"{SLOTS}/0000:01:00.0/numa_node": "1"})
    monkeypatch.setattr(gpu_node, "Files", lambda: files)
    plant(near_cpu=first, far_factor=0.1, h2d_gbps=gbps, h2d_latency_ns=1000)
    outcome = run_on_gpu("copies.gated", **GATED)
    row = metric(outcome, "gated_seconds", direction="h2d", bytes=MIB, copies=copies_gated.ROW)
    assert max(row.samples) == pytest.approx(1e-6 + MIB / (gbps * 1e9), rel=0.05)
    assert outcome.versions["gpu_numa_node"] == "1"


def test_a_node_that_is_not_known_is_told(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    files = tree(tmp_path, {f"{NODES}/online": "0-1", f"{SLOTS}/0000:01:00.0/numa_node": "-1"})
    monkeypatch.setattr(gpu_node, "Files", lambda: files)
    plant()
    outcome = run_on_gpu("copies.gated", **{**GATED, "max_bytes": 256, "samples": 3})
    assert outcome.versions["gpu_numa_node"] == "nothing was bound: the system says -1"
    assert any("copies may differ from one invocation to the next" in warning for warning in outcome.warnings)


@pytest.mark.parametrize("submission_us", [100, 200])
def test_the_path_of_a_driver_that_hands_over_in_batches_is_seen(
    run_on_gpu: RunOnGpu, plant: Plant, submission_us: int
) -> None:
    plant(wddm_batch=64, wddm_submit_ns=1e3 * submission_us, copy_submit_ns=0, sync_spin_ns=0, h2d_latency_ns=10_000)
    outcome = run_on_gpu("copies.gated", **{**GATED, "max_bytes": 256})
    assert least(outcome, "gated_seconds", direction="h2d", bytes=4, copies=1) == pytest.approx(10e-6, rel=0.01)
    path = least(outcome, "driver_path_seconds", direction="h2d", bytes=4)
    assert path == pytest.approx(1e-6 * submission_us, rel=0.05)


def test_a_gate_that_opens_too_soon_is_made_longer(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight calls of 300 µs outlast the first gate by far: taken as they are, the copies would not be gated."""
    plant(copy_submit_ns=300_000, h2d_latency_ns=5000, h2d_gbps=1)
    assert copies_gated.ROW * 300_000 > copies_gated.SHORTEST_GATE
    outcome = run_on_gpu("copies.gated", **{**GATED, "samples": 5})
    row = metric(outcome, "gated_seconds", direction="h2d", bytes=4, copies=copies_gated.ROW)
    assert max(row.samples) == pytest.approx(5e-6, rel=0.05)


def test_where_nothing_can_be_enqueued_behind_a_kernel_it_is_unsupported(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant()
    monkeypatch.setattr(copies_gated, "LONGEST_GATE", 400_000)
    plant(copy_submit_ns=2_000_000)
    with pytest.raises(Unsupported, match=r"a kernel of 0\.4 ms ended before .*CUDA_LAUNCH_BLOCKING"):
        run_on_gpu("copies.gated", **GATED)


PEER: dict[str, Any] = {"max_bytes": LARGEST, "growth": 16, "samples": 40, "point_seconds": 0.5}


@pytest.mark.parametrize(("latency_us", "gbps"), [(200, 1.0), (400, 0.5)])
def test_a_peer_costs_what_was_planted(
    run_on_gpu: RunOnGpu, plant: Plant, loop: str, latency_us: int, gbps: float
) -> None:
    plant(devices=2, peer=True, peer_latency_ns=1e3 * latency_us, peer_gbps=gbps, copy_submit_ns=0, sync_spin_ns=0)
    outcome = run_on_gpu("copies.peer", **PEER)
    assert names(outcome) == {"peer_seconds", "peer_latency_seconds", "peer_bandwidth"} | COMMON
    for direction in ("to", "from"):
        seconds = least(outcome, "peer_seconds", direction=direction, bytes=LARGEST, loop=loop)
        assert seconds == costs(1e-6 * latency_us + LARGEST / (gbps * 1e9), loop, calls=2)
        small = least(outcome, "peer_seconds", direction=direction, bytes=4)
        assert small == costs(1e-6 * latency_us, loop, calls=2)
        reported = curve(outcome, "peer_seconds", "bytes", median, direction=direction)
        assert metric(outcome, "peer_latency_seconds", direction=direction).samples == (reported.intercept,)
        rate = metric(outcome, "peer_bandwidth", direction=direction, bytes=LARGEST)
        assert max(rate.samples[1:]) == pytest.approx(LARGEST / seconds)
    assert not any("no peer access" in warning for warning in outcome.warnings)


def test_the_second_gpu_has_the_first_as_its_peer(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(devices=2, peer=True)
    outcome = run_on_gpu("copies.peer", device="cuda:1", **PEER)
    assert outcome.versions["gpu_uuid"].endswith("01")


def test_without_peer_access_the_copies_are_staged_and_it_says_so(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(devices=2, peer=False)
    outcome = run_on_gpu("copies.peer", **PEER)
    assert any("no peer access" in warning for warning in outcome.warnings)


def test_one_gpu_has_no_peer(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(devices=1)
    with pytest.raises(Unavailable, match="needs two GPUs and 1 is visible"):
        run_on_gpu("copies.peer")


@pytest.mark.parametrize("overlap", [1.0, 0.5, 0.0])
def test_the_share_that_hides_comes_back(run_on_gpu: RunOnGpu, plant: Plant, loop: str, overlap: float) -> None:
    plant(overlap=overlap)
    outcome = run_on_gpu("copies.overlap", compute_seconds=0.001, max_bytes=MIB, samples=40)
    times = ("compute_seconds", "alone_seconds", "overlapped_seconds")
    assert names(outcome) == {"overlap_ratio", *times} | COMMON
    for direction in ("h2d", "d2h"):
        dims = {"direction": direction, "memory": "pinned", "loop": loop}
        compute, alone, both = (least(outcome, name, **dims) for name in times)
        assert compute == pytest.approx(0.001, rel=0.05)
        assert 0.1 < alone / compute < 1.5  # about as long, where the machine lets it find that out
        assert hidden(compute, alone, both) == pytest.approx(overlap, abs=0.05)
        triples = zip(*(metric(outcome, name, **dims).samples for name in times), strict=True)
        assert metric(outcome, "overlap_ratio", **dims).samples == tuple(hidden(*each) for each in triples)


@pytest.mark.parametrize(
    ("compute", "copy", "both", "share"),
    [(2, 1, 2, 1), (2, 1, 3, 0), (2, 1, 2.5, 0.5), (1, 2, 2, 1), (1, 1, 0.9, 1), (1, 1, 2.1, 0)],
)
def test_the_share_is_of_the_shorter_one(compute: float, copy: float, both: float, share: float) -> None:
    assert hidden(compute, copy, both) == pytest.approx(share)


def test_pinned_buffers_are_given_back(run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two runs fit one after the other under a wall that holds one of them."""
    plant(pinned_wall_mib=0.5)
    for _ in range(2):
        outcome = run_on_gpu("copies.bandwidth", **SMALL)
        assert outcome.status == "ok"
    assert copies_bandwidth.WARMUP == 1
