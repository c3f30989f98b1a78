from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

from harness.agent import blocks, pagecache
from harness.agent.blocks import DIRECT, Blocks, NativeBlocks, Pass, PythonBlocks
from harness.agent.helper import NativeHelper
from harness.agent.loops import PythonLoops
from harness.agent.messages import Location
from harness.agent.probes.storage_blocks import BlockFile
from harness.agent.task import Unavailable
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.probes.throttle import throttled
from tests.agent.systems import not_on_windows

MIB = 2**20
SMALL = {"bytes": 4 * MIB, "rounds": 3}
MakeDisk = Callable[[int], Path]


def location(path: Path, name: str = "disk") -> Location:
    return Location(name=name, path=str(path))


def both(native: NativeHelper) -> tuple[Blocks, Blocks]:
    return NativeBlocks(loops=native), PythonBlocks(loops=PythonLoops())


class Read(NamedTuple):
    """One pass of reads as the file system saw it: was the file in memory before it, and after it?"""

    how: int
    before: bool
    after: bool


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Read]:
    """What every pass of reads found in the page cache and left there."""
    seen: list[Read] = []

    def watch(kind: type[NativeBlocks | PythonBlocks]) -> None:
        read = kind.read

        def watched(self: Blocks, path: Path, offsets: Sequence[int], size: int, how: int = 0, **more: float) -> Pass:
            before = pagecache.holds(path)
            result = read(self, path, offsets, size, how, **more)  # type: ignore[arg-type]
            seen.append(Read(how, before, pagecache.holds(path)))
            return result

        monkeypatch.setattr(kind, "read", watched)

    watch(NativeBlocks)
    watch(PythonBlocks)
    return seen


def test_sequential_measures_every_way(run_task: RunTask, loop: str, ext4_disk: MakeDisk) -> None:
    disk = ext4_disk(64)
    outcome = run_task("storage.sequential", locations=[location(disk)], **SMALL)
    assert names(outcome) == {"write_bandwidth", "final_fsync_seconds", "read_bandwidth", *INSTRUMENT}
    assert not [text for text in outcome.warnings if "location" in text]
    for cache in ("warm", "cold", "direct"):
        read = metric(outcome, "read_bandwidth", location="disk", cache=cache, loop=loop)
        assert (len(read.samples), read.warmup, read.unit, read.better) == (4, 1, "B/s", "higher")
        assert all(1e5 < rate < 1e12 for rate in read.samples)
    for cache in ("buffered", "direct"):
        calls = metric(outcome, "write_bandwidth", cache=cache, sync="none")
        synced = metric(outcome, "write_bandwidth", cache=cache, sync="fsync")
        fsync = metric(outcome, "final_fsync_seconds", cache=cache)
        assert (fsync.unit, fsync.better) == ("s", "lower")
        for call, whole, sync in zip(calls.samples, synced.samples, fsync.samples, strict=True):
            assert 4 * MIB / call + sync == pytest.approx(4 * MIB / whole)
    assert [path.name for path in disk.iterdir()] == ["lost+found"]


def test_prefetch_is_the_ratio_of_two_bandwidths(run_task: RunTask, loop: str, ext4_disk: MakeDisk) -> None:
    outcome = run_task("storage.prefetch", locations=[location(ext4_disk(64))], **SMALL)
    assert names(outcome) == {"read_bandwidth", "read_ahead_gain", *INSTRUMENT}
    gain = metric(outcome, "read_ahead_gain", location="disk", cache="cold", loop=loop)
    assert (len(gain.samples), gain.warmup, gain.unit, gain.better) == (4, 1, "ratio", "higher")
    ordered, scattered = (metric(outcome, "read_bandwidth", order=order) for order in ("sequential", "random"))
    assert gain.samples == pytest.approx([a / b for a, b in zip(ordered.samples, scattered.samples, strict=True)])


def test_read_ahead_helps_and_its_absence_is_seen(
    run_task: RunTask, native: NativeHelper, ext4_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel merges what it reads ahead; where reads are limited by number, that is the whole gain."""
    disk = ext4_disk(64)
    params = {"bytes": 4 * MIB, "block_bytes": 4096, "rounds": 2, "pass_seconds": 0.4}

    def gain() -> float:
        with throttled(disk, reads_per_second=500):
            outcome = run_task("storage.prefetch", locations=[location(disk)], **params)
        found = metric(outcome, "read_ahead_gain")
        return median(found.samples[found.warmup :])

    assert gain() > 3
    monkeypatch.setattr(BlockFile, "in_order", property(_backwards))
    assert 0.5 < gain() < 2


def _backwards(file: BlockFile) -> Sequence[int]:
    """What no kernel reads ahead for."""
    return range(file.bytes - file.size, -1, -file.size)


def test_cold_is_cold_and_warm_is_warm(run_task: RunTask, loop: str, ext4_disk: MakeDisk, reads: list[Read]) -> None:
    run_task("storage.sequential", locations=[location(ext4_disk(64))], **SMALL)
    passes = 4
    assert reads[:passes] == [Read(0, before=True, after=True)] * passes
    assert reads[passes : 2 * passes] == [Read(0, before=False, after=True)] * passes
    assert reads[2 * passes :] == [Read(DIRECT, before=False, after=False)] * passes


def test_both_orders_of_prefetch_are_cold(run_task: RunTask, loop: str, ext4_disk: MakeDisk, reads: list[Read]) -> None:
    run_task("storage.prefetch", locations=[location(ext4_disk(64))], **SMALL)
    assert reads == [Read(0, before=False, after=True)] * 8


def test_a_slower_disk_is_seen_and_memory_is_not_slower(run_task: RunTask, loop: str, ext4_disk: MakeDisk) -> None:
    """A planted bandwidth: reads from the disk have it, reads from memory don't."""
    disk, planted = ext4_disk(64), 10e6
    with throttled(disk, bytes_per_second=int(planted)):
        outcome = run_task("storage.sequential", locations=[location(disk)], bytes=8 * MIB, rounds=2)
    for cache in ("cold", "direct"):
        read = metric(outcome, "read_bandwidth", cache=cache)
        assert median(read.samples[read.warmup :]) == pytest.approx(planted, rel=0.1)
    warm = metric(outcome, "read_bandwidth", cache="warm")
    assert median(warm.samples[warm.warmup :]) > 5 * planted


def test_a_dropped_file_is_read_from_the_disk(native: NativeHelper, ext4_disk: MakeDisk) -> None:
    """Under a planted bandwidth, dropping the pages alone makes the difference."""
    disk = ext4_disk(64)
    path = disk / "blocks"
    timed, offsets = NativeBlocks(loops=native), range(0, 4 * MIB, MIB)
    timed.write(path, 4, MIB)
    with throttled(disk, bytes_per_second=10_000_000):
        warm = timed.read(path, offsets, MIB).seconds
        assert pagecache.drop([path]) == 0
        cold = timed.read(path, offsets, MIB).seconds
        again = timed.read(path, offsets, MIB).seconds
    assert cold > 0.2 > 5 * max(warm, again)


def test_a_memory_location_has_neither_cold_reads_nor_direct_io(
    run_task: RunTask, loop: str, small_disk: MakeDisk
) -> None:
    disk = small_disk(32 * 1024)
    outcome = run_task("storage.sequential", locations=[location(disk)], **SMALL)
    assert {each.dims["cache"] for each in outcome.metrics if each.name == "read_bandwidth"} == {"warm"}
    assert {each.dims["cache"] for each in outcome.metrics if each.name == "write_bandwidth"} == {"buffered"}
    assert any("without cold reads: 1 of 1 files stay in memory" in text for text in outcome.warnings)
    assert any("without direct I/O: " in text for text in outcome.warnings)
    with pytest.raises(Unavailable, match=r"left out: 1 of 1 files stay in memory"):
        run_task("storage.prefetch", locations=[location(disk)], **SMALL)


@pytest.mark.parametrize("entry", ["storage.sequential", "storage.prefetch"])
def test_what_cannot_be_written_to_is_left_out(
    run_task: RunTask, loop: str, small_disk: MakeDisk, ext4_disk: MakeDisk, tmp_path: Path, entry: str
) -> None:
    read_only = small_disk(32 * 1024)
    subprocess.run(["mount", "-o", "remount,ro", str(read_only)], check=True)
    places = [location(read_only, "sealed"), location(tmp_path / "gone", "gone"), location(ext4_disk(64))]
    outcome = run_task(entry, locations=places, **SMALL)
    assert {each.dims.get("location") for each in outcome.metrics} == {"disk", None}
    assert f"location sealed ({read_only}) left out: Read-only file system" in outcome.warnings
    assert f"location gone ({tmp_path / 'gone'}) left out: No such file or directory" in outcome.warnings


def test_too_little_room_is_told_before_the_disk_is_full(run_task: RunTask, loop: str, small_disk: MakeDisk) -> None:
    disk = small_disk(2048)
    wanted = r"left out: No space left on device: 2 MiB are free and 4 MiB for storage\.sequential .*make room, or set"
    with pytest.raises(Unavailable, match=wanted):
        run_task("storage.sequential", locations=[location(disk)], **SMALL)
    assert list(disk.iterdir()) == []


def test_a_disk_that_fills_up_meanwhile_is_left_out_and_cleaned(
    run_task: RunTask, loop: str, small_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk(2048)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**12))
    with pytest.raises(Unavailable, match="left out: No space left on device"):
        run_task("storage.sequential", locations=[location(disk)], **SMALL)
    assert list(disk.iterdir()) == []


def test_direct_io_that_goes_through_the_cache_is_none(
    run_task: RunTask, loop: str, ext4_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that takes the flag and ignores it, simulated by not passing the flag."""
    monkeypatch.setattr("harness.agent.probes.storage_blocks.DIRECT", 0)
    outcome = run_task("storage.sequential", locations=[location(ext4_disk(64))], **SMALL)
    assert any("goes through the page cache all the same" in text for text in outcome.warnings)
    assert "direct" not in {each.dims.get("cache") for each in outcome.metrics}


def test_an_interruption_leaves_nothing_behind(
    run_task: RunTask, native: NativeHelper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object, **more: object) -> Pass:
        assert list(tmp_path.glob("overhead-matrix-*/blocks"))
        raise KeyboardInterrupt

    monkeypatch.setattr(NativeBlocks, "read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_task("storage.sequential", locations=[location(tmp_path)], **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("params", [{"bytes": MIB + 1}, {"bytes": 0}, {"block_bytes": 1000}, {"block_bytes": 2 * MIB}])
def test_sizes_that_make_no_blocks_are_told(run_task: RunTask, tmp_path: Path, params: dict[str, int]) -> None:
    with pytest.raises(Unavailable, match=r"`bytes` .* change it in matrix.yaml"):
        run_task("storage.sequential", locations=[location(tmp_path)], **{"bytes": MIB, "block_bytes": MIB, **params})


@pytest.mark.parametrize("how", [0, DIRECT])
def test_what_one_loop_writes_the_other_reads(native: NativeHelper, ext4_disk: MakeDisk, how: int) -> None:
    path = ext4_disk(16) / "blocks"
    offsets = range(0, 8 * 8192, 8192)
    for maker, finder in (both(native), both(native)[::-1]):
        written = maker.write(path, 8, 8192, how)
        assert written.writes > 0
        assert written.sync > 0
        assert path.stat().st_size == 8 * 8192
        done = finder.read(path, offsets, 8192, how)
        assert len(done.operations) == 8
        assert sum(done.operations) == pytest.approx(done.seconds, rel=1e-6)
        path.unlink()


@not_on_windows("there is no Python loop for it")
def test_content_cannot_be_compressed_or_shared_away(native: NativeHelper, tmp_path: Path) -> None:
    for timed in both(native):
        path = tmp_path / type(timed).__name__
        timed.write(path, 2, 8192)
        content = path.read_bytes()
        parts = {content[at : at + 4096] for at in range(0, 2 * 8192, 4096)}
        assert len(parts) == 4
        assert all(len(set(part)) > 200 for part in parts)


@not_on_windows("there is no Python loop for it")
def test_what_is_not_as_written_is_an_error(native: NativeHelper, tmp_path: Path) -> None:
    for timed in both(native):
        path = tmp_path / type(timed).__name__
        timed.write(path, 4, 4096)
        with pytest.raises(FileExistsError):
            timed.write(path, 4, 4096)
        os.truncate(path, 3 * 4096)
        with pytest.raises(OSError, match="Errno 5"):
            timed.read(path, range(0, 4 * 4096, 4096), 4096)
        os.truncate(path, 4 * 4096)  # a hole where a block was
        with pytest.raises(OSError, match="Errno 5"):
            timed.read(path, [3 * 4096], 4096)


@not_on_windows("there is no Python loop for it")
def test_no_read_begins_after_the_limit(native: NativeHelper, tmp_path: Path) -> None:
    offsets = list(range(0, 64 * MIB, 64 * 1024)) * 20
    for timed in both(native):
        path = tmp_path / type(timed).__name__
        timed.write(path, 64, MIB)
        done = timed.read(path, offsets, 64 * 1024, limit=0.02)
        assert 0 < len(done.operations) < len(offsets)
        assert done.seconds - done.operations[-1] < 0.02 <= done.seconds


@not_on_windows("there is no Python loop for it")
def test_the_loops_are_chosen_like_all_others(native: NativeHelper, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(blocks.blocks("storage.x"), NativeBlocks)
    monkeypatch.setattr("harness.agent.helper.load", lambda: None)
    assert isinstance(blocks.blocks("storage.x"), PythonBlocks)
    with pytest.raises(Unavailable, match="needs the native helper"):
        blocks.native_blocks("storage.x")
