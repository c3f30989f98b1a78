"""storage.loader's own part, on a stand-in for a framework's loader. The real ones run in test_on_stacks.py."""

from __future__ import annotations

import signal
import sys
import time
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from harness.agent import pagecache
from harness.agent.datasets import stored as writers
from harness.agent.datasets import worker_errors
from harness.agent.datasets.images import Encoder, ImageSet
from harness.agent.datasets.stored import Stored
from harness.agent.datasets.worker_errors import in_short
from harness.agent.messages import CellSpec, Location
from harness.agent.probes.storage_loader import Passes, Way, run_loader
from harness.agent.task import Context, Outcome, Unavailable, find
from tests.agent.probes.conftest import metric
from tests.agent.systems import not_on_windows

pytestmark = pytest.mark.answers

MakeSpec = Callable[..., CellSpec]
MODULE = "harness.agent.probes.storage_loader_torch"
SMALL = {"count": 4, "width": 60, "height": 40, "batch_size": 2, "workers": 2, "rounds": 2}
START, BATCH = 0.2, 0.01  # seconds that the stand-in's workers take to start and a batch takes


class StandInLoader:
    """Reads the files in batches of two; what it does between `batch` and the next is the test's."""

    versions = {"stand-in": "1"}  # noqa: RUF012 - as the protocol has it
    sources = ("files", "raw")
    errors = (OSError,)

    def __init__(self, batch: Callable[[Stored], int]) -> None:
        self._batch = batch
        self.encoder = Encoder(name="stand-in", encode=lambda _pixels, _quality: bytes(5000))

    def ways(self, source: str, workers: Sequence[int]) -> list[Way]:
        return [Way(workers=count, start="fork" if count else "none") for count in workers]

    def write(self, source: str, folder: Path, images: ImageSet) -> Stored:
        return writers.write_files(folder, images) if source == "files" else writers.write_raw(folder, images)

    def passes(self, source: str, stored: Stored, images: ImageSet, way: Way) -> Passes:
        begun: list[bool] = []

        def sizes() -> Iterator[int]:
            if way.workers and not begun:
                time.sleep(START)
            begun.append(True)
            for _ in range(2):
                time.sleep(BATCH)
                yield self._batch(stored)

        return sizes


def install(monkeypatch: pytest.MonkeyPatch, loader: StandInLoader) -> None:
    """Let the probes find this loader in place of torch's."""
    module = types.ModuleType(MODULE)
    module.loader = lambda _spec, **_batch_size: loader  # type: ignore[attr-defined]  # what the probe asks for
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr("harness.agent.frameworks.load", lambda _spec: None)


def read_two(stored: Stored) -> int:
    for path in stored.paths:
        path.read_bytes()
    return 2


@pytest.fixture
def run(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    def run(*locations: Path, batch: Callable[[Stored], int] = read_two) -> Outcome:
        install(monkeypatch, StandInLoader(batch))
        task = find("storage.loader")
        assert task is not None
        spec = make_spec(
            "storage.loader",
            stack="torch",
            locations=tuple(Location(name=path.name, path=str(path)) for path in locations),
        )
        return task.run(Context(spec=spec, params={**task.params, **SMALL}, progress=lambda *_: None))

    return run


@not_on_windows("it can't drop a file's pages")
def test_every_way_is_measured_warm_and_cold(run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run(tmp_path)
    for source in ("files", "raw"):
        for workers in (0, 1, 2):
            dims = {"location": tmp_path.name, "source": source, "workers": workers, "pin_memory": False}
            for cache in ("warm", "cold"):
                rates = metric(outcome, "samples_per_second", cache=cache, **dims)
                assert (len(rates.samples), rates.warmup, rates.unit, rates.better) == (3, 1, "samples/s", "higher")
                assert all(0 < rate <= 4 / (2 * BATCH) for rate in rates.samples)
            assert len(metric(outcome, "first_batch_seconds", **dims).samples) == 1
    assert outcome.versions.keys() == {"stand-in", "data_set.files", "data_set.raw"}
    assert outcome.warnings == ()
    assert list(tmp_path.iterdir()) == []


def test_the_start_of_workers_is_told_apart(run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run(tmp_path)
    started = metric(outcome, "first_batch_seconds", source="raw", workers=2)
    assert started.samples[0] >= START + BATCH
    rates = metric(outcome, "samples_per_second", source="raw", workers=2, cache="warm")
    assert rates.samples[0] <= 4 / (START + 2 * BATCH) < max(rates.samples[1:])


@pytest.mark.skipif(sys.platform != "win32", reason="needs Windows")
def test_a_system_that_cannot_drop_pages_measures_warm_passes(run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run(tmp_path)
    rates = [each for each in outcome.metrics if each.name == "samples_per_second"]
    ways = {(each.dims["source"], each.dims["workers"], each.dims["cache"]) for each in rates}
    assert ways == {(source, workers, "warm") for source in ("files", "raw") for workers in (0, 1, 2)}
    assert outcome.warnings == (f"location {tmp_path.name} without cold reads: {pagecache.NO_WAY}",)
    assert list(tmp_path.iterdir()) == []


def test_where_pages_stay_only_warm_is_measured(run: Callable[..., Outcome], small_disk: Callable[[int], Path]) -> None:
    disk = small_disk(16 * 1024)  # a tmpfs
    outcome = run(disk)
    assert {each.dims["cache"] for each in outcome.metrics if each.name == "samples_per_second"} == {"warm"}
    assert outcome.warnings == (f"location {disk.name} without cold reads: 4 of 4 files stay in memory",)


def test_a_set_that_is_cut_meanwhile_is_named(run: Callable[..., Outcome], tmp_path: Path) -> None:
    def cut(stored: Stored) -> int:
        stored.paths[1].write_bytes(b"short")
        raise OSError("what a decoder says of it")

    outcome = run(tmp_path, batch=cut)
    assert (outcome.status, outcome.metrics) == ("failed", ())
    assert f"{Path('files', '000001.jpg')} has 5 of its 5000 bytes" in outcome.reason


def test_a_loader_that_loses_images_fails(run: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = run(tmp_path, batch=lambda _stored: 1)
    assert (outcome.status, outcome.reason) == ("failed", "data set: 2 of its 4 images were loaded")


def test_what_a_framework_says_of_a_whole_set_goes_on(run: Callable[..., Outcome], tmp_path: Path) -> None:
    def refuse(_stored: Stored) -> int:
        raise OSError(24, "Too many open files")

    with pytest.raises(Unavailable, match="left out: Too many open files"):
        run(tmp_path, batch=refuse)


def test_without_a_location_it_is_unavailable(run: Callable[..., Outcome]) -> None:
    with pytest.raises(Unavailable, match="no location to write to"):
        run()


def test_without_its_framework_it_is_unavailable(make_spec: MakeSpec) -> None:
    with pytest.raises(Unavailable, match="stack driver has no framework"):
        run_loader(Context(spec=make_spec("storage.loader"), params={"batch_size": 1}, progress=lambda *_: None))


@pytest.mark.parametrize("kind", [RuntimeError, OSError])
def test_a_workers_error_is_one_line(kind: type[Exception]) -> None:
    """What torch says where /dev/shm is small, as it was seen."""
    last = "RuntimeError: unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)"
    text = f"Caught it in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n  File\n{last}\n"
    with pytest.raises(kind) as raised, in_short():
        raise kind(text)
    assert str(raised.value) == f"in a DataLoader worker: {last}: give the platform more of it (shm_size)"


def test_a_worker_that_was_killed_lacked_memory() -> None:
    """What torch raises then, as it was seen; `test_on_stacks` kills a real one."""
    gone = RuntimeError("DataLoader worker (pid(s) 77) exited unexpectedly")
    gone.__cause__ = RuntimeError("DataLoader worker (pid 77) is killed by signal: Killed. ")
    with pytest.raises(MemoryError, match="a DataLoader worker was killed"), in_short():
        raise gone
    with pytest.raises(RuntimeError, match="exited unexpectedly"), in_short():
        raise RuntimeError("DataLoader worker (pid(s) 77) exited unexpectedly")


@not_on_windows("it has no SIGCHLD")
@pytest.mark.parametrize("first", [EOFError, ConnectionResetError])
def test_a_connection_to_a_worker_that_was_killed_ends_first(first: type[Exception]) -> None:
    """As it was seen: torch's error comes with the signal, which an alarm stands in for."""

    def tell(_number: int, _frame: object) -> None:
        raise RuntimeError("DataLoader worker (pid 77) is killed by signal: Killed. ")

    before = signal.signal(signal.SIGALRM, tell)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(MemoryError, match="a DataLoader worker was killed"), in_short():
            raise first
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_connection_that_ended_for_another_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_errors, "PATIENCE", 0.01)
    with pytest.raises(EOFError), in_short():
        raise EOFError


def test_an_error_of_one_line_stays_as_it_is() -> None:
    error = FileNotFoundError(2, "No such file or directory", "000001.jpg")
    with pytest.raises(FileNotFoundError) as raised, in_short():
        raise error
    assert raised.value is error
