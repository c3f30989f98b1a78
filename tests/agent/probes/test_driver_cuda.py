"""What is planted into the simulated driver comes back: no figure here says anything about a GPU."""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from harness.agent import ptx
from harness.agent.loops import ABSENT
from harness.agent.probes import driver_context, driver_cuda
from harness.agent.task import Outcome, Unavailable, find
from tests.agent.conftest import Plant
from tests.agent.costs import costs
from tests.agent.probes.conftest import INSTRUMENT, RunOnGpu, curve, least, metric, names

SMALL: dict[str, Any] = {"launches": 32, "samples": 30, "launches_per_point": 1000, "calls": 300}
COMMON = {"driver_call_seconds", *INSTRUMENT}


def launched(run_on_gpu: RunOnGpu, **params: int) -> Outcome:
    return run_on_gpu("driver.launch", **{**SMALL, **params})


def test_every_task_of_the_driver_is_found() -> None:
    for name in ("context", "launch", "sync", "graph"):
        task = find(f"driver.{name}")
        assert task is not None
        assert task.devices == ("cuda",)
    assert find("driver_cuda.launch") is None


@pytest.mark.parametrize("launch_us", [20, 40])
def test_a_launch_costs_what_was_planted(run_on_gpu: RunOnGpu, plant: Plant, loop: str, launch_us: int) -> None:
    # The interpreter's part is several microseconds: there the planted cost must be larger to be found within 5%.
    planted = 1e-6 * launch_us * (10 if loop == "python" else 1)
    plant(launch_ns=1e9 * planted)
    outcome = launched(run_on_gpu, launches=2, samples=60)
    assert least(outcome, "launch_call_seconds", flush=False) == costs(planted, loop)
    assert least(outcome, "enqueue_seconds", flush=False, launches=2) == costs(2 * planted, loop, calls=2)
    assert {each.dims["loop"] for each in outcome.metrics} == {loop}
    assert (ABSENT in outcome.warnings) == (loop == "python")


def test_there_is_a_curve_for_each_way(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant()
    outcome = launched(run_on_gpu)
    curve = {"launch_call_seconds", "enqueue_seconds", "complete_seconds", "launch_slope_seconds"}
    assert names(outcome) == curve | {"launch_intercept_seconds"} | COMMON
    for flush in (False, True):
        for launches in (1, 2, 4, 8, 16, 32):
            enqueued = metric(outcome, "enqueue_seconds", flush=flush, launches=launches)
            assert (len(enqueued.samples), enqueued.warmup) == (32 if launches <= 32 else 12, 2)
    assert outcome.versions["gpu"] == "Simulated GPU"
    assert outcome.versions["gpu_uuid"].startswith("GPU-")
    assert (outcome.versions["cuda_driver"], outcome.status) == ("12.8", "ok")


@pytest.mark.parametrize(("launch_us", "sync_us"), [(20, 100), (40, 300)])
def test_the_curve_has_the_planted_slope_and_intercept(
    run_on_gpu: RunOnGpu, plant: Plant, launch_us: int, sync_us: int
) -> None:
    plant(launch_ns=1e3 * launch_us, sync_spin_ns=1e3 * sync_us, kernel_ns=1000)
    outcome = launched(run_on_gpu, launches=16)
    planted = curve(outcome, "complete_seconds", "launches", min, flush=False)
    assert planted.slope == pytest.approx(1e-6 * launch_us, rel=0.05)
    assert planted.intercept == pytest.approx(1e-6 * (1 + sync_us), rel=0.05)
    for flush in (False, True):
        reported = curve(outcome, "complete_seconds", "launches", median, flush=flush)
        assert metric(outcome, "launch_slope_seconds", flush=flush).samples == (reported.slope,)
        assert metric(outcome, "launch_intercept_seconds", flush=flush).samples == (reported.intercept,)


@pytest.mark.parametrize("batch", [4, 8])
def test_batches_of_wddm_are_seen(run_on_gpu: RunOnGpu, plant: Plant, batch: int) -> None:
    """Every batch-th launch pays for the submission; with a flush after each, every launch does."""
    plant(launch_ns=10_000, wddm_batch=batch, wddm_submit_ns=400_000, query_ns=0, kernel_ns=1000)
    outcome = launched(run_on_gpu, launches=16)
    calls = metric(outcome, "launch_call_seconds", flush=False)
    paying = sum(seconds > 200e-6 for seconds in calls.samples) / len(calls.samples)
    assert paying == pytest.approx(1 / batch, rel=0.2)
    assert least(outcome, "launch_call_seconds", flush=True) == pytest.approx(410e-6, rel=0.05)
    before, after = (least(outcome, "enqueue_seconds", flush=False, launches=n) for n in (batch // 2, batch))
    assert before < 100e-6
    assert after == pytest.approx(batch * 10e-6 + 400e-6, rel=0.05)


@pytest.mark.parametrize("planted", [(100, 200, 400), (300, 150, 250)])
def test_each_way_to_wait_has_its_cost(
    run_on_gpu: RunOnGpu, plant: Plant, loop: str, planted: tuple[int, int, int]
) -> None:
    ways = dict(zip(("spin", "yield", "blocking"), planted, strict=True))
    plant(
        launch_ns=100_000,
        kernel_ns=200_000,
        sync_spin_ns=1e3 * ways["spin"],
        sync_yield_ns=1e3 * ways["yield"],
        sync_block_ns=1e3 * ways["blocking"],
    )
    outcome = run_on_gpu("driver.sync", samples=60, warmup=5)
    assert names(outcome) == {"round_trip_seconds"} | COMMON
    for sync, cost in ways.items():
        trip = metric(outcome, "round_trip_seconds", sync=sync, loop=loop)
        assert (len(trip.samples), trip.warmup) == (65, 5)
        assert least(outcome, "round_trip_seconds", sync=sync) == costs(1e-6 * (300 + cost), loop, calls=2)


@pytest.mark.parametrize(("launch_us", "node_us", "instantiate_us"), [(200, 10, 300), (400, 15, 600)])
def test_a_graph_costs_what_was_planted(
    run_on_gpu: RunOnGpu, plant: Plant, loop: str, launch_us: int, node_us: int, instantiate_us: int
) -> None:
    plant(
        graph_launch_ns=1e3 * launch_us,
        graph_node_ns=1e3 * node_us,
        graph_instantiate_ns=1e3 * instantiate_us,
        kernel_ns=10_000,
        sync_spin_ns=0,
    )
    outcome = run_on_gpu("driver.graph", launches=16, samples=40, launches_per_point=2000)
    assert least(outcome, "graph_enqueue_seconds", nodes=16, loop=loop) == costs(1e-6 * launch_us, loop)
    complete = 1e-6 * (launch_us + 16 * (node_us + 10))
    assert least(outcome, "graph_complete_seconds", nodes=16) == costs(complete, loop, calls=2)
    instantiation = least(outcome, "graph_instantiate_seconds", nodes=16)
    assert instantiation == costs(1e-6 * instantiate_us, loop)
    nodes = {each.dims["nodes"] for each in outcome.metrics if each.name == "graph_complete_seconds"}
    assert nodes == {1, 4, 16}
    assert {"graph_slope_seconds", "graph_intercept_seconds"} <= names(outcome)


@pytest.mark.parametrize("node_us", [20, 60])
def test_the_slope_over_the_nodes_is_that_of_the_device(run_on_gpu: RunOnGpu, plant: Plant, node_us: int) -> None:
    plant(graph_node_ns=1e3 * node_us, kernel_ns=10_000)
    outcome = run_on_gpu("driver.graph", launches=16, samples=40, launches_per_point=1000)
    planted = curve(outcome, "graph_complete_seconds", "nodes", min)
    assert planted.slope == pytest.approx(1e-6 * (node_us + 10), rel=0.05)
    reported = curve(outcome, "graph_complete_seconds", "nodes", median)
    assert metric(outcome, "graph_slope_seconds").samples == (reported.slope,)


@pytest.mark.parametrize(("create_ms", "destroy_ms", "load_ms", "jit_ms"), [(4.0, 2.0, 1.0, 2.0), (6.0, 3.0, 1.5, 4.0)])
def test_a_context_costs_what_was_planted(
    run_on_gpu: RunOnGpu, plant: Plant, create_ms: float, destroy_ms: float, load_ms: float, jit_ms: float
) -> None:
    plant(
        context_create_us=1e3 * create_ms,
        context_destroy_us=1e3 * destroy_ms,
        module_load_us=1e3 * load_ms,
        jit_us=1e3 * jit_ms,
        first_context_us=30_000,
        first_jit_us=20_000,
    )
    outcome = run_on_gpu("driver.context", samples=60)
    created = metric(outcome, "context_create_seconds")
    assert (len(created.samples), created.warmup) == (61, 1)
    planted = {"context_create": create_ms, "context_destroy": destroy_ms, "jit": load_ms + jit_ms}
    for name, milliseconds in planted.items():
        assert least(outcome, f"{name}_seconds") == costs(1e-3 * milliseconds, "python")
    assert least(outcome, "module_load_seconds") == costs(1e-3 * load_ms, "python")
    assert len(metric(outcome, "init_seconds").samples) == 1


@pytest.mark.parametrize(("context_ms", "jit_ms"), [(100, 60), (200, 150)])
def test_the_first_of_a_process_is_a_value_of_its_own(
    run_on_gpu: RunOnGpu, plant: Plant, context_ms: int, jit_ms: int
) -> None:
    """Planted anew it is a process that has had none: one value each, of which a busy machine spoils some."""
    outcomes = []
    for _ in range(8):
        plant(first_context_us=1e3 * context_ms, first_jit_us=1e3 * jit_ms, context_create_us=0, jit_us=0)
        outcomes.append(run_on_gpu("driver.context", samples=1))
    for name, milliseconds in (("first_context", context_ms), ("first_jit", jit_ms)):
        firsts = [metric(outcome, f"{name}_seconds") for outcome in outcomes]
        assert {(len(first.samples), first.warmup) for first in firsts} == {(1, 0)}
        assert min(first.samples[0] for first in firsts) == pytest.approx(1e-3 * milliseconds, rel=0.05)
    outcome = outcomes[0]
    assert metric(outcome, "context_create_seconds").samples[0] == metric(outcome, "first_context_seconds").samples[0]
    assert metric(outcome, "jit_seconds").samples[0] == metric(outcome, "first_jit_seconds").samples[0]
    assert least(outcome, "context_create_seconds") < 1e-3 * context_ms / 2


@pytest.mark.parametrize("disabled", ["0", "1"])
def test_the_users_cache_decides_nothing_and_is_left_alone(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, disabled: str
) -> None:
    """Without a cache, loading the same again would compile again."""
    monkeypatch.setenv(driver_context.CACHE, str(tmp_path))
    monkeypatch.setenv("CUDA_CACHE_DISABLE", disabled)
    plant(module_load_us=4000, jit_us=16000)
    outcome = run_on_gpu("driver.context", samples=20)
    assert least(outcome, "jit_seconds") == pytest.approx(20e-3, rel=0.05)
    assert least(outcome, "module_load_seconds") == pytest.approx(4e-3, rel=0.05)
    assert list(tmp_path.iterdir()) == []


def test_each_text_to_compile_is_another(run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(context_create_us=0, context_destroy_us=0)
    numbers: list[int] = []
    unseen = ptx.unseen

    def recorded(number: int) -> str:
        numbers.append(number)
        return unseen(number)

    monkeypatch.setattr(ptx, "unseen", recorded)
    run_on_gpu("driver.context", samples=3)
    assert len(set(numbers)) == len(numbers) == 4


@pytest.mark.parametrize("before", [None, "/somewhere"])
def test_the_drivers_cache_is_private_meanwhile(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv(driver_context.CACHE, raising=False)
    for name in driver_context.COMPILING:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_CACHE_DISABLE", "1")
    if before is not None:
        monkeypatch.setenv(driver_context.CACHE, before)
    with driver_context._private_cache():
        folder = Path(os.environ[driver_context.CACHE])
        assert folder.is_dir()
        assert {name: os.environ[name] for name in driver_context.COMPILING} == driver_context.COMPILING
        (folder / "compiled").touch()
    assert not folder.exists()
    assert os.environ.get(driver_context.CACHE) == before
    assert {name: os.environ.get(name) for name in driver_context.COMPILING} == {
        **dict.fromkeys(driver_context.COMPILING),
        "CUDA_CACHE_DISABLE": "1",
    }


def test_a_fit_that_gives_no_cost_is_told(run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant()
    monkeypatch.setattr(driver_cuda, "fitted", lambda points, what: ({"slope": 1e-6}, [f"{what}: no intercept"]))
    outcome = launched(run_on_gpu)
    assert "launch_intercept_seconds" not in names(outcome)
    assert "launch: no intercept" in outcome.warnings


@pytest.mark.parametrize("task", ["launch", "sync", "graph", "context"])
def test_without_a_driver_it_is_unavailable(run_on_gpu: RunOnGpu, monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    monkeypatch.setattr("harness.agent.cuda.library_names", lambda: ("libnone.so.1",))
    with pytest.raises(Unavailable, match=r"no CUDA driver: .*--gpus all"):
        run_on_gpu(f"driver.{task}")
