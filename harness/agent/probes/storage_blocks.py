"""Sequential I/O and read-ahead: one file by large blocks.

A sample is one pass over the file (`storage.prefetch`: as much of it as a time limit allows in random order). By
`cache`: `buffered` writes go to the page cache; `direct` is O_DIRECT; a `warm` read finds every page in memory, a
`cold` one finds none, since they were written back and dropped before the pass, which needs no root and disturbs
nobody else. What lies below this kernel (a host's cache, a disk's own) stays as it is.

Each pass of writes makes a new file. With `sync` = `none` its bandwidth is that of the write calls, with `fsync` that
until an fsync after the last has returned. Direct I/O counts only where it leaves no pages behind: some file systems
take the flag and use the cache all the same. On Windows, which can neither drop a file's pages nor say whether there
are any, `direct` is FILE_FLAG_NO_BUFFERING, which is no advice but a promise, and there are no `cold` reads.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd
from pathlib import Path

from harness.agent import pagecache
from harness.agent.blocks import DIRECT, STAMPED, Blocks, Pass, blocks
from harness.agent.capacity import MIB
from harness.agent.messages import Better, Metric, Scalar
from harness.agent.probes.storage_locations import Place, drop_pages, on_each_location
from harness.agent.task import Context, Outcome, Unavailable, Unsupported

WARMUP = 1  # passes


@dataclass(frozen=True, kw_only=True)
class BlockFile:
    """A file of `count` blocks of `size` bytes in a place, and who times what is done to it."""

    timed: Blocks
    count: int
    size: int
    rounds: int

    @classmethod
    def of(cls, context: Context, timed: Blocks, *, size: int, least: int = 1) -> BlockFile:
        """Read `bytes` and `rounds` of the parameters. Raises Unavailable unless they make `least` whole blocks."""
        total = context.integer("bytes")
        if size < STAMPED or size % STAMPED or total < least * size or total % size:
            wanted = f"a multiple of the block ({size} bytes, which must be one of {STAMPED}) and {least} of it or more"
            raise Unavailable(f"{context.spec.entry}: `bytes` ({total}) must be {wanted}: change it in matrix.yaml")
        return cls(timed=timed, count=total // size, size=size, rounds=context.integer("rounds"))

    @property
    def bytes(self) -> int:
        """The size of the file."""
        return self.count * self.size

    @property
    def passes(self) -> range:
        """All passes, warm-up included."""
        return range(WARMUP + self.rounds)

    @property
    def in_order(self) -> Sequence[int]:
        """The offsets of all blocks from first to last."""
        return range(0, self.bytes, self.size)

    def in_random_order(self, seed: int) -> Iterator[Sequence[int]]:
        """Yield the offsets of all blocks, each time in another order: no cache below may learn one."""
        generator = random.Random(seed)  # noqa: S311 - no secret
        while True:
            yield generator.sample(self.in_order, self.count)

    def path(self, place: Place) -> Path:
        """Return where the file lies."""
        return place.directory / "blocks"

    def write(self, place: Place) -> Path:
        """Write the file and force it to the disk, untimed, by large blocks whatever its own are.

        The page cache keeps it in pieces (folios) as large as the writes, and large ones are faster to read.
        """
        self.path(place).unlink(missing_ok=True)
        large = gcd(self.bytes, MIB)
        self.timed.write(self.path(place), self.bytes // large, large)
        return self.path(place)

    def drop(self, place: Place) -> None:
        """Drop the file's pages. Raises Unsupported where they stay."""
        drop_pages([self.path(place)])

    def check_direct(self, place: Place) -> None:
        """Raise Unsupported if direct I/O went through the page cache."""
        if sys.platform == "win32":
            return
        if pagecache.holds(self.path(place)):
            raise Unsupported("the file system takes O_DIRECT and goes through the page cache all the same")

    def metric(
        self,
        name: str,
        samples: Sequence[float],
        place: Place,
        *,
        unit: str = "B/s",
        warmup: int = WARMUP,
        **dims: Scalar,
    ) -> Metric:
        """Return samples, one a pass unless `warmup` says otherwise, as a metric."""
        better: Better = "lower" if unit == "s" else "higher"
        return Metric(
            name=name,
            unit=unit,
            better=better,
            samples=tuple(samples),
            warmup=warmup,
            dims={**dims, "location": place.location, "loop": self.timed.loops.name},
        )


@dataclass(frozen=True, kw_only=True)
class Sequential:
    """The parts of `storage.sequential`, in the order in which they are measured."""

    file: BlockFile

    def buffered(self, place: Place) -> list[Metric]:
        """Buffered writes and warm reads."""
        metrics = self._write(place, 0, "buffered")
        return [*metrics, self._bandwidth([self._read(place) for _ in self.file.passes], place, "warm")]

    def cold(self, place: Place) -> list[Metric]:
        """Buffered reads from the disk."""
        return [self._bandwidth([self._read_dropped(place, 0) for _ in self.file.passes], place, "cold")]

    def direct(self, place: Place) -> list[Metric]:
        """Writes and reads past the page cache."""
        metrics = self._write(place, DIRECT, "direct")
        self.file.check_direct(place)
        reads = [self._read(place, DIRECT) for _ in self.file.passes]  # nothing is in memory, as was just checked
        self.file.check_direct(place)
        return [*metrics, self._bandwidth(reads, place, "direct")]

    def _write(self, place: Place, how: int, cache: str) -> list[Metric]:
        calls, synced, syncs = [], [], []
        for _ in self.file.passes:
            self.file.path(place).unlink(missing_ok=True)
            written = self.file.timed.write(self.file.path(place), self.file.count, self.file.size, how)
            calls.append(self.file.bytes / written.writes)
            synced.append(self.file.bytes / (written.writes + written.sync))
            syncs.append(written.sync)
        return [
            self.file.metric("write_bandwidth", calls, place, cache=cache, sync="none"),
            self.file.metric("write_bandwidth", synced, place, cache=cache, sync="fsync"),
            self.file.metric("final_fsync_seconds", syncs, place, unit="s", cache=cache),
        ]

    def _read(self, place: Place, how: int = 0) -> Pass:
        return self.file.timed.read(self.file.path(place), self.file.in_order, self.file.size, how)

    def _read_dropped(self, place: Place, how: int) -> Pass:
        self.file.drop(place)
        return self._read(place, how)

    def _bandwidth(self, reads: Sequence[Pass], place: Place, cache: str) -> Metric:
        return self.file.metric(
            "read_bandwidth", [self.file.bytes / each.seconds for each in reads], place, cache=cache
        )


@dataclass(frozen=True, kw_only=True)
class Prefetch:
    """The one part of `storage.prefetch`."""

    file: BlockFile
    seed: int
    limit: float  # seconds a pass

    def gain(self, place: Place) -> list[Metric]:
        """Cold reads in random order, then in order, and their ratio pass by pass.

        The passes of one order follow each other: read-ahead leaves a block device's workers spread over the CPUs, and
        a pass in random order right after one in order was about a quarter slower (a loop device, Linux 6.18).
        """
        path = self.file.write(place)
        orders = self.file.in_random_order(self.seed)
        scattered = [self._rate(place, path, next(orders)) for _ in self.file.passes]
        sequential = [self._rate(place, path, self.file.in_order) for _ in self.file.passes]
        gains = [ordered / random_order for ordered, random_order in zip(sequential, scattered, strict=True)]
        return [
            self.file.metric("read_bandwidth", sequential, place, cache="cold", order="sequential"),
            self.file.metric("read_bandwidth", scattered, place, cache="cold", order="random"),
            self.file.metric("read_ahead_gain", gains, place, unit="ratio", cache="cold"),
        ]

    def _rate(self, place: Place, path: Path, offsets: Sequence[int]) -> float:
        """Return the bytes a second of one cold pass."""
        self.file.drop(place)
        return self.file.timed.read(path, offsets, self.file.size, limit=self.limit).rate * self.file.size


def run_sequential(context: Context) -> Outcome:
    """Measure `write_bandwidth`, `final_fsync_seconds` and `read_bandwidth` of one file, pass by pass.

    Cold reads and direct I/O are left out, with a warning, where a location has none; a location that fails is left
    out as a whole; Unavailable if none remains.
    """
    timed = blocks(context.spec.entry)
    file = BlockFile.of(context, timed, size=context.integer("block_bytes"))
    probe = Sequential(file=file)
    parts = {"buffered I/O": probe.buffered, "cold reads": probe.cold, "direct I/O": probe.direct}
    return on_each_location(context, timed.loops, parts, needs=file.bytes)


def run_prefetch(context: Context) -> Outcome:
    """Measure `read_bandwidth` by `order`, cold, and `read_ahead_gain`: sequential over random.

    Nothing is advised to the kernel: what it does for a plain reader is what is measured. A location whose cache
    cannot be dropped is left out; Unavailable if none remains.
    """
    timed = blocks(context.spec.entry)
    file = BlockFile.of(context, timed, size=context.integer("block_bytes"))
    probe = Prefetch(file=file, seed=context.spec.seed, limit=context.number("pass_seconds"))
    return on_each_location(context, timed.loops, {"cold reads": probe.gain}, needs=file.bytes)
