"""The steps of a torch workload: set torch up, repeat a step, time each by the host's clock and by CUDA events."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from typing import Any, Protocol

from harness.agent.messages import Metric, Scalar
from harness.agent.task import Context, Outcome, Unavailable
from harness.agent.workloads.steps import Items, Recorder, outcome, record

PARAMS: Mapping[str, Scalar] = {
    "num_batches": 20,
    "num_warmup_batches": 5,
    "threads": 0,  # of torch; 0: as many as it chooses
    "seed": 0,  # of all random numbers, the same on every platform
}


class Work(Protocol):
    """What a workload repeats; `versions` are those of what it works on, `data_seconds` what making that took."""

    versions: Mapping[str, str]
    data_seconds: float

    def step(self, number: int, end: Any = None) -> float:  # noqa: ANN401 - a CUDA event
        """Make one step; record `end`, if given, behind the device's work; fetch a value that shows it was sound."""


Prepare = Callable[[Any, Context], AbstractContextManager[Work]]  # torch, what the cell is


def whole(kind: Callable[[Any, Context], Work]) -> Prepare:
    """Return what prepares a work that leaves nothing to clear away."""
    return lambda torch, context: nullcontext(kind(torch, context))


def run(context: Context, prepare: Prepare, items: Items, *, losses: bool = False) -> Outcome:
    """Make the steps of the work that `prepare` yields, which return losses or another sign that they were sound.

    Raises Unavailable where the stack has no torch.
    """
    recorder = Recorder.of(context)
    torch, import_seconds = imported()
    if reason := unseen(torch, context.spec.device):
        return Outcome(metrics=(), versions=versions(torch), status="failed", reason=reason)
    configure(torch, context)
    with prepare(torch, context) as work:
        timed = _TimedSteps(torch, context.spec.device, work)
        seconds = timed.run(recorder)
    return outcome(
        recorder,
        items=items,
        per_second=items.per_step * recorder.batches / seconds,
        import_seconds=import_seconds,
        data_seconds=work.data_seconds,
        losses=losses,
        versions={**versions(torch), **work.versions},
        further=timed.device_metrics(recorder.warmup),
    )


def imported() -> tuple[Any, float]:
    """Import torch; return it and the seconds that took. Raises Unavailable where the stack has none."""
    if find_spec("torch") is None:
        msg = "This stack has no torch. Run the task on a stack that has it."
        raise Unavailable(msg)
    started = time.perf_counter()
    torch = importlib.import_module("torch")
    return torch, time.perf_counter() - started


def unseen(torch: Any, device: str) -> str:  # noqa: ANN401 - a module
    """Return why torch can't work on the device, '' if it can."""
    if device == "cpu" or torch.cuda.is_available():
        return ""
    return "torch sees no GPU: its build is for CPU, or the driver is not visible here."


class _TimedSteps:
    """Makes the steps of some work and times them."""

    def __init__(self, torch: Any, device: str, work: Work) -> None:  # noqa: ANN401 - a module
        self._cuda = None if device == "cpu" else torch.cuda
        self._work = work
        self._device_seconds: list[float] = []

    def run(self, recorder: Recorder) -> float:
        """Make every step and return the seconds of the timed ones, what lies between them included."""
        return record(recorder, self._timed)

    def device_metrics(self, warmup: int) -> tuple[Metric, ...]:
        """Return the steps' time between two events on the GPU, and the most of its memory in use; nothing on a CPU."""
        if self._cuda is None:
            return ()
        samples = tuple(self._device_seconds)
        memory = (float(self._cuda.max_memory_allocated()),)
        return (
            Metric(name="cuda_step_seconds", unit="s", better="lower", samples=samples, warmup=warmup),
            Metric(name="cuda_peak_memory_bytes", unit="B", better="lower", samples=memory),
        )

    def _timed(self, number: int) -> tuple[float, float]:
        """Make a step and return its seconds and its value. Fetching the value waits for the device."""
        if self._cuda is None:
            started = time.perf_counter()
            value = self._work.step(number)
            return time.perf_counter() - started, value
        first, last = (self._cuda.Event(enable_timing=True) for _ in range(2))
        self._cuda.synchronize()
        started = time.perf_counter()
        first.record()
        value = self._work.step(number, last)
        self._cuda.synchronize()
        seconds = time.perf_counter() - started
        self._device_seconds.append(first.elapsed_time(last) / 1000)
        return seconds, value


def configure(torch: Any, context: Context) -> None:  # noqa: ANN401 - a module
    """Set torch up as the parameters ask for it."""
    threads = context.integer("threads")
    if threads > 0:
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(threads)
    torch.manual_seed(context.integer("seed"))
    if context.spec.device != "cpu":
        torch.cuda.set_device(context.spec.device)
        torch.backends.cudnn.benchmark = True  # TensorFlow, too, tries convolution algorithms out
        torch.set_float32_matmul_precision("high")  # TF32, TensorFlow's default


def versions(torch: Any) -> dict[str, str]:  # noqa: ANN401 - a module
    """Return the versions of torch and of the libraries that its build brings."""
    found = {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return {name: str(value) for name, value in found.items() if value is not None}
