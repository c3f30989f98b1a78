"""The comparisons of tests.agreement.cpu and tests.agreement.storage as rows of the table."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from tests.agreement import cpu, storage
from tests.agreement.cells import require_native
from tests.agreement.table import Comparison, NotMeasuredError, Pair, Reason, all_of, programs

HOW_TO_GET: Mapping[str, str] = {
    "perf": "apt-get install linux-perf",
    "cyclictest": "apt-get install rt-tests",
    "lat_mem_rd": "build lmbench (https://lmbench.sourceforge.net/) and put lat_mem_rd on the PATH",
}
ELSEWHERE = frozenset({"triad"})  # with STREAM, on every number of threads, in tests.agreement.kernel

BOOKKEEPING = Reason(
    text="fio does its books between two reads: by its own latency one took 1.05 to 1.1 µs, by its IOPS 1.2 to 1.3",
    low=1.0,
    high=1.5,
)
SHORT_PASS = Reason(
    text="a pass lasts 50 ms, in which a new reader and the device's worker sometimes share a CPU; the best agree",
    low=0.7,
    high=1.1,
)
PLACEMENT = Reason(
    text="the scheduler is free to put the two on one CPU or on both, and the ratio has been anything from 0.4 to 5; "
    "pinned to one CPU they agree",
    low=0.2,
    high=5.0,
)
SHARED_CACHE = Reason(
    text="half of it lies in a cache that other machines of the host share: lat_mem_rd had 124 to 188 ns in one hour",
    low=0.75,
    high=1.33,
)
# By metric, as it stands in the table. Where a read comes from a disk, what fio does in between does not count.
REASONS: Mapping[str, Reason] = {
    **{f"read_iops, random read, warm, {depth} in flight": BOOKKEEPING for depth in (1, 4)},
    **{f"switch_seconds switch-{between}-free": PLACEMENT for between in ("processes", "threads")},
    "read_bandwidth, read-ahead: random": SHORT_PASS,
    "load_seconds latency-65536KiB": SHARED_CACHE,
}


def of_cpu() -> Iterator[Comparison]:
    """Yield a comparison for each of tests.agreement.cpu."""
    for each in cpu.comparisons():
        if each.name not in ELSEWHERE:
            yield Comparison(
                probe=each.probe.entry,
                tool=each.program,
                measured=_one_metric(each),
                missing=_program(each.program),
                reasons=REASONS,
                pairs=8,
            )


def of_storage() -> Comparison:
    """Return all cases of tests.agreement.storage, which are measured part by part in rounds."""
    return Comparison(
        probe="storage.sequential, random, prefetch",
        tool="fio",
        measured=_rounds,
        missing=all_of(require_native, programs(fio="fio")),
        reasons=REASONS,
        pairs=4,
    )


def _one_metric(each: cpu.Comparison) -> Callable[[int, random.Random], Iterator[Pair]]:
    metric = f"{each.probe.metric} {each.name}"

    def measured(pairs: int, order: random.Random) -> Iterator[Pair]:
        try:
            for ours, theirs in each.pairs(pairs):
                yield {metric: ours}, {metric: theirs}
        except SystemExit as error:  # how that module ends where the probe has no such metric here
            raise NotMeasuredError(str(error)) from error

    return measured


def _rounds(pairs: int, order: random.Random) -> Iterator[Pair]:
    with _directory() as directory:
        cases = storage.pairs(Path(directory), pairs)
        for _ in range(pairs):
            found = [next(cases) for _ in storage.CASES]
            yield (
                {_label(case): ours for case, ours, _ in found},
                {_label(case): theirs for case, _, theirs in found},
            )


def _label(case: storage.Case) -> str:
    return case.name if case.metric in case.name else f"{case.metric}, {case.name}"


def _directory() -> AbstractContextManager[Path | str]:
    """An ext4 image by a loop device, where this may be mounted: a disk of its own is the noisier place."""
    return storage.ext4_image() if os.geteuid() == 0 else tempfile.TemporaryDirectory()


def _program(name: str) -> Callable[[], str]:
    def missing() -> str:
        if not shutil.which(name):
            return f"missing: {HOW_TO_GET[name]}"
        return require_native()

    return missing


COMPARISONS: tuple[Comparison, ...] = (*of_cpu(), of_storage())
