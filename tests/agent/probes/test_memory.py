from __future__ import annotations

import errno
import time

import numpy as np
import pytest

from harness.agent import capacity
from harness.agent.capacity import MIB
from harness.agent.cpus import NodePair, usable_cpus
from harness.agent.helper import NativeHelper
from harness.agent.probes import memory
from harness.agent.task import Unavailable
from tests.agent.probes.conftest import RunTask, metric
from tests.agent.systems import not_on_windows

SIZE = 32 * MIB


def numpy_triad_bandwidth(size: int) -> float:
    """STREAM's triad by numpy in place: it passes a twice more than the loop, 16 bytes an element."""
    a, b, c = (np.full(size // 8, value) for value in (0.0, 1.0, 2.0))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        np.multiply(c, 3.0, out=a)
        np.add(a, b, out=a)
        seconds.append(time.perf_counter() - start)
    assert a[0] == 7.0
    return 5 * size / min(seconds)


def test_triad_agrees_with_numpy(run_task: RunTask, native: NativeHelper) -> None:
    outcome = run_task("memory.bandwidth", array_bytes=SIZE, samples=5, warmup=1)
    triad = metric(outcome, "triad_bandwidth", threads=1)
    assert (triad.unit, triad.better, len(triad.samples), triad.warmup) == ("B/s", "higher", 6, 1)
    assert 1 / 3 < max(triad.samples) / numpy_triad_bandwidth(SIZE) < 3


@pytest.mark.parametrize(
    ("cpus", "counts"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (8, [1, 2, 4, 8]), (12, [1, 2, 4, 8, 12])]
)
def test_triad_doubles_its_threads_up_to_all_cpus(cpus: int, counts: list[int]) -> None:
    assert memory.thread_counts(cpus) == counts


def test_triad_runs_with_one_thread_and_with_all(run_task: RunTask, native: NativeHelper) -> None:
    outcome = run_task("memory.bandwidth", array_bytes=SIZE, samples=2, warmup=0)
    threads = {each.dims["threads"] for each in outcome.metrics if each.name == "triad_bandwidth"}
    assert threads == set(memory.thread_counts(len(usable_cpus())))


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_triad_splits_any_size_over_any_threads(native: NativeHelper, threads: int) -> None:
    assert len(native.triad(3, 8 * 1001, threads)) == 3  # the helper checks every element


def test_a_pass_over_twice_the_memory_takes_twice_as_long(native: NativeHelper) -> None:
    """Both far beyond any cache, interleaved, of several passes the fastest: some meet no other program."""
    pairs = [[min(native.triad(6, size, 1)) for size in (64 * MIB, 128 * MIB)] for _ in range(5)]
    once, twice = (min(seconds) for seconds in zip(*pairs, strict=True))
    assert twice / once == pytest.approx(2, rel=0.3)


def test_passes_fill_the_time_that_they_take(native: NativeHelper) -> None:
    """With more threads than CPUs, one that wakes late must not make a pass look shorter than it was."""
    start = time.perf_counter()
    passes = sum(native.triad(2000, 7 * 8000, 7))
    assert 0.8 < passes / (time.perf_counter() - start) <= 1


@not_on_windows("Wine 8 says of no page on which node it lies")
def test_nodes_are_measured_in_pairs_and_one_that_is_refused_says_why(
    run_task: RunTask, native: NativeHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made-up pairs; the real machine has node 0 alone, so what is asked of node 1000 is refused."""
    cpus = tuple(usable_cpus())
    pairs = [NodePair(cpu_node=0, cpus=cpus, memory_node=node) for node in (0, 1000)]
    monkeypatch.setattr(memory, "node_pairs", lambda files, usable: pairs)
    outcome = run_task("memory.bandwidth", array_bytes=SIZE, samples=2, warmup=0)
    local = metric(outcome, "triad_bandwidth", cpu_node=0, memory_node=0, access="local")
    assert local.dims["threads"] == len(cpus)
    assert any("CPUs of node 0 with memory of node 1000: [Errno 22]" in each for each in outcome.warnings)


def test_arrays_smaller_than_the_threads_are_refused(native: NativeHelper) -> None:
    with pytest.raises(OSError, match="triad") as error:
        native.triad(1, 8, 2)
    assert error.value.errno == errno.EINVAL


def test_more_memory_than_there_is_makes_it_unavailable(run_task: RunTask, native: NativeHelper) -> None:
    with pytest.raises(Unavailable, match=r"set array_bytes of memory\.bandwidth in matrix\.yaml to \d+MiB or less"):
        run_task("memory.bandwidth", array_bytes=2**50)


def test_a_refused_allocation_makes_it_unavailable(
    run_task: RunTask, native: NativeHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capacity, "available_memory", lambda files: None)
    with pytest.raises(Unavailable, match="set array_bytes"):
        run_task("memory.bandwidth", array_bytes=2**60)


def test_without_the_helper_it_is_unavailable(run_task: RunTask, no_native: None) -> None:
    with pytest.raises(Unavailable, match="nox -s native"):
        run_task("memory.bandwidth")
