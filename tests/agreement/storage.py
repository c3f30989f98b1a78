"""Do the storage probes give what fio gives at the same settings? Measured in alternating rounds.

    python -m tests.agreement.storage [--rounds 10] [--directory DIRECTORY]

Without a directory, on an ext4 image in memory that is mounted by a loop device (root), where no shared disk makes
noise. Each round runs the probes' parts and fio on files of the same size, in an order that alternates; every case ends
as the geometric mean of harness / fio and its 95% interval (paired t on the logarithms). Bandwidths and rates are those
of whole passes, latencies are medians. fio 3.33 or newer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from harness.agent.blocks import NativeBlocks
from harness.agent.helper import load
from harness.agent.messages import Metric, Scalar
from harness.agent.probes.storage_blocks import BlockFile, Prefetch, Sequential
from harness.agent.probes.storage_locations import Part, Place
from harness.agent.probes.storage_random import BLOCK, Random
from tests.agreement.cells import folder_in_memory
from tests.agreement.tf_cnn import Agreement

MIB = 2**20
FILE = 64 * MIB
LARGE = MIB
LIMIT = 120.0  # seconds for one fio
Reading = Literal["bandwidth", "written", "iops", "latency", "write_and_sync"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One metric of a probe, and fio's options for the same."""

    name: str
    part: str  # of the probe
    metric: str
    dims: Mapping[str, Scalar]
    options: tuple[str, ...]
    reading: Reading
    new_file: bool = False  # fio makes its own, as each pass of the probe does


def _sequential(cache: str, *options: str) -> Case:
    return Case(
        name=f"sequential read, {cache}",
        part="buffered" if cache == "warm" else cache,
        metric="read_bandwidth",
        dims={"cache": cache},
        options=("--rw=read", f"--bs={LARGE}", *options),
        reading="bandwidth",
    )


def _write(cache: str, *options: str) -> Case:
    return Case(
        name=f"sequential write, {cache}, fsync",
        part=cache,
        metric="write_bandwidth",
        dims={"cache": cache, "sync": "fsync"},
        options=("--rw=write", f"--bs={LARGE}", "--end_fsync=1", "--fallocate=none", *options),
        reading="written",
        new_file=True,
    )


def _random(cache: str, depth: int, *options: str) -> Case:
    part = FILE // depth
    threads = (f"--numjobs={depth}", "--thread", "--group_reporting", f"--size={part}", f"--offset_increment={part}")
    return Case(
        name=f"random read, {cache}, {depth} in flight",
        part=f"random {cache}",
        metric="read_iops",
        dims={"cache": cache, "in_flight": depth},
        options=("--rw=randread", f"--bs={BLOCK}", *threads, *options),
        reading="iops",
    )


def _latency(metric: str, cache: str, *options: str) -> Case:
    return Case(
        name=f"{metric}, {cache}",
        part=f"random {cache}",
        metric=metric,
        dims={"cache": cache},
        options=("--rw=randread", f"--bs={BLOCK}", *options),
        reading="latency",
    )


def _synced(call: str) -> Case:
    return Case(
        name=f"4 KiB write and {call}",
        part="random synced",
        metric="fsync_seconds",
        dims={"sync": call},
        options=("--rw=randwrite", f"--bs={BLOCK}", f"--{call}=1", "--number_ios=400", "--overwrite=1"),
        reading="write_and_sync",
    )


def _order(order: str, *options: str) -> Case:
    return Case(
        name=f"read-ahead: {order}",
        part="prefetch",
        metric="read_bandwidth",
        dims={"order": order},
        options=(f"--bs={64 * 1024}", *options),
        reading="bandwidth",
    )


# What made fio differ until it was set: fadvise_hint=0, since the probes give no hint but for random order; the file,
# which must be written by writes as large as the probe's (the page cache keeps it in folios of that size).
# Synced writes go to a file in memory, as the probe's does: there fsync looks through the large folio that a block lies
# in, which took 2 to 3 times as long on kernel 6.18 as after a drop.
# A warm mapped read has no equal in fio: its pages stay mapped, and a fault maps those around it too.
CASES = (
    _write("buffered"),
    _write("direct", "--direct=1"),
    _sequential("warm", "--loops=20", "--fadvise_hint=0"),
    _sequential("cold", "--fadvise_hint=0"),
    _sequential("direct", "--direct=1"),
    *(_random("warm", depth, "--loops=20") for depth in (1, 4)),
    *(_random("cold", depth) for depth in (1, 4, 16, 32)),
    *(_random("direct", depth, "--direct=1") for depth in (1, 4, 16, 32)),
    _latency("read_seconds", "warm"),
    _latency("read_seconds", "cold"),
    _latency("read_seconds", "direct", "--direct=1"),
    _latency("mapped_read_seconds", "cold", "--ioengine=mmap"),
    _synced("fsync"),
    _synced("fdatasync"),
    _order("sequential", "--rw=read", "--fadvise_hint=0"),
    _order("random", "--rw=randread", "--fadvise_hint=0"),
)


def fio_command(case: Case, file: Path) -> list[str]:
    """Return the command that measures the case on `file`, one system call an operation.

    fio drops a file's pages within its own measured time and reads into a buffer that begins beside a page: neither is
    what the probes do, so its pages are dropped before and the buffer is aligned.
    """
    alike = ("--invalidate=0", "--iomem_align=4096", "--output-format=json")
    engine = () if any(option.startswith("--ioengine") for option in case.options) else ("--ioengine=psync",)
    size = () if any(option.startswith("--size") for option in case.options) else (f"--size={FILE}",)
    return ["fio", "--name=agreement", f"--filename={file}", *alike, *engine, *size, *case.options]


def read_fio(text: str, reading: Reading) -> float:
    """Return B/s, operations a second, or median seconds an operation, of the one job (group) in fio's JSON."""
    (job,) = json.loads(text[text.index("{") :])["jobs"]
    if job["error"]:
        raise ValueError(f"fio: error {job['error']}")
    side: Mapping[str, Any] = job["write"] if job["write"]["total_ios"] else job["read"]
    match reading:
        case "written":
            return float(side["io_bytes"]) / float(side["runtime"]) * 1000  # in whole milliseconds, the fsync included
        case "bandwidth":
            return float(side["io_bytes"]) / float(side["total_ios"]) / float(side["clat_ns"]["mean"]) * 1e9
        case "iops":
            return float(side["total_ios"]) / float(side["runtime"]) * 1000
        case "latency":
            return _median(side["clat_ns"])
        case "write_and_sync":
            return _median(side["clat_ns"]) + _median(job["sync"]["lat_ns"])


def _median(latencies: Mapping[str, Any]) -> float:
    return float(latencies["percentile"]["50.000000"]) * 1e-9


def pairs(directory: Path, rounds: int) -> Iterator[tuple[Case, float, float]]:
    """Yield (case, harness, fio) in SI units, part by part, harness and fio taking turns to be first."""
    helper = load()
    if helper is None:
        raise SystemExit("the native helper is missing: build it with `nox -s native`")
    place = Place(location="here", directory=directory)
    for number in range(rounds):
        parts = _parts(NativeBlocks(loops=helper), seed=number)
        for name, part in parts.items():
            cases = [case for case in CASES if case.part == name]
            if number % 2 == 0:
                harness = _harness(cases, part, place)
                fio = _fio(cases, directory)
            else:
                fio = _fio(cases, directory)
                harness = _harness(cases, part, place)
            yield from zip(cases, harness, fio, strict=True)


def _parts(timed: NativeBlocks, seed: int) -> Mapping[str, Part]:
    """Return the probes' parts; those of one probe in their order, the first makes the file."""
    sequential = Sequential(file=BlockFile(timed=timed, count=FILE // LARGE, size=LARGE, rounds=2))
    random = Random(
        file=BlockFile(timed=timed, count=FILE // BLOCK, size=BLOCK, rounds=1), timed=timed, seed=seed, limit=0.5
    )
    ordered = BlockFile(timed=timed, count=FILE // (64 * 1024), size=64 * 1024, rounds=2)
    return {
        "buffered": sequential.buffered,
        "cold": sequential.cold,
        "direct": sequential.direct,
        "random warm": random.warm,
        "random synced": random.synced,
        "random cold": random.cold,
        "random direct": random.direct,
        "prefetch": Prefetch(file=ordered, seed=seed, limit=0.5).gain,
    }


def _harness(cases: Sequence[Case], part: Part, place: Place) -> list[float]:
    metrics = part(place)
    return [_value(case, metrics) for case in cases]


def _value(case: Case, metrics: Sequence[Metric]) -> float:
    (metric,) = (each for each in metrics if each.name == case.metric and case.dims.items() <= each.dims.items())
    return median(metric.samples[metric.warmup :])


def _fio(cases: Sequence[Case], directory: Path) -> list[float]:
    return [_one_fio(case, directory / "fio") for case in cases]


def _one_fio(case: Case, file: Path) -> float:
    try:
        if not case.new_file:
            _lay_out(file, warm=case.dims.get("cache") == "warm" or case.reading == "write_and_sync")
        done = subprocess.run(fio_command(case, file), check=True, capture_output=True, text=True, timeout=LIMIT)
    finally:
        file.unlink(missing_ok=True)
    return read_fio(done.stdout, case.reading)


def _lay_out(file: Path, *, warm: bool) -> None:
    """Write the file as the probes do: by large writes, forced to the disk, in memory or dropped from it."""
    with file.open("xb", buffering=0) as opened:
        for _ in range(FILE // LARGE):
            opened.write(os.urandom(LARGE))
    subprocess.run(["sync", str(file)], check=True)
    if not warm:
        subprocess.run(["dd", f"if={file}", "iflag=nocache", "count=0"], check=True, capture_output=True)


@contextmanager
def ext4_image(size: int = 2**30) -> Iterator[Path]:
    """Mount a new ext4 file system of `size` bytes in a temporary folder; needs root."""
    with folder_in_memory() as folder:
        image, mounted = folder / "image", folder / "mounted"
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True)
        try:
            yield mounted
        finally:
            subprocess.run(["umount", str(mounted)], check=True)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All pairs of one case."""

    case: Case
    agreement: Agreement
    best: float  # the best of the harness / the best of fio: other programs make a run slower, never faster

    @classmethod
    def of(cls, case: Case, found: Sequence[tuple[float, float]]) -> Comparison:
        """Compare two pairs (harness, fio) or more."""
        choose = min if case.reading in ("latency", "write_and_sync") else max
        harness, fio = zip(*found, strict=True)
        ratios = [ours / theirs for ours, theirs in found]
        return cls(case=case, agreement=Agreement.of(ratios), best=choose(harness) / choose(fio))

    @property
    def verdict(self) -> Literal["agrees", "DIFFERS", "too noisy to tell"]:
        """Agreement is an interval within 10% of 1, difference one that lies beyond 5%."""
        low, high = self.agreement.low, self.agreement.high
        if low > 1.05 or high < 0.95:
            return "DIFFERS"
        return "agrees" if low > 0.9 and high < 1.1 else "too noisy to tell"

    def __str__(self) -> str:
        mean, low, high = self.agreement.mean, self.agreement.low, self.agreement.high
        return (
            f"{self.case.name}: {mean:.3f}, 95% interval {low:.3f} to {high:.3f}, best {self.best:.3f}: {self.verdict}"
        )


def compare(directory: Path, rounds: int) -> list[Comparison]:
    """Measure all cases, telling each pair on stdout."""
    found: dict[str, list[tuple[float, float]]] = {case.name: [] for case in CASES}
    for case, harness, fio in pairs(directory, rounds):
        found[case.name].append((harness, fio))
        _tell(f"{case.name}: harness {harness:.5g}, fio {fio:.5g}, ratio {harness / fio:.3f}")
    return [Comparison.of(case, found[case.name]) for case in CASES]


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main(argv: Sequence[str]) -> int:
    """Print every case; return 1 where one differs or fio is missing, else 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--directory", type=Path)
    arguments = parser.parse_args(argv)
    if shutil.which("fio") is None:
        raise SystemExit("fio is missing: install the package fio")
    if arguments.directory:
        found = compare(arguments.directory, arguments.rounds)
    else:
        with ext4_image() as mounted:
            found = compare(mounted, arguments.rounds)
    for each in found:
        _tell(f"harness / fio, {each}")
    return 1 if any(each.verdict == "DIFFERS" for each in found) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
