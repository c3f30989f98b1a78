"""What every training workload records of its steps, what it reports of them, and when not to believe them."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.agent import peak_memory
from harness.agent.messages import Metric
from harness.agent.task import Context, Outcome, Span

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


@dataclass(frozen=True, kw_only=True)
class Items:
    """What a workload gets done: so many items a step, `image` or `token`, of which the cell's own device does a part.

    A training shared by several GPUs counts the images of all; telemetry watches one of them.
    """

    name: str
    per_step: float
    on_device: float


@dataclass(kw_only=True)
class Recorder:
    """Collects the steps of one training, warm-up first; made when the workload begins."""

    warmup: int
    batches: int
    progress: Callable[[int, int, str], None]
    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    sampler: int | None = None  # the process of the telemetry, whose memory is not the workload's
    upkeep_seconds: float = 0.0  # what the agent's own telemetry and versions took before the workload began
    begun: float = field(default_factory=process_seconds)  # when the workload began, since the process's start
    first_step: float = math.nan  # when the first step began, likewise
    timed: tuple[float, float] = (math.nan, math.nan)  # begin and end of the timed steps, by time.perf_counter
    peak_memory: int | None = None  # bytes

    @classmethod
    def of(cls, context: Context) -> Recorder:
        """Begin to record the workload that a context describes."""
        return cls(
            warmup=context.integer("num_warmup_batches"),
            batches=context.integer("num_batches"),
            progress=context.progress,
            sampler=context.sampler,
            upkeep_seconds=context.upkeep_seconds,
        )

    @property
    def expected(self) -> int:
        """How many steps there should be in the end, warm-up included."""
        return self.warmup + self.batches

    def add(self, seconds: float, loss: float) -> None:
        """Record a step that has just ended."""
        ended = time.perf_counter()
        if not self.seconds:
            self.first_step = process_seconds() - seconds
        begin = ended - seconds if len(self.seconds) == self.warmup else self.timed[0]
        self.timed = begin, ended
        self.seconds.append(seconds)
        self.losses.append(loss)
        self.progress(len(self.seconds), self.expected, "steps")

    def note_memory(self) -> None:
        """Record the peak memory. It takes the longer the more processes there are: call it off the clock."""
        self.peak_memory = peak_memory.of_tree(but=self.sampler)

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
    """Make every step by `timed`, which returns its seconds and its loss, and record it; then the memory.

    Return the seconds of the timed steps, what lies between them included.
    """
    timed_from = time.perf_counter()
    for step in range(recorder.expected):
        if step == recorder.warmup:
            timed_from = time.perf_counter()
        recorder.add(*timed(step))
    seconds = time.perf_counter() - timed_from
    recorder.note_memory()  # while a DataLoader's workers live
    return seconds


def outcome(
    recorder: Recorder,
    *,
    items: Items,
    per_second: float,
    import_seconds: float,
    versions: Mapping[str, str],
    data_seconds: float = 0.0,
    losses: bool = True,
    warnings: tuple[str, ...] = (),
    further: tuple[Metric, ...] = (),
) -> Outcome:
    """Return the outcome of a training: its metrics, or status `failed` with the complaint about its steps.

    `per_second` is over all timed steps, what lies between them included. `data_seconds` went into making a data set
    and are no part of any start, nor is what the agent did for itself; `losses`: whether what the steps returned are
    losses, which are then kept.
    """
    complaint = recorder.complaint()
    if complaint:
        return Outcome(metrics=(), versions=versions, warnings=warnings, status="failed", reason=complaint)
    begin, end = recorder.timed
    return Outcome(
        metrics=(
            _steps("step_seconds", "s", recorder.seconds, recorder.warmup),
            *further,
            Metric(name=f"{items.name}s_per_second", unit=f"{items.name}s/s", better="higher", samples=(per_second,)),
            *_startup(recorder, import_seconds, data_seconds),
            *_optional("peak_memory_bytes", "B", recorder.peak_memory),
            *([_steps("loss", "nat", recorder.losses, recorder.warmup)] if losses else []),
        ),
        versions=versions,
        warnings=(*warnings, *_few(recorder)),
        timed=Span(begin=begin, end=end, item=items.name, done=items.on_device * recorder.batches),
    )


def _steps(name: str, unit: str, samples: list[float], warmup: int) -> Metric:
    return Metric(name=name, unit=unit, better="lower", samples=tuple(samples), warmup=warmup)


def _startup(recorder: Recorder, import_seconds: float, data_seconds: float) -> Iterator[Metric]:
    """Yield the time to the end of the first step, its parts before that step, and that of all warm-up steps."""
    begun = recorder.begun - recorder.upkeep_seconds
    before = recorder.first_step - recorder.upkeep_seconds - data_seconds
    seconds = {
        "startup_seconds": before + recorder.seconds[0],
        "start_seconds": begun,
        "import_seconds": import_seconds,
        "build_seconds": before - begun - import_seconds,
    }
    if recorder.warmup:
        seconds["warmup_seconds"] = sum(recorder.seconds[: recorder.warmup])
    if data_seconds:
        seconds["data_set_seconds"] = data_seconds
    for name, value in seconds.items():
        yield Metric(name=name, unit="s", better="lower", samples=(value,))


def _optional(name: str, unit: str, value: float | None) -> tuple[Metric, ...]:
    return () if value is None else (Metric(name=name, unit=unit, better="lower", samples=(value,)),)


def _few(recorder: Recorder) -> tuple[str, ...]:
    if recorder.batches >= FEW_STEPS:
        return ()
    return (f"{recorder.batches} timed steps: too few for a median. Set num_batches to {FEW_STEPS} or more.",)
