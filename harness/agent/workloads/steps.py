"""What every training workload records of its steps, what it reports of them, and when not to believe them."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.agent.messages import Metric
from harness.agent.task import Outcome

FEW_STEPS = 10  # timed steps below which a median says little

_imported = time.perf_counter()


def process_seconds() -> float:
    """Return the seconds since this process started, to 10 ms; where no system tells, since this module's import."""
    try:
        if sys.platform == "win32":
            from harness.agent import win32  # noqa: PLC0415 - Windows only

            return win32.process_seconds()
        stat = Path("/proc/self/stat").read_text(encoding="ascii", errors="replace")
        started = int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")  # field 22, see proc(5)
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (OSError, ValueError, IndexError, AttributeError):
        return time.perf_counter() - _imported


@dataclass(kw_only=True)
class Recorder:
    """Collects the steps of one training, warm-up first."""

    warmup: int
    batches: int
    progress: Callable[[int, int, str], None]
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    startup_seconds: float = math.nan  # from the process's start to the end of the first step

    @property
    def expected(self) -> int:
        """How many steps there should be in the end, warm-up included."""
        return self.warmup + self.batches

    def add(self, seconds: float, loss: float) -> None:
        """Record a step that has just ended."""
        if not self.seconds:
            self.startup_seconds = process_seconds()
        self.seconds.append(seconds)
        self.losses.append(loss)
        self.progress(len(self.seconds), self.expected, "steps")

    def complaint(self) -> str:
        """Return '' if every step was made and every loss is finite, else what is wrong."""
        if len(self.seconds) != self.expected:
            return f"{len(self.seconds)} steps were made, {self.expected} were asked for (warm-up included)."
        wrong = next((index for index, loss in enumerate(self.losses) if not math.isfinite(loss)), None)
        if wrong is None:
            return ""
        step = f"step {wrong + 1 - self.warmup}" if wrong >= self.warmup else f"warm-up step {wrong + 1}"
        return f"The loss is {self.losses[wrong]} from {step} on: the training is not sound."


def record(recorder: Recorder, timed: Callable[[int], tuple[float, float]]) -> float:
    """Make every step by `timed`, which returns its seconds and its loss, and record it.

    Return the seconds of the timed steps, what lies between them included.
    """
    timed_from = time.perf_counter()
    for step in range(recorder.expected):
        if step == recorder.warmup:
            timed_from = time.perf_counter()
        recorder.add(*timed(step))
    return time.perf_counter() - timed_from


def throughput(name: str, unit: str, value: float) -> Metric:
    """Return what was got done in a second over all timed steps, what lies between them included: one value."""
    return Metric(name=name, unit=unit, better="higher", samples=(value,))


def outcome(
    recorder: Recorder,
    *,
    per_second: Metric,
    import_seconds: float,
    versions: Mapping[str, str],
    warnings: tuple[str, ...] = (),
    further: tuple[Metric, ...] = (),
) -> Outcome:
    """Return the outcome of a training: its metrics, or status `failed` with the complaint about its steps."""
    complaint = recorder.complaint()
    if complaint:
        return Outcome(metrics=(), versions=versions, warnings=warnings, status="failed", reason=complaint)
    steps = Metric(
        name="step_seconds", unit="s", better="lower", samples=tuple(recorder.seconds), warmup=recorder.warmup
    )
    single = (
        per_second,
        Metric(name="startup_seconds", unit="s", better="lower", samples=(recorder.startup_seconds,)),
        Metric(name="import_seconds", unit="s", better="lower", samples=(import_seconds,)),
    )
    return Outcome(metrics=(steps, *further, *single), versions=versions, warnings=(*warnings, *_few(recorder)))


def _few(recorder: Recorder) -> tuple[str, ...]:
    if recorder.batches >= FEW_STEPS:
        return ()
    return (f"{recorder.batches} timed steps: too few for a median. Set num_batches to {FEW_STEPS} or more.",)
