"""Copies between host and GPU by size: `copies` declares this task as its own.

`copy_seconds` is one asynchronous copy (cuMemcpy…Async) on an idle stream, from the call until the host knows that it
is done: up (`h2d`), down (`d2h`), on the device (`d2d`), and up and down at once on two streams (`both`, until both are
done). `copy_enqueue_seconds` is the call alone. Host memory is pinned or pageable. Pageable memory is copied one way at
a time: the driver may carry such a copy out before its call returns, so one thread cannot keep two under way.

`copy_latency_seconds` and `copy_bandwidth` are those of the line through the medians over the bytes (`fit`). Bytes are
counted once; those of `both` are the sum of the two directions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.agent.cuda_errors import CudaOutOfMemoryError
from harness.agent.cuda_operations import Operation
from harness.agent.cuda_session import Session, fitted, session, typical
from harness.agent.host_memory import pageable
from harness.agent.messages import Metric, Scalar, Status
from harness.agent.probes.copies_paths import MIB, SMALLEST, Buffers, Direction, check, largest, measured, sizes
from harness.agent.task import Context, Outcome, Task

WARMUP = 1
ONE_WAY: tuple[Direction, ...] = ("h2d", "d2h")


@dataclass(frozen=True, kw_only=True)
class _Path:
    """What one curve over the sizes is of."""

    direction: str
    memory: str
    most: int  # bytes


def run_bandwidth(context: Context) -> Outcome:
    """Measure `copy_seconds` by direction, memory and bytes, and each curve's latency and bandwidth.

    `limited` where less memory can be pinned than is copied: the reason gives how much.
    """
    growth = context.integer("growth")
    with session(context) as cuda:
        most, notes = largest(cuda, context.integer("max_bytes"), growth)
        streams = cuda.gpu.stream(), cuda.gpu.stream()
        with cuda.gpu.memory(most) as first, cuda.gpu.memory(most) as second:
            probe = _Probe(cuda=cuda, context=context, streams=streams, device=(first, second))
            metrics, more = probe.pageable(most)
            with _pinned(cuda, most, growth) as (host, pinned):
                curves, still_more = probe.pinned(host, pinned)
        status, reason = _verdict(pinned, most)
        return cuda.outcome([*metrics, *curves], warnings=[*notes, *more, *still_more], status=status, reason=reason)


@dataclass(frozen=True, kw_only=True)
class _Probe:
    cuda: Session
    context: Context
    streams: tuple[int, int]
    device: tuple[int, int]

    def pageable(self, most: int) -> tuple[list[Metric], list[str]]:
        """Measure both directions from and to ordinary memory."""
        with pageable(most) as host:
            buffers = self._checked(host, most)
            curves = [self._one_way(buffers, way, "pageable", most) for way in ONE_WAY]
        return _joined(curves)

    def pinned(self, host: int, most: int) -> tuple[list[Metric], list[str]]:
        """Measure both directions, the device's own, and both at once. The second half of `host` is for the latter."""
        buffers = self._checked(host, most)
        curves = [self._one_way(buffers, way, "pinned", most) for way in ONE_WAY]
        curves.append(self._one_way(buffers, "d2d", "device", most))
        curves.append(self._both_ways(buffers, Buffers(device=self.device, host=host + most), most))
        return _joined(curves)

    def _checked(self, host: int, most: int) -> Buffers:
        buffers = Buffers(device=self.device, host=host)
        check(self.cuda, buffers, self.streams[0], min(most, MIB))
        return buffers

    def _one_way(self, buffers: Buffers, way: Direction, memory: str, most: int) -> tuple[list[Metric], list[str]]:
        path = _Path(direction=way, memory=memory, most=most)
        growth = self.context.integer("growth")
        stream = self.streams[0]
        return self._curve(path, {size: [buffers.copy(way, size, stream)] for size in sizes(path.most, growth)})

    def _both_ways(self, up: Buffers, down: Buffers, most: int) -> tuple[list[Metric], list[str]]:
        growth = self.context.integer("growth")
        path = _Path(direction="both", memory="pinned", most=most)
        first, second = self.streams
        pairs = {size: [up.copy("h2d", size, first), down.copy("d2h", size, second)] for size in sizes(most, growth)}
        return self._curve(path, pairs)

    def _curve(self, path: _Path, operations: dict[int, list[Operation]]) -> tuple[list[Metric], list[str]]:
        cuda, context = self.cuda, self.context
        dims: dict[str, Scalar] = {"direction": path.direction, "memory": path.memory}
        metrics: list[Metric] = []
        points: dict[float, float] = {}
        for done, (size, copies) in enumerate(operations.items(), start=1):
            enqueued, complete = measured(cuda, copies, context)
            metrics.append(cuda.metric("copy_seconds", complete, warmup=WARMUP, bytes=size, **dims))
            metrics.append(cuda.metric("copy_enqueue_seconds", enqueued, warmup=WARMUP, bytes=size, **dims))
            points[float(size * len(copies))] = typical(complete, WARMUP)
            context.progress(done, len(operations), f"{path.direction} {path.memory}")
        found, notes = fitted(points, f"{path.direction} {path.memory}")
        if "intercept" in found:
            metrics.append(cuda.metric("copy_latency_seconds", [found["intercept"]], warmup=0, **dims))
        if "slope" in found:
            metrics.append(cuda.rate("copy_bandwidth", [1 / found["slope"]], **dims))
        return metrics, notes


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


def _joined(curves: list[tuple[list[Metric], list[str]]]) -> tuple[list[Metric], list[str]]:
    return [metric for metrics, _ in curves for metric in metrics], [note for _, notes in curves for note in notes]


BANDWIDTH = Task(
    summary="Copies up, down, on the device and both ways at once, from pinned and pageable memory, by size.",
    run=run_bandwidth,
    params={"max_bytes": 2**30, "growth": 4, "samples": 100, "point_seconds": 0.2},
    devices=("cuda",),
    seconds=15.0,
)
