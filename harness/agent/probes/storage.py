"""Storage, on every location that the platform offers.

`small_files` makes a directory of files in the location and does five things to all of them, each round anew: create
(open, write, close; nothing is forced to the disk), stat, open and read, list the directory, unlink. A sample is one
round's mean per file. With `cache` = `warm` the files were written just before; with `cold` their pages were written
back and dropped before each read, file by file, which needs no root and disturbs nobody else. The directory and the
inodes stay cached: cold is the data. Where pages stay after that (tmpfs, some network file systems), cold is left out.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from harness.agent import pagecache
from harness.agent.helper import loops
from harness.agent.loops import Loops, clock_metric, loop_metric
from harness.agent.messages import Location, Metric
from harness.agent.task import Context, Outcome, Task, Unavailable, Unsupported

WARMUP = 1  # rounds


@dataclass(frozen=True, kw_only=True)
class _Files:
    """How many files of how many bytes, and who times them."""

    timed: Loops
    files: int
    size: int

    def create(self, directory: str) -> float:
        return fmean(self.timed.files("create", directory, self.files, self.size))

    def stat(self, directory: str) -> float:
        return fmean(self.timed.files("stat", directory, self.files, self.size))

    def read(self, directory: str) -> float:
        return fmean(self.timed.files("read", directory, self.files, self.size))

    def list(self, directory: str) -> float:
        return self.timed.list_files(directory, self.files) / self.files

    def unlink(self, directory: str) -> float:
        return fmean(self.timed.files("unlink", directory, self.files, self.size))

    def warm_round(self, directory: str) -> Mapping[str, float]:
        """Return the mean seconds per file of each operation, by metric."""
        return {
            "create_seconds": self.create(directory),
            "stat_seconds": self.stat(directory),
            "open_read_seconds": self.read(directory),
            "list_seconds": self.list(directory),
            "unlink_seconds": self.unlink(directory),
        }


def run_small_files(context: Context) -> Outcome:
    """Measure create, stat, open_read, list and unlink `_seconds` per file on each location.

    A location that fails (read-only, full, gone) is left out with a warning; Unavailable if none remains.
    """
    timed = loops("files_create")
    work = _Files(timed=timed, files=context.integer("files"), size=context.integer("size"))
    metrics: list[Metric] = []
    warnings: list[str] = []
    locations = context.spec.locations
    for done, location in enumerate(locations, start=1):
        measured, notes = _location(work, location, context.integer("rounds"))
        metrics += measured
        warnings += notes
        context.progress(done, len(locations), location.name)
    if not metrics:
        raise Unavailable("; ".join(warnings) or "storage.small_files: the platform offers no location to write to")
    return Outcome(
        metrics=(*metrics, clock_metric(timed)), versions=timed.versions, warnings=(*timed.warnings, *warnings)
    )


def _location(work: _Files, location: Location, rounds: int) -> tuple[list[Metric], list[str]]:
    """Return the metrics of one location, and what could not be measured there and why."""
    where = f"location {location.name} ({location.path})"
    try:
        warm = _warm(work, location, rounds)
    except OSError as error:
        return [], [f"{where} left out: {error.strerror or error}"]
    try:
        return warm + _cold(work, location, rounds), []
    except (OSError, Unsupported) as error:
        return warm, [f"{where} without cold reads: {getattr(error, 'strerror', None) or error}"]


def _warm(work: _Files, location: Location, rounds: int) -> list[Metric]:
    with _directory(location) as directory:
        measured = [work.warm_round(directory) for _ in range(WARMUP + rounds)]
    return [_metric(work, name, [each[name] for each in measured], location, "warm") for name in measured[0]]


def _cold(work: _Files, location: Location, rounds: int) -> list[Metric]:
    """Return the cold reads. Raises Unsupported where pages stay in memory."""
    seconds = []
    with _directory(location) as directory:
        work.create(directory)
        paths = [Path(directory, str(number)) for number in range(work.files)]
        pagecache.write_back(paths)
        for _ in range(WARMUP + rounds):
            if kept := pagecache.drop(paths):
                raise Unsupported(f"{kept} of {work.files} files stay in memory")
            seconds.append(work.read(directory))
    return [_metric(work, "open_read_seconds", seconds, location, "cold")]


def _metric(work: _Files, name: str, seconds: list[float], location: Location, cache: str) -> Metric:
    return loop_metric(name, work.timed, seconds, warmup=WARMUP, location=location.name, cache=cache)


@contextmanager
def _directory(location: Location) -> Iterator[str]:
    """Make an empty directory in the location; remove it with all that is in it, whatever happens."""
    directory = tempfile.mkdtemp(prefix="overhead-matrix-", dir=location.path)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


TASKS = {
    "small_files": Task(
        summary="Create, stat, open and read, list, unlink many small files, on every location of the platform.",
        run=run_small_files,
        params={"files": 500, "size": 4096, "rounds": 5},
        seconds=3.0,
    ),
}
