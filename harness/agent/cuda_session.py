"""What every probe of the CUDA driver begins and ends with: a context on the cell's GPU, the loops, the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import TypeVar

from harness.agent import cuda, ptx
from harness.agent.cuda import CudaContext, Driver, Kernel, open_driver
from harness.agent.cuda_loops import CudaLoops, cuda_loops
from harness.agent.fit import line
from harness.agent.gpu_node import Place, beside
from harness.agent.loops import instrument, loop_metric
from harness.agent.messages import Metric, Scalar, Status
from harness.agent.task import Context, Outcome

CALL_SAMPLES, CALLS = 50, 1000
FEWEST_SAMPLES = 3

T = TypeVar("T")


@dataclass(frozen=True)
class Session:
    """A context with its loops, in use beside its GPU; the kernels are compiled when one is first asked for."""

    gpu: CudaContext
    loops: CudaLoops
    place: Place

    @property
    def driver(self) -> Driver:
        """The driver that the context belongs to."""
        return self.gpu.driver

    @cached_property
    def _module(self) -> int:
        return self.gpu.module(ptx.MODULE)

    def kernel(self, name: str, *arguments: int) -> Kernel:
        """Return one of the kernels of `ptx` with its arguments."""
        return self.gpu.kernel(self._module, name, *arguments)

    @property
    def versions(self) -> dict[str, str]:
        """What the result must name: the GPU, the CUDA version that the driver supports, the node of the thread."""
        device = self.gpu.device
        named = {"cuda_driver": device.driver.version, "gpu": device.name, "gpu_uuid": device.uuid}
        return {**named, **self.place.versions}

    def metric(self, name: str, seconds: Sequence[float], *, warmup: int = 0, **dims: Scalar) -> Metric:
        """Return samples in seconds as a metric that names its loop."""
        return loop_metric(name, self.loops.timed, list(seconds), warmup=warmup, **dims)

    def rate(self, name: str, values: Sequence[float], *, warmup: int = 0, **dims: Scalar) -> Metric:
        """Return bytes per second as a metric that names its loop."""
        named = {**dims, "loop": self.loops.timed.name}
        return Metric(name=name, unit="B/s", better="higher", samples=tuple(values), warmup=warmup, dims=named)

    def outcome(
        self, metrics: Sequence[Metric], *, warnings: Sequence[str] = (), status: Status = "ok", reason: str = ""
    ) -> Outcome:
        """Return the metrics with those of the instrument: the clock, and the cost of entering the driver."""
        call = self.metric("driver_call_seconds", self.loops.driver_call(CALL_SAMPLES, CALLS))
        timed = self.loops.timed
        return Outcome(
            metrics=(*metrics, call, *instrument(timed)),
            versions={**timed.versions, **self.versions},
            warnings=(*timed.warnings, *self.place.warnings, *warnings),
            status=status,
            reason=reason,
        )


@contextmanager
def session(context: Context, *, flags: int = 0) -> Iterator[Session]:
    """Yield a new context on the GPU that the cell names (`cuda:0`), with its loops; this thread is bound beside it.

    Raises Unavailable where there is no driver or no such GPU.
    """
    driver = open_driver()
    device = driver.device(ordinal(context))
    with beside(device) as place, device.context(flags) as gpu:
        yield Session(gpu, cuda_loops(driver), place)


def ordinal(context: Context) -> int:
    """Return the number of the GPU that the cell names."""
    return cuda.ordinal(context.spec.device)


def paced(take: Callable[[int], list[T]], seconds: float, most: int) -> list[T]:
    """Take one sample as warm-up, three that count, and then as many more as fit into `seconds`, `most` in all."""
    warm_up = take(1)
    start = time.perf_counter()
    first = take(FEWEST_SAMPLES)
    each = (time.perf_counter() - start) / FEWEST_SAMPLES
    further = min(most, int(seconds / each)) - FEWEST_SAMPLES
    return [*warm_up, *first, *(take(further) if further > 0 else ())]


def typical(seconds: Sequence[float], warmup: int) -> float:
    """Return the median of what is not warm-up."""
    return median(seconds[warmup:])


def fitted(points: Mapping[float, float], what: str) -> tuple[dict[str, float], list[str]]:
    """Return `intercept` and `slope` of the line through x → seconds, and why one of them is missing.

    Noise may put either at or below 0, which no cost is.
    """
    found = line(points)
    values = {"intercept": found.intercept, "slope": found.slope}
    notes = [f"{what}: no {name}, the fit gives {value:.3g}" for name, value in values.items() if value <= 0]
    return {name: value for name, value in values.items() if value > 0}, notes
