"""What is taken from a platform is seen by the probe that is about it: half a CPU, a quiet core, a disk's speed.

The least sample without a plant is what an idle machine gives; other programs only lengthen the planted side's mean.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import mean, median

import pytest

from harness.agent.cpus import cpu_to_pin, on_cpus
from harness.agent.helper import NativeHelper
from harness.agent.messages import Location, Scalar
from harness.agent.probes import storage_small_files
from tests.agent.planted import busy_cpu, cpu_limit
from tests.agent.probes.conftest import RunTask, metric
from tests.agent.probes.throttle import throttled
from tests.agent.systems import not_on_windows

pytestmark = not_on_windows("the effects are planted by Linux's means")

MIB = 2**20
BURNERS = 3
READS = 200  # a second
FILES = 60


@pytest.mark.parametrize(
    ("entry", "name", "dims", "params"),
    [
        ("memory.bandwidth", "triad_bandwidth", {"threads": 1}, {"array_bytes": 32 * MIB, "samples": 40}),
        (
            "memory.latency",
            "load_seconds",
            {"working_set": 4096},
            {"max_bytes": 4096, "loads": 500_000, "samples": 900},
        ),
        ("memory.faults", "fault_seconds", {"page_bytes": 4096}, {"region_bytes": 16 * MIB, "samples": 15}),
        ("memory.affinity", "work_seconds", {"pinned": False}, {"loads": 10_000_000, "samples": 15}),
        (
            "driver.switch",  # not by a competing load: the kernel prefers who has just slept to who never does
            "switch_seconds",
            {"between": "threads", "by": "pipe", "pinned": True},
            {"samples": 30, "calls": 1000},
        ),
    ],
)
def test_a_part_of_a_cpu_is_seen(
    run_task: RunTask,
    native: NativeHelper,
    entry: str,
    name: str,
    dims: dict[str, Scalar],
    params: dict[str, Scalar],
) -> None:
    """In the mean: samples that a freeze of 50 ms does not meet are as before. Rates are put as seconds."""

    def seconds(samples: tuple[float, ...]) -> list[float]:
        return [1 / each if name.endswith("bandwidth") else each for each in samples]

    usual = min(min(seconds(metric(run_task(entry, locations=(), **params), name, **dims).samples)) for _ in range(2))
    share = 0.2 if entry == "memory.faults" else 0.5  # what a fault costs varies with what else the host does
    with cpu_limit(share):
        limited = mean(seconds(metric(run_task(entry, locations=(), **params), name, **dims).samples))
    assert 1.5 < limited / usual < 30


def test_a_competing_load_on_its_core_is_seen_by_the_start_of_threads_and_processes(
    native: NativeHelper,
) -> None:
    """By the probe's own loops: all kinds in one run, with a fork of this large process, would take a minute."""
    with on_cpus([cpu_to_pin()]):
        for spawn, count in ((native.thread, 20_000), (native.vfork, 8000), (native.fork, 60)):
            usual = min(spawn(count))
            with busy_cpu(cpu_to_pin(), BURNERS):
                loaded = mean(spawn(count))
            assert loaded > 1.5 * usual


def test_small_files_are_slow_on_a_slow_disk_when_they_are_cold(
    run_task: RunTask, loop: str, ext4_disk: Callable[..., Path]
) -> None:
    disk = ext4_disk(64)
    with throttled(disk, reads_per_second=READS):
        cold, warm = _small_files(run_task, disk)
    assert 0.5 / READS < cold < 3 / READS
    assert warm < 0.3 / READS


def test_cold_small_files_are_cold_because_their_pages_were_dropped(
    run_task: RunTask, loop: str, ext4_disk: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, with a drop that drops nothing: then the slow disk is not read."""
    disk = ext4_disk(64)
    monkeypatch.setattr(storage_small_files, "drop_pages", lambda _paths: None)
    with throttled(disk, reads_per_second=READS):
        cold, _warm = _small_files(run_task, disk)
    assert cold < 0.3 / READS


def _small_files(run_task: RunTask, disk: Path) -> tuple[float, float]:
    """Return the seconds a file of opening and reading, cold and warm."""
    places = [Location(name="disk", path=str(disk))]
    done = run_task("storage.small_files", locations=places, files=FILES, rounds=3)
    cold, warm = (metric(done, "open_read_seconds", cache=cache) for cache in ("cold", "warm"))
    return median(cold.samples[cold.warmup :]), median(warm.samples[warm.warmup :])
