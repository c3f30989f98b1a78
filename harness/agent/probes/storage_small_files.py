"""Small files: a directory of them, and five things done to all of them, each round anew.

Create (open, write, close; nothing is forced to the disk), stat, open and read, list the directory, unlink. A sample
is one round's mean per file. With `cache` = `warm` the files were written just before; with `cold` their pages were
written back and dropped before each read, file by file, which needs no root and disturbs nobody else. The directory
and the inodes stay cached: cold is the data, and there is no cold list or stat. Only /proc/sys/vm/drop_caches lets go
of them, which wants root and takes the whole machine's. Where pages stay after that (tmpfs, some network file
systems), cold is left out. Windows drops no single file's pages: there cold reads go past its file cache
(FILE_FLAG_NO_BUFFERING), which needs the native helper and files of whole blocks of 4096 bytes. On an ext4 without a
journal the time to create a file depends on what was deleted lately (`harness.agent.ext4`): there a warning says so,
but on a container's overlay, whose kernel does not tell what it lies on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from harness.agent import ext4, pagecache
from harness.agent.blocks import STAMPED
from harness.agent.helper import NativeHelper, loops
from harness.agent.loops import Loops, loop_metric
from harness.agent.messages import Metric
from harness.agent.probes.storage_locations import Place, drop_pages, on_each_location
from harness.agent.task import Context, Outcome, Unsupported

WARMUP = 1  # rounds


@dataclass(frozen=True, kw_only=True)
class _Files:
    """How many files of how many bytes, how often, and who times them."""

    timed: Loops
    files: int
    size: int
    rounds: int

    def create(self, directory: str) -> float:
        return fmean(self.timed.files("create", directory, self.files, self.size))

    def stat(self, directory: str) -> float:
        return fmean(self.timed.files("stat", directory, self.files, self.size))

    def read(self, directory: str) -> float:
        return fmean(self.timed.files("read", directory, self.files, self.size))

    def list_all(self, directory: str) -> float:
        return self.timed.list_files(directory, self.files) / self.files

    def unlink(self, directory: str) -> float:
        return fmean(self.timed.files("unlink", directory, self.files, self.size))

    def warm_round(self, directory: str) -> Mapping[str, float]:
        """Return the mean seconds per file of each operation, by metric."""
        return {
            "create_seconds": self.create(directory),
            "stat_seconds": self.stat(directory),
            "open_read_seconds": self.read(directory),
            "list_seconds": self.list_all(directory),
            "unlink_seconds": self.unlink(directory),
        }

    def warm(self, place: Place) -> list[Metric]:
        """Every operation on files that are in memory; leaves none behind."""
        measured = [self.warm_round(str(place.directory)) for _ in range(WARMUP + self.rounds)]
        return [self._metric(name, [each[name] for each in measured], place, "warm") for name in measured[0]]

    def cold(self, place: Place) -> list[Metric]:
        """Reads from the disk. Raises Unsupported where pages stay in memory."""
        seconds = []
        self.create(str(place.directory))
        if isinstance(self.timed, NativeHelper) and self.timed.offers("files_read_unbuffered"):
            return [self._metric("open_read_seconds", self._unbuffered(self.timed, place), place, "cold")]
        paths = [place.directory / str(number) for number in range(self.files)]
        pagecache.write_back(paths)
        for _ in range(WARMUP + self.rounds):
            drop_pages(paths)
            seconds.append(self.read(str(place.directory)))
        return [self._metric("open_read_seconds", seconds, place, "cold")]

    def _unbuffered(self, helper: NativeHelper, place: Place) -> list[float]:
        if self.size % STAMPED:
            raise Unsupported(f"`size` must be a multiple of {STAMPED} to read past Windows' file cache")
        arguments = (os.fsencode(place.directory), self.files, self.size)
        rounds = range(WARMUP + self.rounds)
        return [fmean(helper.call("files_read_unbuffered", self.files, *arguments)) for _ in rounds]

    def _metric(self, name: str, seconds: list[float], place: Place, cache: str) -> Metric:
        return loop_metric(name, self.timed, seconds, warmup=WARMUP, location=place.location, cache=cache)


def run_small_files(context: Context) -> Outcome:
    """Measure create, stat, open_read, list and unlink `_seconds` per file on each location.

    A location that fails (read-only, full, gone) is left out with a warning; Unavailable if none remains.
    """
    timed = loops("files_create")
    files, size = context.integer("files"), context.integer("size")
    work = _Files(timed=timed, files=files, size=size, rounds=context.integer("rounds"))
    outcome = on_each_location(context, timed, {"files": work.warm, "cold reads": work.cold})
    return replace(outcome, warnings=(*outcome.warnings, *_depends_on_the_past(context)))


def _depends_on_the_past(context: Context) -> Iterator[str]:
    for location in context.spec.locations:
        if warning := ext4.warning(location.name, location.path, "create_seconds"):
            yield warning
