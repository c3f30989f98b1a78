"""Copies between host and GPU by size: `copies` declares this task as its own.

`copy_seconds` is one asynchronous copy (cuMemcpy…Async) on an idle stream, from the call until the host knows that it
is done: up (`h2d`), down (`d2h`), on the device (`d2d`), and up and down at once on two streams (`both`, until both are
done). `copy_enqueue_seconds` is the call alone. Host memory is pinned or pageable. The driver may carry a copy of
pageable memory out before its call returns, so one thread cannot keep two under way: there each direction has its own.

`copy_bandwidth` is bytes over those seconds, of large copies alone and of each size by itself; bytes are counted once,
those of `both` are the sum of the two directions. `copy_latency_seconds` is the intercept of the line through the
medians over all bytes (`fit`). Its slope is no metric: caches and paths for small copies weigh in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from harness.agent.capacity import MIB
from harness.agent.cuda_errors import CudaOutOfMemoryError
from harness.agent.cuda_operations import Operation
from harness.agent.cuda_session import Session, paced, session
from harness.agent.host_memory import pageable
from harness.agent.messages import Metric, Scalar, Status
from harness.agent.probes.copies_paths import (
    SMALLEST,
    Buffers,
    Direction,
    bandwidths,
    check,
    largest,
    latency,
    measured,
    pace,
    sizes,
)
from harness.agent.task import SEVERAL, Context, Outcome, Task

WARMUP = 1


def run_bandwidth(context: Context) -> Outcome:
    """Measure `copy_seconds` by direction, memory and bytes, each curve's latency, and bandwidths of large copies.

    `limited` where less memory can be pinned than is copied: the reason gives how much.
    """
    with session(context) as cuda:
        most, notes = largest(cuda, context.integer("max_bytes"), context.integer("growth"))
        with cuda.gpu.memory(most) as first, cuda.gpu.memory(most) as second:
            probe = _Probe(cuda=cuda, context=context, device=(first, second))
            with pageable(2 * most) as host:
                probe.pageable(host, most)
            with _pinned(cuda, most, context.integer("growth")) as (host, pinned):
                probe.pinned(host, pinned)
        status, reason = _verdict(pinned, most)
        return cuda.outcome(probe.metrics, warnings=[*notes, *probe.notes], status=status, reason=reason)


@dataclass(kw_only=True)
class _Probe:
    """Collects curves over the sizes. `host` of a method is two buffers in a row of `most` bytes each."""

    cuda: Session
    context: Context
    device: tuple[int, int]
    metrics: list[Metric] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def pageable(self, host: int, most: int) -> None:
        """Measure ordinary memory: up, down, and both at once, each from a thread of its own."""
        self._one_way(host, most, "pageable", ("h2d", "d2h"))
        loops, context = self.cuda.loops, self.cuda.gpu.handle
        for size, copies in self._pairs(host, most):
            seconds = paced(partial(loops.both, context=context, operations=copies), *pace(self.context))
            self._point("both", "pageable", size, complete=seconds)
        self._sum_up("both", "pageable", copies=2)

    def pinned(self, host: int, most: int) -> None:
        """Measure pinned memory: up, down, both at once from one thread; and the device's own."""
        self._one_way(host, most, "pinned", ("h2d", "d2h"))
        self._one_way(host, most, "device", ("d2d",))
        for size, copies in self._pairs(host, most):
            enqueued, complete = measured(self.cuda, copies, self.context)
            self._point("both", "pinned", size, complete=complete, enqueue=enqueued)
        self._sum_up("both", "pinned", copies=2)

    def _one_way(self, host: int, most: int, memory: str, ways: tuple[Direction, ...]) -> None:
        buffers = Buffers(device=self.device, host=host)
        stream = self.cuda.gpu.stream()
        check(self.cuda, buffers, stream, min(most, MIB))
        for way in ways:
            for size in self._sizes(most):
                enqueued, complete = measured(self.cuda, [buffers.copy(way, size, stream)], self.context)
                self._point(way, memory, size, complete=complete, enqueue=enqueued)
            self._sum_up(way, memory, copies=1)

    def _pairs(self, host: int, most: int) -> Iterator[tuple[int, tuple[Operation, Operation]]]:
        """Yield, by size, a copy up and one down between buffers of their own, on streams of their own."""
        up, down = (Buffers(device=self.device, host=address) for address in (host, host + most))
        first, second = self.cuda.gpu.stream(), self.cuda.gpu.stream()
        for size in self._sizes(most):
            yield size, (up.copy("h2d", size, first), down.copy("d2h", size, second))

    def _sizes(self, most: int) -> Iterator[int]:
        return sizes(most, self.context.integer("growth"))

    def _point(self, direction: str, memory: str, size: int, **seconds: list[float]) -> None:
        names = {"complete": "copy_seconds", "enqueue": "copy_enqueue_seconds"}
        for name, values in seconds.items():
            dims: dict[str, Scalar] = {"direction": direction, "memory": memory, "bytes": size}
            self.metrics.append(self.cuda.metric(names[name], values, warmup=WARMUP, **dims))
        self.context.progress(len(self.metrics), len(self.metrics) + 1, f"{direction} {memory}")

    def _sum_up(self, direction: str, memory: str, *, copies: int) -> None:
        """Add the latency and the bandwidths of a curve whose points each are `copies` copies at once."""
        dims: dict[str, Scalar] = {"direction": direction, "memory": memory}
        curve = [each for each in self.metrics if each.name == "copy_seconds" and dims.items() <= each.dims.items()]
        found, notes = latency(self.cuda, "copy_latency_seconds", curve, f"{direction} {memory}")
        self.metrics += [*found, *bandwidths(self.cuda, "copy_bandwidth", curve, copies=copies)]
        self.notes += notes


@contextmanager
def _pinned(cuda: Session, most: int, growth: int) -> Iterator[tuple[int, int]]:
    """Yield two pinned buffers in a row and the size of each: the largest of the series that the driver grants."""
    size = most
    while True:
        try:
            address = cuda.driver.handle("cuMemHostAlloc", 2 * size, 0)
        except CudaOutOfMemoryError:
            if size <= SMALLEST * growth:
                raise
            size //= growth
            continue
        with cuda.driver.owned(address, "cuMemFreeHost"):
            yield address, size
        return


def _verdict(pinned: int, most: int) -> tuple[Status, str]:
    if pinned == most:
        return "ok", ""
    reason = (
        f"the driver pins {2 * pinned} bytes and refuses {2 * most}: pinned copies of up to {pinned} bytes only; "
        "see copies.allocation for the limit, and give the platform more memory"
    )
    return "limited", reason


BANDWIDTH = Task(
    summary="Copies up, down, on the device and both ways at once, from pinned and pageable memory, by size.",
    run=run_bandwidth,
    params={"max_bytes": 2**30, "growth": 4, "samples": 100, "point_seconds": 0.1},
    limits={"growth": SEVERAL},
    devices=("cuda",),
    seconds=15.0,
)
