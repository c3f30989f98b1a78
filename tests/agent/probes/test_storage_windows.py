"""What storage probes measure on Windows, where a file's pages can neither be dropped nor seen."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest

from harness.agent.blocks import DATA_ONLY, DIRECT, MAPPED, NO_READ_AHEAD, NativeBlocks
from harness.agent.helper import NativeHelper
from harness.agent.messages import Location, Metric
from harness.agent.task import Outcome, Unavailable
from tests.agent.probes.conftest import RunTask

pytestmark = pytest.mark.skipif(sys.platform != "win32", reason="needs Windows")

MIB = 2**20


@pytest.fixture
def disk(tmp_path: Path) -> Location:
    """A folder whose name is in no code page of the West."""
    folder = tmp_path / "диск und Übung"
    folder.mkdir()
    return Location(name="disk", path=str(folder))


def kinds(outcome: Outcome, *dims: str) -> set[tuple[object, ...]]:
    def of(metric: Metric) -> tuple[object, ...]:
        return (metric.name, *(metric.dims[name] for name in dims if name in metric.dims))

    return {of(each) for each in outcome.metrics if each.dims.get("location") == "disk"}


def test_small_files_are_read_cold_past_the_cache(run_task: RunTask, native: NativeHelper, disk: Location) -> None:
    outcome = run_task("storage.small_files", locations=[disk], files=20, size=4096, rounds=2)
    assert ("open_read_seconds", "cold") in kinds(outcome, "cache")
    assert {("create_seconds", "warm"), ("unlink_seconds", "warm")} <= kinds(outcome, "cache")
    assert outcome.warnings == ()
    assert list(Path(disk.path).iterdir()) == []


def test_small_files_of_other_sizes_have_no_cold_reads(run_task: RunTask, native: NativeHelper, disk: Location) -> None:
    outcome = run_task("storage.small_files", locations=[disk], files=5, size=1000, rounds=1)
    assert ("open_read_seconds", "cold") not in kinds(outcome, "cache")
    assert "must be a multiple of 4096" in outcome.warnings[0]


def test_sequential_is_buffered_and_unbuffered(run_task: RunTask, native: NativeHelper, disk: Location) -> None:
    outcome = run_task("storage.sequential", locations=[disk], bytes=4 * MIB, rounds=1)
    reads = {kind for kind in kinds(outcome, "cache") if kind[0] == "read_bandwidth"}
    assert reads == {("read_bandwidth", "warm"), ("read_bandwidth", "direct")}
    assert "no way to drop a file's pages" in outcome.warnings[0]


def test_random_reads_writes_and_faults(run_task: RunTask, native: NativeHelper, disk: Location) -> None:
    outcome = run_task("storage.random", locations=[disk], bytes=MIB, rounds=1, pass_seconds=0.05)
    found = kinds(outcome, "cache", "in_flight", "sync")
    assert {("read_iops", "warm", 32), ("read_iops", "direct", 16), ("mapped_read_seconds", "warm")} <= found
    assert ("fsync_seconds", "fsync") in found
    assert ("fsync_seconds", "fdatasync") not in found


def test_prefetch_says_why_it_cannot(run_task: RunTask, native: NativeHelper, disk: Location) -> None:
    with pytest.raises(Unavailable, match="no way to drop a file's pages"):
        run_task("storage.prefetch", locations=[disk], bytes=4 * MIB, rounds=1)


@pytest.mark.parametrize("how", [0, DIRECT, NO_READ_AHEAD, MAPPED, MAPPED | NO_READ_AHEAD])
def test_what_is_read_is_what_was_written(native: NativeHelper, tmp_path: Path, how: int) -> None:
    timed = NativeBlocks(loops=native)
    path = tmp_path / "blocks"
    timed.write(path, 16, 4096)
    assert path.stat().st_size == 16 * 4096
    assert len(timed.read(path, range(0, 16 * 4096, 4096), 4096, how, threads=4).operations) == 16
    with path.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"spoiled!")
    with pytest.raises(OSError, match="Errno 5"):
        timed.read(path, [5 * 4096], 4096, how)


def test_refusals_have_their_errno(native: NativeHelper, tmp_path: Path) -> None:
    timed = NativeBlocks(loops=native)
    timed.write(tmp_path / "blocks", 2, 4096)
    with pytest.raises(FileExistsError):
        timed.write(tmp_path / "blocks", 2, 4096)
    with pytest.raises(FileNotFoundError):
        timed.read(tmp_path / "nowhere" / "blocks", [0], 4096)
    with pytest.raises(OSError, match="Errno") as refused:
        timed.loops.call("blocks_write", 3, str(tmp_path / "other").encode(), DATA_ONLY, 2, 4096)
    assert refused.value.errno == errno.ENOTSUP
