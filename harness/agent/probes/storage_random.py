"""Random I/O: 4 KiB of one file at a time, by pread, by page faults, and written with fsync.

`in_flight` threads read, each its own part of a random order of all blocks; no block is read twice in a pass, and
each pass has another order. A pass ends with the file or its time limit; a sample of `read_iops` is one pass, samples
of the latencies are single operations, spread evenly over each pass. By `cache`: `warm` reads find their pages in
memory; `cold` ones find none and read no page ahead (POSIX_FADV_RANDOM); `direct` ones go past the cache (O_DIRECT).
Writes with fsync go to a file that is in memory: an fsync looks through the cached folio that the block lies in.

A mapped read copies a block out of a shared mapping (MADV_RANDOM). A fault also maps pages around it, how many is the
kernel's and the file's matter; so each block is unmapped again before it is read, and every read is a fault.

On Windows the same by ReadFile, FILE_FLAG_RANDOM_ACCESS and FILE_FLAG_NO_BUFFERING; VirtualUnlock unmaps. It can't
drop a file's pages, so there are no cold reads, and it has no fdatasync.

There is no Python loop for any of it: a warm read takes less time than the interpreter.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import get_args

from harness.agent.blocks import DIRECT, MAPPED, NO_READ_AHEAD, NativeBlocks, Pass, SyncCall, native_blocks
from harness.agent.messages import Metric, Scalar
from harness.agent.probes.storage_blocks import WARMUP, BlockFile
from harness.agent.probes.storage_locations import Place, on_each_location
from harness.agent.task import Context, Outcome

BLOCK = 4096
DEPTHS = (1, 4, 16, 32)
LATENCIES = 250  # samples a pass


@dataclass(frozen=True, kw_only=True)
class Random:
    """The parts of `storage.random`, in the order in which they are measured."""

    file: BlockFile
    timed: NativeBlocks
    seed: int
    limit: float  # seconds a pass

    def warm(self, place: Place) -> list[Metric]:
        """Reads and page faults that find their pages in memory, where writing has left them."""
        self.file.write(place)
        return [*self._reads(place, NO_READ_AHEAD, "warm"), self._mapped(place, "warm")]

    def synced(self, place: Place) -> list[Metric]:
        """Writes, each forced to the disk before the next."""
        calls: tuple[SyncCall, ...] = ("fsync",) if sys.platform == "win32" else get_args(SyncCall)
        return [self._synced(place, call) for call in calls]

    def cold(self, place: Place) -> list[Metric]:
        """Reads and page faults from the disk."""
        return [*self._reads(place, NO_READ_AHEAD, "cold"), self._mapped(place, "cold")]

    def direct(self, place: Place) -> list[Metric]:
        """Reads past the page cache."""
        metrics = self._reads(place, DIRECT, "direct")
        self.file.check_direct(place)
        return metrics

    def _reads(self, place: Place, how: int, cache: str) -> list[Metric]:
        """Read at each depth, the shallow ones first.

        Many reads in flight leave a block device's workers spread over the CPUs for a while: single reads that followed
        them took 10 to 45% longer (a loop device, Linux 6.18).
        """
        orders = self.file.in_random_order(self.seed)
        passes = {
            depth: [self._read(place, next(orders), how, cache, threads=depth) for _ in self.file.passes]
            for depth in DEPTHS
        }
        rates = [
            self.file.metric("read_iops", [each.rate for each in done], place, unit="1/s", cache=cache, in_flight=depth)
            for depth, done in passes.items()
        ]
        return [*rates, self._latencies("read_seconds", passes[1], place, cache=cache, in_flight=1)]

    def _mapped(self, place: Place, cache: str) -> Metric:
        how = MAPPED | NO_READ_AHEAD
        orders = self.file.in_random_order(self.seed)
        passes = [self._read(place, next(orders), how, cache) for _ in self.file.passes]
        return self._latencies("mapped_read_seconds", passes, place, cache=cache)

    def _read(self, place: Place, offsets: Sequence[int], how: int, cache: str, threads: int = 1) -> Pass:
        if cache == "cold" or (cache == "direct" and sys.platform != "win32"):
            self.file.drop(place)
        path = self.file.path(place)
        return self.timed.read(path, offsets, self.file.size, how, threads=threads, limit=self.limit)

    def _synced(self, place: Place, call: SyncCall) -> Metric:
        orders = self.file.in_random_order(self.seed)
        path, size, limit = self.file.path(place), self.file.size, self.limit
        passes = [self.timed.sync(path, next(orders), size, call, limit=limit) for _ in self.file.passes]
        return self._latencies("fsync_seconds", passes, place, sync=call)

    def _latencies(self, name: str, passes: Sequence[Pass], place: Place, **dims: Scalar) -> Metric:
        """Return single operations' seconds, at most LATENCIES of each pass."""
        spread = [_spread(each.operations) for each in passes]
        warmup = sum(map(len, spread[:WARMUP]))
        return self.file.metric(name, tuple(chain(*spread)), place, unit="s", warmup=warmup, **dims)


def _spread(values: Sequence[float]) -> Sequence[float]:
    return values[:: -(-len(values) // LATENCIES)]


def run_random(context: Context) -> Outcome:
    """Measure `read_iops` by `in_flight`, `read_seconds`, `mapped_read_seconds` and `fsync_seconds` (4 KiB written).

    Cold reads and direct I/O are left out, with a warning, where a location has none; a location that fails is left
    out as a whole. Raises Unavailable if none remains, and without the native helper.
    """
    timed = native_blocks(context.spec.entry)
    file = BlockFile.of(context, timed, size=BLOCK, least=DEPTHS[-1])
    probe = Random(file=file, timed=timed, seed=context.spec.seed, limit=context.number("pass_seconds"))
    parts = {
        "warm reads": probe.warm,
        "synced writes": probe.synced,
        "cold reads": probe.cold,
        "direct I/O": probe.direct,
    }
    return on_each_location(context, timed.loops, parts, needs=file.bytes)
