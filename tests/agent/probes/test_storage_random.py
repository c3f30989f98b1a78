from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import pytest

from harness.agent import pagecache
from harness.agent.blocks import DIRECT, MAPPED, NO_READ_AHEAD, NativeBlocks, Pass
from harness.agent.helper import NativeHelper
from harness.agent.messages import Location
from harness.agent.probes.storage_random import LATENCIES
from harness.agent.task import Outcome, Unavailable
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.probes.throttle import throttled
from tests.agent.systems import not_on_windows

MIB = 2**20
SMALL = {"bytes": 4 * MIB, "rounds": 3, "pass_seconds": 0.05}
DEPTHS = (1, 4, 16, 32)
MakeDisk = Callable[[int], Path]


def location(path: Path, name: str = "disk") -> Location:
    return Location(name=name, path=str(path))


@pytest.fixture
def timed(native: NativeHelper) -> NativeBlocks:
    return NativeBlocks(loops=native)


def test_every_way_is_measured(run_task: RunTask, native: NativeHelper, ext4_disk: MakeDisk) -> None:
    disk = ext4_disk(64)
    outcome = run_task("storage.random", locations=[location(disk)], **SMALL)
    assert names(outcome) == {"read_iops", "read_seconds", "mapped_read_seconds", "fsync_seconds", *INSTRUMENT}
    assert outcome.warnings == ()
    for cache in ("warm", "cold", "direct"):
        for depth in DEPTHS:
            rate = metric(outcome, "read_iops", location="disk", cache=cache, in_flight=depth, loop="native")
            assert (len(rate.samples), rate.warmup, rate.unit, rate.better) == (4, 1, "1/s", "higher")
        _check_latencies(outcome, "read_seconds", cache=cache, in_flight=1)
    for cache in ("warm", "cold"):
        _check_latencies(outcome, "mapped_read_seconds", cache=cache)
    for sync in ("fsync", "fdatasync"):
        _check_latencies(outcome, "fsync_seconds", sync=sync)
    assert [path.name for path in disk.iterdir()] == ["lost+found"]


def _check_latencies(outcome: Outcome, name: str, **dims: str | int) -> None:
    found = metric(outcome, name, location="disk", **dims)
    assert (found.unit, found.better) == ("s", "lower")
    assert 0 < found.warmup <= LATENCIES
    assert found.warmup < len(found.samples) <= 4 * LATENCIES
    assert all(0 < seconds < 10 for seconds in found.samples)


def test_cold_and_direct_reads_find_nothing_in_memory(
    run_task: RunTask, native: NativeHelper, ext4_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = NativeBlocks.read, set()

    def watched(self: NativeBlocks, path: Path, offsets: Sequence[int], size: int, how: int = 0, **more: float) -> Pass:
        assert len(set(offsets)) == len(offsets)
        before = pagecache.holds(path)
        result = read(self, path, offsets, size, how, **more)  # type: ignore[arg-type]
        seen.add((how, before, pagecache.holds(path)))
        return result

    monkeypatch.setattr(NativeBlocks, "read", watched)
    run_task("storage.random", locations=[location(ext4_disk(64))], **SMALL)
    assert seen == {
        (NO_READ_AHEAD, True, True),
        (NO_READ_AHEAD | MAPPED, True, True),
        (NO_READ_AHEAD, False, True),
        (NO_READ_AHEAD | MAPPED, False, True),
        (DIRECT, False, False),
    }


def test_a_slower_disk_is_seen_and_memory_is_not_slower(
    run_task: RunTask, native: NativeHelper, ext4_disk: MakeDisk
) -> None:
    """A planted number of reads a second: what comes from the disk has it at every depth, memory does not."""
    disk, planted = ext4_disk(64), 1000
    params = {**SMALL, "rounds": 1, "pass_seconds": 0.5}
    with throttled(disk, reads_per_second=planted):
        outcome = run_task("storage.random", locations=[location(disk)], **params)
    for cache in ("cold", "direct"):
        for depth in (4, 32):
            rate = metric(outcome, "read_iops", cache=cache, in_flight=depth)
            assert median(rate.samples[rate.warmup :]) == pytest.approx(planted, rel=0.35)
        mapped = metric(outcome, "mapped_read_seconds", cache="cold")
        assert sum(mapped.samples) / len(mapped.samples) > 0.2 / planted
    warm = metric(outcome, "read_iops", cache="warm", in_flight=1)
    assert median(warm.samples[warm.warmup :]) > 10 * planted


@pytest.mark.parametrize("depth", [1, 4, 32])
@pytest.mark.parametrize("how", [NO_READ_AHEAD, DIRECT])
def test_so_many_reads_are_in_flight_at_once(timed: NativeBlocks, ext4_disk: MakeDisk, depth: int, how: int) -> None:
    """On a disk that answers slowly, so many threads wait for it: state D in /proc."""
    disk = ext4_disk(64)
    path, most = disk / "blocks", 0
    timed.write(path, 1024, 4096)
    pagecache.drop([path])
    with throttled(disk, reads_per_second=50):
        reader = threading.Thread(target=timed.read, args=(path, range(0, 4 * MIB, 4096), 4096, how),
                                  kwargs={"threads": depth, "limit": 1.0})  # fmt: skip
        reader.start()
        while reader.is_alive():
            most = max(most, _waiting_threads())
        reader.join()
    assert most == depth


def _waiting_threads() -> int:
    states = []
    for status in Path("/proc/self/task").glob("*/stat"):
        try:
            states.append(status.read_text().rpartition(")")[2].split()[0])
        except OSError:  # it has ended
            continue
    return states.count("D")


@pytest.mark.parametrize("how", [0, NO_READ_AHEAD, DIRECT, MAPPED, MAPPED | NO_READ_AHEAD])
@pytest.mark.parametrize("threads", [1, 3, 32])
def test_every_block_is_read_once_whatever_the_threads(
    timed: NativeBlocks, ext4_disk: MakeDisk, how: int, threads: int
) -> None:
    path = ext4_disk(16) / "blocks"
    timed.write(path, 100, 4096)
    done = timed.read(path, range(0, 100 * 4096, 4096), 4096, how, threads=threads)
    assert len(done.operations) == 100
    assert all(0 <= seconds <= done.seconds for seconds in done.operations)
    assert done.rate == pytest.approx(100 / done.seconds)


@pytest.mark.parametrize("how", [0, MAPPED])
def test_a_truncated_file_is_an_error_and_no_crash(timed: NativeBlocks, tmp_path: Path, how: int) -> None:
    path = tmp_path / "blocks"
    timed.write(path, 64, 4096)
    with path.open("r+b") as file:
        file.truncate(32 * 4096)
    with pytest.raises(OSError, match="Errno 5"):
        timed.read(path, range(0, 64 * 4096, 4096), 4096, how, threads=4)
    with pytest.raises(OSError, match="Errno 5"):
        timed.sync(path, [63 * 4096], 4096, "fsync")
    assert path.stat().st_size == 32 * 4096


def test_an_error_of_any_thread_is_told(timed: NativeBlocks, tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    timed.write(path, 64, 4096)
    with path.open("r+b") as file:
        file.seek(40 * 4096)
        file.write(bytes(8))  # not what was written
    for how in (0, MAPPED):
        with pytest.raises(OSError, match="Errno 5"):
            timed.read(path, range(0, 64 * 4096, 4096), 4096, how, threads=4)


def test_nonsense_is_refused(timed: NativeBlocks, tmp_path: Path) -> None:
    path = tmp_path / "blocks"
    timed.write(path, 2, 4096)
    for offsets, size, threads in (([0], 100, 1), ([0], 4096, 2), ([0], 4096, 0), ([], 4096, 1)):
        with pytest.raises(OSError, match="Errno 22"):
            timed.read(path, offsets, size, threads=threads)
    with pytest.raises(OSError, match="Errno 5"):
        timed.read(path, [-4096], 4096)


@not_on_windows("it has no fdatasync")
def test_synced_writes_leave_the_file_readable(timed: NativeBlocks, tmp_path: Path) -> None:
    path, offsets = tmp_path / "blocks", [8192, 0, 4096]
    timed.write(path, 4, 4096)
    for call in ("fsync", "fdatasync"):
        assert len(timed.sync(path, offsets, 4096, call).operations) == 3
    assert len(timed.read(path, range(0, 4 * 4096, 4096), 4096).operations) == 4


def test_a_synced_write_reaches_the_disk(timed: NativeBlocks, ext4_disk: MakeDisk) -> None:
    """What waits for a device is counted by it: a write each, and no fewer."""
    disk = ext4_disk(64)
    path = disk / "blocks"
    timed.write(path, 64, 4096)
    before = _writes(disk)
    timed.sync(path, range(0, 50 * 4096, 4096), 4096, "fdatasync")
    assert _writes(disk) - before >= 50


def _writes(disk: Path) -> int:
    """Return how many writes the disk's device has completed (Documentation/admin-guide/iostats.rst)."""
    device = disk.stat().st_dev
    return int(Path(f"/sys/dev/block/{device >> 8}:{device & 0xFF}/stat").read_text().split()[4])


def test_every_mapped_read_is_a_page_fault(
    run_task: RunTask, native: NativeHelper, ext4_disk: MakeDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource = pytest.importorskip("resource", reason="needs Linux")
    read, faults = NativeBlocks.read, []

    def counted(self: NativeBlocks, path: Path, offsets: Sequence[int], size: int, how: int = 0, **more: float) -> Pass:
        before = resource.getrusage(resource.RUSAGE_SELF)
        result = read(self, path, offsets, size, how, **more)  # type: ignore[arg-type]
        after = resource.getrusage(resource.RUSAGE_SELF)
        if how & MAPPED:
            taken = after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt
            faults.append((taken, len(result.operations)))
        return result

    monkeypatch.setattr(NativeBlocks, "read", counted)
    run_task("storage.random", locations=[location(ext4_disk(64))], **SMALL)
    assert len(faults) == 2 * 4  # warm and cold
    assert all(taken >= reads for taken, reads in faults), faults
    assert max(reads for _, reads in faults) > 100, "a pass ends with its time, on a busy machine after fewer"


def test_without_the_native_helper_it_is_unavailable(run_task: RunTask, no_native: None, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"storage\.random needs the native helper: build it with `nox -s native`"):
        run_task("storage.random", locations=[location(tmp_path)], **SMALL)


def test_a_file_too_small_for_every_thread_is_told(run_task: RunTask, native: NativeHelper, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"change it in matrix\.yaml"):
        run_task("storage.random", locations=[location(tmp_path)], bytes=31 * 4096)


def test_a_memory_location_has_warm_reads_only(run_task: RunTask, native: NativeHelper, small_disk: MakeDisk) -> None:
    outcome = run_task("storage.random", locations=[location(small_disk(32 * 1024))], **SMALL)
    assert {each.dims["cache"] for each in outcome.metrics if "cache" in each.dims} == {"warm"}
    assert metric(outcome, "fsync_seconds", sync="fsync").samples
    assert [text.partition(" without ")[2] for text in outcome.warnings] == [
        "cold reads: 1 of 1 files stay in memory",
        "direct I/O: 1 of 1 files stay in memory",
    ]
