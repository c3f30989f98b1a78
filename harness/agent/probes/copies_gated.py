"""Copies without the cost of submitting them: `copies` declares this task as its own.

A kernel that spins (the gate) occupies the stream while the copies and an event on either side of them are enqueued;
the time between the events is then the device's alone. The gate must still have been closed when the last of them was
enqueued: the event behind it must be pending then, else the sample is taken again with a gate of twice the length.
Events tell half a microsecond, so `gated_seconds` is also measured of several copies in a row; `gated_bandwidth` is
bytes over the seconds of one of those, of each large size by itself.

`ungated_seconds` is the same copy on an idle stream, from the call until the host knows that it is done, by the host's
clock: where the driver hands work over in batches (WDDM), events would go with the copy and hide what that costs. Each
pair is taken one right after the other; the difference is the driver's path from the call to the copy engine and back
to the waiting host, `driver_path_seconds`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from harness.agent.cuda_operations import Operation, expect_pending, launch, record
from harness.agent.cuda_session import Session, paced, session
from harness.agent.messages import Metric, Scalar
from harness.agent.probes.copies_paths import Buffers, Direction, bandwidths, largest, pace, sizes
from harness.agent.task import Context, Outcome, Task, Unsupported

WARMUP = 1
SHORTEST_GATE, LONGEST_GATE = 200_000, 400_000_000  # ns
MARGIN = 4  # a gate lasts so many times what enqueuing took last
SECOND = 10**9  # ns
ROW = 8  # copies
GROWTH = 64
T = TypeVar("T")

DIRECTIONS: tuple[Direction, ...] = ("h2d", "d2h", "d2d")


def run_gated(context: Context) -> Outcome:
    """Measure `gated_seconds` and `ungated_seconds` per copy from and to pinned memory, and their difference.

    Raises Unsupported where the driver does not let a copy be enqueued behind a running kernel.
    """
    with session(context) as cuda:
        most, notes = largest(cuda, context.integer("max_bytes"), GROWTH)
        with cuda.gpu.memory(most) as first, cuda.gpu.memory(most) as second, cuda.gpu.pinned(most) as host:
            buffers = Buffers(device=(first, second), host=host)
            gate = _Gate(cuda=cuda, stream=cuda.gpu.stream(), start=cuda.gpu.event(), end=cuda.gpu.event())
            points = [(direction, size) for direction in DIRECTIONS for size in sizes(most, GROWTH)]
            metrics: list[Metric] = []
            for done, (direction, size) in enumerate(points, start=1):
                copy = buffers.copy(direction, size, gate.stream)
                metrics += _point(gate, copy, context, direction)
                context.progress(done, len(points), direction)
            for direction in DIRECTIONS:
                metrics += bandwidths(cuda, "gated_bandwidth", [each for each in metrics if _is_row(each, direction)])
        return cuda.outcome(metrics, warnings=notes)


@dataclass(kw_only=True)
class _Gate:
    """Times copies behind a gate and without one. `nanoseconds` follows what enqueuing takes."""

    cuda: Session
    stream: int
    start: int
    end: int
    nanoseconds: int = SHORTEST_GATE

    def closed(self, copies: list[Operation]) -> float:
        """Return the seconds between the events with the gate closed until all was enqueued."""
        nanoseconds = self.nanoseconds
        while (enqueuing := self._behind(nanoseconds, copies)) is None:
            nanoseconds *= 2
            if nanoseconds > LONGEST_GATE:
                raise Unsupported(
                    f"a kernel of {nanoseconds / 2e6:g} ms ended before a copy could be enqueued behind it: unset "
                    "CUDA_LAUNCH_BLOCKING, or leave copies.gated out on this platform"
                )
        self.nanoseconds = max(SHORTEST_GATE, int(MARGIN * enqueuing * SECOND))
        return self.cuda.gpu.elapsed(self.start, self.end)

    def _behind(self, nanoseconds: int, copies: list[Operation]) -> float | None:
        """Enqueue all behind a gate; return the seconds that took the host, None if the gate opened meanwhile."""
        spin = launch(self.stream, self.cuda.kernel("spin", nanoseconds))
        timed = [record(self.stream, self.start), *copies, record(self.stream, self.end)]
        try:
            enqueued, _ = self.cuda.loops.enqueue(1, [spin, *timed, expect_pending(self.stream, self.start)])
        except BlockingIOError:
            return None
        return enqueued[0]

    def open(self, copies: list[Operation]) -> float:
        """Return the seconds from the first call until the host knows that all is done."""
        _, complete = self.cuda.loops.enqueue(1, copies)
        return complete[0]


def _point(gate: _Gate, copy: Operation, context: Context, direction: Direction) -> list[Metric]:
    pairs = _sampled(lambda: (gate.closed([copy]), gate.open([copy])), context)
    row = _sampled(lambda: gate.closed([copy] * ROW) / ROW, context)
    values = {
        "ungated_seconds": [ungated for _, ungated in pairs],
        "driver_path_seconds": [ungated - gated for gated, ungated in pairs],
    }
    dims: dict[str, Scalar] = {"direction": direction, "bytes": copy.size}
    metric = gate.cuda.metric
    return [
        *(metric(name, seconds, warmup=WARMUP, **dims) for name, seconds in values.items()),
        metric("gated_seconds", [gated for gated, _ in pairs], warmup=WARMUP, copies=1, **dims),
        metric("gated_seconds", row, warmup=WARMUP, copies=ROW, **dims),
    ]


def _is_row(metric: Metric, direction: Direction) -> bool:
    return metric.name == "gated_seconds" and (metric.dims["direction"], metric.dims["copies"]) == (direction, ROW)


def _sampled(take: Callable[[], T], context: Context) -> list[T]:
    return paced(lambda samples: [take() for _ in range(samples)], *pace(context))


GATED = Task(
    summary="Copies enqueued behind a running kernel and timed on the device, and what the driver adds without it.",
    run=run_gated,
    params={"max_bytes": 2**26, "samples": 50, "point_seconds": 0.1},
    devices=("cuda",),
    seconds=6.0,
)
