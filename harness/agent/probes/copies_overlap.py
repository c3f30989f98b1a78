"""How much of a copy hides behind compute: `copies` declares this task as its own.

Three times are taken one after the other: a kernel that spins for `compute_seconds`, a copy of about that length, and
both at once on two streams, the kernel first. What the third saves against the sum of the first two, over the shorter
of them, is `overlap_ratio`: 1 when the shorter one hides wholly, 0 when they run one after the other (noise may put it
a little outside, where it is cut off). All three times are metrics too: a ratio of 0 cannot be compared, they can.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.agent.cuda_operations import Operation, launch
from harness.agent.cuda_session import Session, session
from harness.agent.host_memory import pageable
from harness.agent.messages import Metric
from harness.agent.probes.copies_paths import Buffers, Direction, largest
from harness.agent.task import Context, Outcome, Task

WARMUP = 1
GROWTH = 4
TRIALS, TRIAL_BYTES = 8, 2**24
SECOND = 10**9  # ns
DIRECTIONS: tuple[Direction, ...] = ("h2d", "d2h")


def run_overlap(context: Context) -> Outcome:
    """Measure `overlap_ratio` and the three times behind it, by direction and memory."""
    with session(context) as cuda:
        most, notes = largest(cuda, context.integer("max_bytes"), GROWTH)
        spin = launch(cuda.gpu.stream(), cuda.kernel("spin", int(context.number("compute_seconds") * SECOND)))
        trial = _Trial(cuda=cuda, context=context, compute=spin, stream=cuda.gpu.stream(), most=most)
        metrics: list[Metric] = []
        with cuda.gpu.memory(most) as first, cuda.gpu.memory(most) as second:
            for done, (memory, allocate) in enumerate((("pinned", cuda.gpu.pinned), ("pageable", pageable)), start=1):
                with allocate(most) as host:
                    for direction in DIRECTIONS:
                        metrics += trial.run(Buffers(device=(first, second), host=host), direction, memory)
                context.progress(done, 2, memory)
        return cuda.outcome(metrics, warnings=notes)


@dataclass(frozen=True, kw_only=True)
class _Trial:
    cuda: Session
    context: Context
    compute: Operation
    stream: int
    most: int  # bytes

    def run(self, buffers: Buffers, direction: Direction, memory: str) -> list[Metric]:
        """Take the three times in turn."""
        copy = buffers.copy(direction, self._size(buffers, direction), self.stream)
        total = WARMUP + self.context.integer("samples")
        triples = [
            (self._seconds(self.compute), self._seconds(copy), self._seconds(self.compute, copy)) for _ in range(total)
        ]
        dims = {"direction": direction, "memory": memory}
        names = ("compute_seconds", "alone_seconds", "overlapped_seconds")
        times = [
            self.cuda.metric(name, seconds, warmup=WARMUP, **dims)
            for name, seconds in zip(names, zip(*triples, strict=True), strict=True)
        ]
        return [*times, self._ratio([hidden(*triple) for triple in triples], dims)]

    def _size(self, buffers: Buffers, direction: Direction) -> int:
        """Return how many bytes take about as long as the kernel; the fastest of some copies tells."""
        trial = min(self.most, TRIAL_BYTES)
        copy = buffers.copy(direction, trial, self.stream)
        seconds = min(self._seconds(copy) for _ in range(TRIALS))
        return max(1, min(self.most, int(trial * self.context.number("compute_seconds") / seconds)))

    def _seconds(self, *operations: Operation) -> float:
        return self.cuda.loops.enqueue(1, operations)[1][0]

    def _ratio(self, values: list[float], dims: dict[str, str]) -> Metric:
        named = {**dims, "loop": self.cuda.loops.timed.name}
        return Metric(
            name="overlap_ratio", unit="ratio", better="higher", samples=tuple(values), warmup=WARMUP, dims=named
        )


def hidden(compute: float, copy: float, both: float) -> float:
    """Return the share of the shorter one that hides behind the other, from 0 to 1."""
    return max(0.0, min(1.0, (compute + copy - both) / min(compute, copy)))


OVERLAP = Task(
    summary="How much of a copy hides behind a kernel that runs meanwhile, from 0 to 1.",
    run=run_overlap,
    params={"compute_seconds": 0.005, "max_bytes": 2**28, "samples": 20},
    devices=("cuda",),
    seconds=3.0,
)
