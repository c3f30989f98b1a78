"""Do the storage probes give what fio gives at the same settings? Measured in alternating rounds.

    python -m tests.agreement.storage [--rounds 10] [--directory DIRECTORY]

Without a directory, on an ext4 image that is mounted by a loop device (root): there the noise of a shared disk is
smaller. Each round runs the probes and fio on files of the same size, in an order that alternates; every case ends as
the geometric mean of harness / fio and its 95% interval (paired t on the logarithms). Bandwidths and rates are those of
whole passes, latencies are means. fio 3.33 or newer.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal

from harness.agent.messages import CellSpec, Location, Metric, Scalar
from harness.agent.probes.storage_random import BLOCK, FAULT_AROUND
from harness.agent.task import Context, find
from tests.agreement.tf_cnn import Agreement

MIB = 2**20
FILE = 256 * MIB
LARGE = MIB
LIMIT = 120.0  # seconds for one fio
Reading = Literal["bandwidth", "iops", "latency", "write_and_sync"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One metric of a probe, and fio's options for the same."""

    name: str
    entry: str
    metric: str
    dims: Mapping[str, Scalar]
    options: tuple[str, ...]
    reading: Reading
    new_file: bool = False  # fio makes its own, as each pass of the probe does


def _sequential(cache: str, *options: str) -> Case:
    return Case(
        name=f"sequential read, {cache}",
        entry="storage.sequential",
        metric="read_bandwidth",
        dims={"cache": cache},
        options=("--rw=read", f"--bs={LARGE}", *options),
        reading="bandwidth",
    )


def _write(cache: str, *options: str) -> Case:
    return Case(
        name=f"sequential write, {cache}, fsync",
        entry="storage.sequential",
        metric="write_bandwidth",
        dims={"cache": cache, "sync": "fsync"},
        options=("--rw=write", f"--bs={LARGE}", "--end_fsync=1", "--fallocate=none", *options),
        reading="bandwidth",
        new_file=True,
    )


def _random(cache: str, depth: int, *options: str) -> Case:
    part = FILE // depth
    threads = (f"--numjobs={depth}", "--thread", "--group_reporting", f"--size={part}", f"--offset_increment={part}")
    return Case(
        name=f"random read, {cache}, {depth} in flight",
        entry="storage.random",
        metric="read_iops",
        dims={"cache": cache, "in_flight": depth},
        options=("--rw=randread", f"--bs={BLOCK}", *threads, *options),
        reading="iops",
    )


def _latency(metric: str, cache: str, *options: str) -> Case:
    return Case(
        name=f"{metric}, {cache}",
        entry="storage.random",
        metric=metric,
        dims={"cache": cache},
        options=("--rw=randread", f"--bs={BLOCK}", *options),
        reading="latency",
    )


def _synced(call: str) -> Case:
    return Case(
        name=f"4 KiB write and {call}",
        entry="storage.random",
        metric="fsync_seconds",
        dims={"sync": call},
        options=("--rw=randwrite", f"--bs={BLOCK}", f"--{call}=1", "--number_ios=400", "--overwrite=1"),
        reading="write_and_sync",
    )


def _order(order: str, *options: str) -> Case:
    return Case(
        name=f"read-ahead: {order}",
        entry="storage.prefetch",
        metric="read_bandwidth",
        dims={"order": order},
        options=(f"--bs={64 * 1024}", *options),
        reading="bandwidth",
    )


# What made fio differ until it was set: fadvise_hint=0, since the probes give no hint but for random order; the file,
# which must be written by writes as large as the probe's (the page cache keeps it in folios of that size).
MAPPED = ("--ioengine=mmap", f"--blockalign={FAULT_AROUND}", "--number_ios=400")
CASES = (
    _write("buffered"),
    _write("direct", "--direct=1"),
    _sequential("warm", "--loops=20", "--fadvise_hint=0"),
    _sequential("cold", "--fadvise_hint=0"),
    _sequential("direct", "--direct=1"),
    *(_random("warm", depth, "--loops=4") for depth in (1, 4)),
    *(_random("cold", depth) for depth in (1, 4, 16, 32)),
    *(_random("direct", depth, "--direct=1") for depth in (1, 4, 16, 32)),
    _latency("read_seconds", "warm"),
    _latency("read_seconds", "cold"),
    _latency("read_seconds", "direct", "--direct=1"),
    _latency("mapped_read_seconds", "warm", *MAPPED),
    _latency("mapped_read_seconds", "cold", *MAPPED),
    _synced("fsync"),
    _synced("fdatasync"),
    _order("sequential", "--rw=read", "--fadvise_hint=0"),
    _order("random", "--rw=randread", "--fadvise_hint=0"),
)
PARAMS: Mapping[str, Mapping[str, Scalar]] = {
    "storage.sequential": {"bytes": FILE, "rounds": 3},
    "storage.random": {"bytes": FILE, "rounds": 2, "pass_seconds": 0.5},
    "storage.prefetch": {"bytes": FILE, "rounds": 3, "pass_seconds": 2.0},
}


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
    """Return B/s, operations a second, or mean seconds an operation, of the one job (group) in fio's JSON."""
    (job,) = json.loads(text[text.index("{") :])["jobs"]
    if job["error"]:
        raise ValueError(f"fio: error {job['error']}")
    side: Mapping[str, Any] = job["write"] if job["write"]["total_ios"] else job["read"]
    match reading:
        case "bandwidth":
            return float(side["io_bytes"]) / float(side["runtime"]) * 1000  # runtime is in milliseconds
        case "iops":
            return float(side["total_ios"]) / float(side["runtime"]) * 1000
        case "latency":
            return float(side["clat_ns"]["mean"]) * 1e-9
        case "write_and_sync":
            return (float(side["clat_ns"]["mean"]) + float(job["sync"]["lat_ns"]["mean"])) * 1e-9


def pairs(directory: Path, rounds: int) -> Iterator[tuple[Case, float, float]]:
    """Yield (case, harness, fio) in SI units, round by round, harness and fio taking turns to be first."""
    for number in range(rounds):
        measures = (_harness, _fio) if number % 2 == 0 else (_fio, _harness)
        for entry in PARAMS:
            cases = [case for case in CASES if case.entry == entry]
            found = {measure: measure(entry, cases, directory) for measure in measures}
            yield from zip(cases, found[_harness], found[_fio], strict=True)


def _harness(entry: str, cases: Sequence[Case], directory: Path) -> list[float]:
    task = find(entry)
    assert task is not None
    spec = CellSpec(
        cell=f"native/driver/{entry}",
        platform="native",
        stack="driver",
        task=entry,
        entry=entry,
        params={**task.params, **PARAMS[entry]},
        device="cpu",
        block=1,
        attempt=1,
        seed=1,
        locations=(Location(name="here", path=str(directory)),),
    )
    outcome = task.run(Context(spec=spec, params=spec.params, progress=lambda *_: None))
    return [_value(case, outcome.metrics) for case in cases]


def _value(case: Case, metrics: Sequence[Metric]) -> float:
    (metric,) = (each for each in metrics if each.name == case.metric and case.dims.items() <= each.dims.items())
    measured = metric.samples[metric.warmup :]
    return median(measured) if case.reading in ("bandwidth", "iops") else fmean(measured)


def _fio(entry: str, cases: Sequence[Case], directory: Path) -> list[float]:
    file = directory / "fio"
    try:
        with file.open("wb", buffering=0) as laid_out:
            for _ in range(FILE // LARGE):
                laid_out.write(bytes(LARGE))
        subprocess.run(["sync", str(file)], check=True)
        return [_one_fio(case, file) for case in cases]
    finally:
        file.unlink(missing_ok=True)


def _one_fio(case: Case, file: Path) -> float:
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        if case.dims.get("cache") == "warm":
            file.read_bytes()
        else:
            subprocess.run(["dd", f"if={file}", "iflag=nocache", "count=0"], check=True, capture_output=True)
        command = fio_command(case, Path(folder, "new") if case.new_file else file)
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=LIMIT)
        return read_fio(done.stdout, case.reading)


@contextmanager
def ext4_image(size: int = 2**30) -> Iterator[Path]:
    """Mount a new ext4 file system of `size` bytes in a temporary folder; needs root."""
    with tempfile.TemporaryDirectory() as folder:
        image, mounted = Path(folder, "image"), Path(folder, "mounted")
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(size)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True)
        try:
            yield mounted
        finally:
            subprocess.run(["umount", str(mounted)], check=True)


def compare(directory: Path, rounds: int) -> Mapping[str, Agreement]:
    """Measure all cases; return the agreement of each by its name."""
    ratios: dict[str, list[float]] = {case.name: [] for case in CASES}
    for case, harness, fio in pairs(directory, rounds):
        ratios[case.name].append(harness / fio)
        sys.stdout.write(f"{case.name}: harness {harness:.5g}, fio {fio:.5g}, ratio {harness / fio:.3f}\n")
        sys.stdout.flush()
    return {name: Agreement.of(found) for name, found in ratios.items()}


def main(argv: Sequence[str]) -> int:
    """Print every case; return 0 where all agree, else 1."""
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
    for name, agreement in found.items():
        sys.stdout.write(f"{name}: {agreement}\n")
    return 0 if all(abs(agreement.mean - 1) <= 0.05 or agreement.holds for agreement in found.values()) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
