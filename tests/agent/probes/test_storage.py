from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from harness.agent.helper import NativeHelper
from harness.agent.loops import PythonLoops
from harness.agent.messages import Location
from harness.agent.task import Unavailable
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.systems import not_on_windows

SMALL = {"files": 20, "rounds": 3}
METRICS = {
    "create_seconds",
    "stat_seconds",
    "open_read_seconds",
    "list_seconds",
    "unlink_seconds",
    *INSTRUMENT,
}


def location(path: Path, name: str = "disk") -> Location:
    return Location(name=name, path=str(path))


@pytest.fixture
def full(small_disk: Callable[[int], Path]) -> Path:
    """A file system that is full after a few files."""
    return small_disk(64)


def test_every_operation_is_measured(run_task: RunTask, loop: str, tmp_path: Path) -> None:
    outcome = run_task("storage.small_files", locations=[location(tmp_path)], **SMALL)
    assert names(outcome) == METRICS
    for name in METRICS - INSTRUMENT:
        warm = metric(outcome, name, location="disk", cache="warm", loop=loop)
        assert (len(warm.samples), warm.warmup, warm.unit, warm.better) == (4, 1, "s", "lower")
        assert all(0 < seconds < 1 for seconds in warm.samples)
    assert list(tmp_path.iterdir()) == []


def test_each_location_is_measured(run_task: RunTask, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    outcome = run_task("storage.small_files", locations=[location(each, each.name) for each in folders], **SMALL)
    assert metric(outcome, "create_seconds", location="one").samples
    assert metric(outcome, "create_seconds", location="two").samples


@not_on_windows("it has no ext4")
def test_a_file_system_without_a_journal_is_warned_of(run_task: RunTask, ext4_disk: Callable[..., Path]) -> None:
    folder = ext4_disk(64, "^has_journal")
    outcome = run_task("storage.small_files", locations=[location(folder)], **SMALL)
    assert [text for text in outcome.warnings if "an ext4 without a journal" in text and "location disk" in text]


def test_a_location_that_is_not_there_is_left_out(run_task: RunTask, loop: str, tmp_path: Path) -> None:
    locations = [location(tmp_path), location(tmp_path / "gone", "gone")]
    outcome = run_task("storage.small_files", locations=locations, **SMALL)
    (warning,) = (text for text in outcome.warnings if "left out" in text)
    assert f"location gone ({tmp_path / 'gone'}) left out: " in warning
    assert "No such file or directory" in warning or "not found" in warning  # as Windows says it
    assert {each.dims.get("location") for each in outcome.metrics} == {"disk", None}


def test_without_a_usable_location_it_is_unavailable(run_task: RunTask, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no location to write to"):
        run_task("storage.small_files")
    with pytest.raises(Unavailable, match=r"location gone .* left out"):
        run_task("storage.small_files", locations=[location(tmp_path / "gone", "gone")])


def test_a_full_location_is_left_out_and_cleaned(run_task: RunTask, loop: str, full: Path) -> None:
    with pytest.raises(Unavailable, match="No space left on device"):
        run_task("storage.small_files", locations=[location(full)], files=100, rounds=1)
    assert list(full.iterdir()) == []


def test_cold_reads_are_left_out_where_pages_stay(run_task: RunTask, full: Path) -> None:
    outcome = run_task("storage.small_files", locations=[location(full)], files=3, rounds=1)
    assert {each.dims.get("cache") for each in outcome.metrics} == {"warm", None}
    assert any(text.endswith("without cold reads: 3 of 3 files stay in memory") for text in outcome.warnings)


def test_an_interruption_leaves_nothing_behind(
    run_task: RunTask, no_native: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: object) -> float:
        assert list(tmp_path.glob("overhead-matrix-*/19"))
        raise KeyboardInterrupt

    monkeypatch.setattr(PythonLoops, "list_files", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_task("storage.small_files", locations=[location(tmp_path)], **SMALL)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, 4096, 5000])
def test_the_files_are_real(native: NativeHelper, tmp_path: Path, size: int) -> None:
    """What each loop makes, the other finds."""
    python, directory = PythonLoops(), str(tmp_path)
    for maker, finder in ((native, python), (python, native)):
        assert len(maker.files("create", directory, 10, size)) == 10
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(str(number) for number in range(10))
        assert {path.stat().st_size for path in tmp_path.iterdir()} == {size}
        assert all(seconds > 0 for seconds in finder.files("stat", directory, 10, size))
        finder.files("read", directory, 10, size)
        finder.list_files(directory, 10)
        finder.files("unlink", directory, 10, size)
        assert list(tmp_path.iterdir()) == []


def test_content_cannot_be_compressed_away(native: NativeHelper, tmp_path: Path) -> None:
    native.files("create", str(tmp_path), 1, 4096)
    assert len(set((tmp_path / "0").read_bytes())) > 200


def test_what_is_not_as_made_is_an_error(native: NativeHelper, tmp_path: Path) -> None:
    directory = str(tmp_path)
    for timed in (native, PythonLoops()):
        (tmp_path / "0").write_bytes(b"short")
        for operation in ("stat", "read"):
            with pytest.raises(OSError, match="Errno 5"):
                timed.files(operation, directory, 1, 4096)
        with pytest.raises(OSError, match="Errno 5"):
            timed.list_files(directory, 2)
        with pytest.raises(FileExistsError):
            timed.files("create", directory, 1, 4096)


def test_the_loop_takes_the_time_that_it_reports(native: NativeHelper, tmp_path: Path) -> None:
    """The sum over the files against a clock around the call."""
    native.files("create", str(tmp_path), 200, 4096)
    reads = []
    for _ in range(5):
        start = time.perf_counter()
        inside = sum(native.files("read", str(tmp_path), 200, 4096))
        reads.append(inside / (time.perf_counter() - start))
    assert 0.5 < median(reads) <= 1
