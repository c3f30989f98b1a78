from __future__ import annotations

import errno
import time
from pathlib import Path

import numpy as np
import pytest

from harness.agent.helper import NativeHelper
from harness.agent.inspection.facts import Files
from harness.agent.probes import memory
from harness.agent.task import Unavailable
from tests.agent.probes.conftest import RunTask, metric

SIZE = 32 * memory.MIB


def write(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


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


def test_triad_runs_with_one_thread_and_with_all(run_task: RunTask, native: NativeHelper) -> None:
    outcome = run_task("memory.bandwidth", array_bytes=SIZE, samples=2, warmup=0)
    threads = {each.dims["threads"] for each in outcome.metrics if each.name == "triad_bandwidth"}
    assert threads == {1, memory.usable_cpus()}


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
def test_triad_splits_any_size_over_any_threads(native: NativeHelper, threads: int) -> None:
    assert len(native.triad(3, 8 * 1001, threads)) == 3  # the helper checks every element


def test_a_pass_over_twice_the_memory_takes_twice_as_long(native: NativeHelper) -> None:
    """Both far beyond any cache, interleaved, of several passes the fastest: some meet no other program."""
    pairs = [[min(native.triad(6, size, 1)) for size in (64 * memory.MIB, 128 * memory.MIB)] for _ in range(5)]
    once, twice = (min(seconds) for seconds in zip(*pairs, strict=True))
    assert twice / once == pytest.approx(2, rel=0.3)


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
    monkeypatch.setattr(memory, "available_memory", lambda files: None)
    with pytest.raises(Unavailable, match="set array_bytes"):
        run_task("memory.bandwidth", array_bytes=2**60)


def test_without_the_helper_it_is_unavailable(run_task: RunTask, no_native: None) -> None:
    with pytest.raises(Unavailable, match="nox -s native"):
        run_task("memory.bandwidth")


def test_the_tightest_limit_is_what_is_available(tmp_path: Path) -> None:
    assert memory.available_memory(Files(tmp_path)) is None
    write(tmp_path, "proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n")
    assert memory.available_memory(Files(tmp_path)) == 4000 * 1024
    write(tmp_path, "proc/self/cgroup", "0::/user/slice\n")
    write(tmp_path, "sys/fs/cgroup/cgroup.controllers", "memory")
    write(tmp_path, "sys/fs/cgroup/cgroup.procs", "")
    write(tmp_path, "sys/fs/cgroup/user/memory.max", "2048000\n")
    write(tmp_path, "sys/fs/cgroup/user/slice/memory.max", "max\n")
    assert memory.available_memory(Files(tmp_path)) == 2048000


def test_arrays_that_the_cache_holds_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = "sys/devices/system/cpu/cpu0/cache"
    write(tmp_path, f"{cache}/index0/size", "48K\n")
    write(tmp_path, f"{cache}/index3/size", "16384K\n")
    assert memory.last_cache(Files(tmp_path)) == 16 * memory.MIB
    monkeypatch.setattr(memory, "Files", lambda: Files(tmp_path))
    assert memory._cache_warning(64 * memory.MIB) == ()
    (warning,) = memory._cache_warning(32 * memory.MIB)
    assert "set array_bytes of memory.bandwidth in matrix.yaml to 64MiB" in warning


def test_an_unknown_cache_warns_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "Files", lambda: Files(tmp_path))
    assert memory._cache_warning(1) == ()
