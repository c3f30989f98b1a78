"""`nox -s bench`: what the harness itself costs, paired and repeated. A benchmark to read, not a test to pass.

Each row is a median over repetitions with the 95% interval of the median's paired difference (bootstrap), beside the
goal. What is compared alternates, so that a busy machine burdens both sides.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import bootstrap

from harness import platforms, stacks
from harness.agent.helper import loops
from harness.agent.loops import PythonLoops
from harness.agent.messages import CellSpec
from harness.errors import HarnessError
from harness.matrix.model import Container, Native, StackConfig
from harness.platforms.base import Job, Platform
from harness.stacks import Stack
from tests.bench import agent
from tests.program import ROOT, environment, harness
from tests.synthetic import write_bundle

REPETITIONS = 15


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the median and its 95% percentile-bootstrap interval."""
    found = bootstrap((np.array(values),), np.median, method="percentile", rng=1).confidence_interval
    return statistics.median(values), float(found.low), float(found.high)


def plan_seconds() -> list[float]:
    """Time `plan` on a warm machine: the first call, which fills caches, is left out."""

    def plan() -> None:
        done = harness("plan", cwd=ROOT)
        if done.returncode:
            sys.exit(done.stderr)

    plan()
    return [seconds(plan) for _ in range(REPETITIONS)]


def launch(platform: Platform, stack: Stack, number: int, folder: Path) -> None:
    """Run a cell that measures next to nothing: one sample of a delay of 1 µs."""
    work = folder / f"{platform.name}-{number}"
    work.mkdir()
    spec = CellSpec(
        cell=f"{platform.name}/{stack.name}/control.delay",
        platform=platform.name,
        stack=stack.name,
        task="control.delay",
        entry="control.delay",
        params={"microseconds": 1, "samples": 1},
        device="cpu",
        block=1,
        attempt=number,
        seed=0,
    )
    job = Job(spec=spec, folder=work, log=folder / "log", timeout=60, on_line=lambda _line: None)
    platform.launch(job)
    if not job.result.exists():
        sys.exit(f"{platform.name}: no result\n{job.log.read_text()}")


def beyond(platform: Platform, stack: Stack, bare: Sequence[str], folder: Path) -> list[float]:
    """Return, per repetition, a cell's seconds less those of the bare command run next to it."""

    def alone() -> None:
        subprocess.run(bare, check=True, stdout=subprocess.DEVNULL)

    launch(platform, stack, 0, folder)
    alone()
    numbers = range(1, REPETITIONS + 1)
    return [seconds(partial(launch, platform, stack, number, folder)) - seconds(alone) for number in numbers]


def native(folder: Path) -> list[float]:
    stack = stacks.resolve("driver", StackConfig.model_validate({}), root=ROOT, gpu=False)
    platform = platforms.create(
        "native", Native.model_validate({"kind": "native"}), gpu=False, scratch=folder / "scratch", run_id="bench"
    )
    platform.prepare(stack, lambda _text: None)
    python = str(stacks.environment(stack, lambda _text: None))
    try:
        return beyond(platform, stack, [python, "-c", "pass"], folder)
    finally:
        platform.close()


def container(folder: Path) -> list[float]:
    stack = stacks.resolve("driver", StackConfig.model_validate({}), root=ROOT, gpu=False)
    config = Container.model_validate({"kind": "container"})
    platform = platforms.create("docker", config, gpu=False, scratch=folder / "scratch", run_id="bench")
    try:
        provenance = platform.prepare(stack, lambda _text: None).provenance
        image = str(provenance["image"])
        bare = [
            "docker",
            "run",
            "--rm",
            "--network",
            "none",
            "--entrypoint",
            "/opt/stack/bin/python",
            image,
            "-c",
            "pass",
        ]
        return beyond(platform, stack, bare, folder)
    finally:
        platform.close()


def report(folder: Path, samples: int) -> tuple[list[float], float]:
    """Return the seconds of three reports of so many samples (a little more), and the page's size in MB."""
    bundle = write_bundle(folder / f"bundle-{samples}", blocks=10, samples=samples // 250)
    times = []
    for number in range(3):
        out = folder / f"report-{samples}-{number}"
        command = [sys.executable, "-m", "harness", "report", str(bundle), "-o", str(out)]
        write = partial(subprocess.run, command, check=True, env=environment(), stdout=subprocess.DEVNULL)
        times.append(seconds(write))
    return times, (folder / f"report-{samples}-0/index.html").stat().st_size / 1e6


def _peak_gigabytes() -> float:
    """Return the peak memory of the largest process that this one waited for: the report of a million samples."""
    import resource  # noqa: PLC0415 - POSIX only

    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9  # Linux counts KiB


def main() -> int:
    table = Table("what", "median", "95%", "goal", box=None)

    def row(what: str, values: Sequence[float], goal: float) -> None:
        middle, low, high = interval(values)
        table.add_row(what, f"{middle:.3f} s", f"{low:.3f}–{high:.3f}", f"< {goal:g} s")

    def plain(what: str, values: Sequence[float], unit: str, goal: str, scale: float = 1.0) -> None:
        middle, low, high = (scale * value for value in interval(values))
        table.add_row(what, f"{middle:.4g}{unit}", f"{low:.4g}–{high:.4g}", goal)

    with tempfile.TemporaryDirectory(prefix="overhead-matrix-bench-") as name:
        folder = Path(name)
        row("plan, warm", plan_seconds(), 1.0)
        row("native cell beyond bare python", native(folder), 0.3)
        try:
            row("container cell beyond bare docker run", container(folder), 1.0)
        except HarnessError as error:
            table.add_row("container cell beyond bare docker run", f"not measured: {error}", "", "< 1 s")
        row("agent's start above bare python", agent.start_seconds(folder, REPETITIONS), 0.15)
        plain("telemetry, of a core", agent.sampler_shares(REPETITIONS), " %", "< 0.5 %", scale=100)
        shares = agent.simulated_nvml_shares(REPETITIONS)
        plain("telemetry with simulated NVML, of a core", shares, " %", "< 0.5 %", scale=100)
        plain("step with telemetry / without", agent.step_ratios(2 * REPETITIONS), "", "1.000 ± 0.002")
        plain("beside a sample, native loop", agent.overheads(loops("empty_call"), REPETITIONS), " µs", "", scale=1e6)
        plain("beside a sample, Python loop", agent.overheads(PythonLoops(), REPETITIONS), " µs", "", scale=1e6)
        for samples, goal in ((100_000, 5.0), (1_000_000, 30.0)):
            times, megabytes = report(folder, samples)
            row(f"report of {samples:,} samples", times, goal)
            table.add_row("its page", f"{megabytes:.2f} MB", "", "< 3 MB")
        table.add_row("memory of the largest child, at most", f"{_peak_gigabytes():.2f} GB", "", "< 3 GB")
    Console(width=140 if not os.isatty(1) else None).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
