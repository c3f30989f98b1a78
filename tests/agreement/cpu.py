"""Do the CPU and memory probes give what independent tools give on the same machine? Measured in alternating pairs.

    python -m tests.agreement.cpu [--pairs 10] [--only NAME]

The tools: perf and rt-tests (cyclictest) from a distribution; STREAM (one thread, arrays of STREAM_BYTES) and lmbench's
lat_mem_rd are built by whoever measures and found on the PATH as `stream` and `lat_mem_rd`. One that is missing is
named as missing. STREAM wants -DOFFSET=262144: arrays exactly 256 MiB apart, as it has them otherwise, share the ways
of a cache, which cost an AMD EPYC a third of its bandwidth. A comparison uses that statistic of the harness's samples
which the tool prints of its own: a mean, a median or the best.
"""

from __future__ import annotations

import argparse
import mmap
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, median

from harness.agent.cpus import cpu_to_pin
from harness.agent.execute import execute
from harness.agent.messages import CellSpec, Scalar

LIMIT = 300.0  # seconds for one run of a tool
MIB = 2**20
STREAM_BYTES = 256 * MIB  # of each array: -DSTREAM_ARRAY_SIZE=33554432 -DOFFSET=262144
WORKING_SETS = (16 * 1024, 64 * 1024, 64 * MIB)  # 256 KiB, 64 pages, are just what a small TLB reaches
TURNS = 50_000  # perf times the start and the end of its two processes, too: 2 to 4% of 5,000 turns
PAGE = mmap.PAGESIZE
# Microseconds of one measurement, and no calibration of the clock, which is nothing beside that.
LMBENCH = {"ENOUGH": "50000", "TIMING_O": "0", "LOOP_O": "0"}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One metric of one task of the harness, and the statistic of its samples."""

    entry: str
    metric: str
    statistic: Callable[[Sequence[float]], float]
    dims: Mapping[str, Scalar] = field(default_factory=dict)
    params: Mapping[str, Scalar] = field(default_factory=dict)

    def value(self) -> float:
        """Run the task in this process."""
        spec = CellSpec(
            cell=f"native/driver/{self.entry}",
            platform="native",
            stack="driver",
            task=self.entry,
            entry=self.entry,
            params=self.params,
            device="cpu",
            block=1,
            attempt=1,
            seed=1,
        )
        result = execute(spec, lambda done, total, note: None)
        wanted = {"loop": "native", **self.dims}.items()
        for metric in result.metrics:
            if metric.name == self.metric and wanted <= metric.dims.items():
                return self.statistic(metric.samples[metric.warmup :])
        raise SystemExit(f"{self.entry}: no {self.metric} with {dict(wanted)}: {result.status} {result.reason}")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A probe and an independent way to the same quantity; `program` is what that needs."""

    name: str
    probe: Probe
    program: str
    tool: Callable[[], float]

    @property
    def missing(self) -> bool:
        """Whether the tool is not installed."""
        return shutil.which(self.program) is None

    def pairs(self, count: int) -> Iterator[tuple[float, float]]:
        """Yield (harness, tool), measured one after the other in an order that alternates."""
        for number in range(count):
            if number % 2 == 0:
                tool = self.tool()
                yield self.probe.value(), tool
            else:
                yield self.probe.value(), self.tool()


def syscall_argv(calls: int) -> list[str]:
    """Return perf's own loop of getppid."""
    return ["perf", "bench", "syscall", "basic", "--loop", str(calls)]


def switch_argv(turns: int, *, threads: bool, cpu: int | None) -> list[str]:
    """Return perf's ping-pong through two pipes, bound to one CPU or free."""
    pinned = ["taskset", "-c", str(cpu)] if cpu is not None else []
    return [*pinned, "perf", "bench", "sched", "pipe", "-l", str(turns), *(["-T"] if threads else [])]


def cyclictest_argv(periods: int, microseconds: int) -> list[str]:
    """Return cyclictest as an ordinary thread on an untuned system, with its histogram in microseconds."""
    return ["cyclictest", "--default-system", "-q", "-i", str(microseconds), "-l", str(periods), "-h", "5000"]


def lat_mem_rd_argv(size: int) -> list[str]:
    """Return lmbench's random walk up to a working set of `size` bytes, one load a cache line."""
    return ["lat_mem_rd", "-N", "3", "-t", str(max(1, size // MIB)), "64"]


def seconds_per_operation(output: str) -> float:
    """Read `0.183096 usecs/op` of perf bench."""
    return _number(r"([\d.]+) usecs/op", output) * 1e-6


def histogram_median(output: str) -> float:
    """Read cyclictest's histogram, `000042 000017` a line; what lies beyond it counts as later."""
    counts = [(int(value), int(count)) for value, count in re.findall(r"^(\d+) (\d+)$", output, re.MULTILINE)]
    beyond = int(_number(r"Histogram Overflows: (\d+)", output))
    half = (sum(count for _, count in counts) + beyond) / 2
    seen = 0
    for value, count in counts:
        seen += count
        if seen >= half:
            return (value + 0.5) * 1e-6  # cyclictest cuts off to whole microseconds
    raise ValueError("the median lies beyond the histogram")


def triad_rate(output: str) -> float:
    """Read STREAM's best rate of the triad, printed in 1e6 bytes per second."""
    return _number(r"^Triad:\s+([\d.]+)", output) * 1e6


def load_latency(output: str, size: int) -> float:
    """Read lat_mem_rd's nanoseconds for the working set, printed in units of 1e6 bytes or MiB by version."""
    found = re.findall(r"^(\d+\.\d+) (\d+\.\d+)$", output, re.MULTILINE)
    by_size = {float(mebibytes) * MIB: float(nanoseconds) * 1e-9 for mebibytes, nanoseconds in found}
    nearest = min(by_size, key=lambda each: abs(each - size))
    if abs(nearest / size - 1) > 0.02:
        raise ValueError(f"no line for {size} bytes in: {output[-500:]}")
    return by_size[nearest]


def comparisons() -> tuple[Comparison, ...]:
    """Return everything that this module compares."""
    return (_syscall(), *_switches(), _jitter(), _triad(), *map(_latency, WORKING_SETS))


def _syscall() -> Comparison:
    return Comparison(
        name="syscall",
        probe=Probe(entry="driver.syscall", metric="syscall_seconds", statistic=mean),
        program="perf",
        tool=lambda: seconds_per_operation(_run(syscall_argv(100_000))),
    )


def _switches() -> Iterator[Comparison]:
    for between in ("processes", "threads"):
        for cpu in (cpu_to_pin(), None):
            argv = switch_argv(TURNS, threads=between == "threads", cpu=cpu)
            yield Comparison(
                name=f"switch-{between}-{'free' if cpu is None else 'pinned'}",
                probe=Probe(
                    entry="driver.switch",
                    metric="switch_seconds",
                    statistic=mean,
                    dims={"between": between, "by": "pipe", "pinned": cpu is not None},
                    params={"samples": 50},
                ),
                program="perf",
                tool=lambda argv=argv: seconds_per_operation(_run(argv)) / 2,  # type: ignore[misc]  # bound now
            )


def _jitter() -> Comparison:
    return Comparison(
        name="jitter",
        probe=Probe(entry="driver.jitter", metric="lateness_seconds", statistic=median),
        program="cyclictest",
        tool=lambda: histogram_median(_run(cyclictest_argv(1000, 1000))),
    )


def _triad() -> Comparison:
    return Comparison(
        name="triad",
        probe=Probe(
            entry="memory.bandwidth",
            metric="triad_bandwidth",
            statistic=max,
            dims={"threads": 1},
            params={"array_bytes": STREAM_BYTES, "samples": 9, "warmup": 1},
        ),
        program="stream",
        tool=lambda: triad_rate(_run(["stream"])),
    )


def _latency(size: int) -> Comparison:
    return Comparison(
        name=f"latency-{size // 1024}KiB",
        probe=Probe(
            entry="memory.latency",
            metric="load_seconds",
            statistic=median,
            dims={"working_set": size, "page_bytes": PAGE},
            params={"max_bytes": size},
        ),
        program="lat_mem_rd",
        tool=lambda: load_latency(_run(lat_mem_rd_argv(size)), size),
    )


def _number(pattern: str, output: str) -> float:
    found = re.search(pattern, output, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {pattern!r} in: {output[-500:]}")
    return float(found[1])


def _run(argv: Sequence[str]) -> str:
    """Return what the tool prints on both streams: lmbench writes its results to stderr."""
    environment = {**os.environ, "LC_ALL": "C", **LMBENCH}
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=LIMIT, env=environment)
    return done.stdout + done.stderr


def main(argv: Sequence[str]) -> int:
    """Print for each comparison the medians, the median of the ratios, and the ratio of the best values.

    On a busy machine only the best are what both would find on an idle one: tools time in one piece what the probes
    time in many short samples.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--only", action="append", choices=[each.name for each in comparisons()])
    arguments = parser.parse_args(argv)
    for comparison in comparisons():
        if arguments.only and comparison.name not in arguments.only:
            continue
        if comparison.missing:
            sys.stdout.write(f"{comparison.name}: {comparison.program} is missing\n")
            continue
        _tell(comparison, list(comparison.pairs(arguments.pairs)))
    return 0


def _tell(comparison: Comparison, pairs: Sequence[tuple[float, float]]) -> None:
    ratios = sorted(harness / tool for harness, tool in pairs)
    best = max if comparison.probe.statistic is max else min
    harness, tool = (tuple(values) for values in zip(*pairs, strict=True))
    sys.stdout.write(
        f"{comparison.name}: harness {median(harness):.4g}, tool {median(tool):.4g}, ratio {median(ratios):.3f} "
        f"({ratios[0]:.3f} to {ratios[-1]:.3f}), of the best {best(harness) / best(tool):.3f}\n"
    )
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
