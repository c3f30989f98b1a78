"""Memory for copies: what it costs to get and give back, and how much can be pinned; `copies` declares this task.

`allocate_seconds` and `free_seconds`, by kind and bytes, are those of cuMemAlloc (`device`), cuMemAllocAsync from the
device's default pool, freed and taken again without a wait in between, as the pool is meant to be used (`pool`),
cuMemHostAlloc (`host`) and cuMemHostRegister of memory that is present (`registered`).

`pinned_reached_bytes` is how much a process of its own could pin in blocks, which stays within a safe share of the
memory: the outcome is `limited` if the platform refused before that. Windows lets about half of all memory be pinned,
so there the defaults lead just beyond the half, where that much is available; elsewhere a limit is a setting or far
below.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack

from harness.agent import host_memory, pinned_ceiling, win32
from harness.agent.cuda_errors import CudaOutOfMemoryError
from harness.agent.cuda_operations import Memory
from harness.agent.cuda_session import Session, ordinal, paced, session
from harness.agent.messages import Metric
from harness.agent.pinned_ceiling import Ceiling
from harness.agent.probes.copies_paths import largest, pace, sizes
from harness.agent.task import Context, Outcome, Task, Unavailable, Unsupported

WARMUP = 1
BEYOND_HALF = 0.55  # of all memory; more tells nothing new of Windows
PINNED_BYTES, PINNED_SHARE = (2**36, 0.8) if sys.platform == "win32" else (2**33, 0.25)
SMALLEST = 4096
GROWTH = 16
KINDS = {"device": Memory.DEVICE, "pool": Memory.POOL, "host": Memory.HOST, "registered": Memory.REGISTERED}


def run_allocation(context: Context) -> Outcome:
    """Measure allocations by kind and size, and the pinned ceiling; `limited` where the platform has one below."""
    metrics, notes, reason = _pinned_ceiling(context)  # before a context is open: the GPU may admit one process alone
    context.progress(1, len(KINDS) + 1, "pinned ceiling")
    with session(context) as cuda:
        most, more = largest(cuda, context.integer("max_bytes"), GROWTH, SMALLEST)
        notes += more
        for done, (name, memory) in enumerate(KINDS.items(), start=2):
            try:
                metrics.extend(_kind(cuda, context, name, memory, most))  # sizes before a refused one stay
            except (CudaOutOfMemoryError, Unsupported) as refusal:
                notes.append(f"{name} memory left out: {refusal}")
            context.progress(done, len(KINDS) + 1, name)
        return cuda.outcome(metrics, warnings=notes, status="limited" if reason else "ok", reason=reason)


def _pinned_ceiling(context: Context) -> tuple[list[Metric], list[str], str]:
    """Return how much was pinned, why that is not known, and what limits it: of the first two one is empty."""
    try:
        ceiling = _ceiling(context)
    except Unavailable as failure:
        return [], [f"pinned ceiling left out: {failure}"], ""
    return [_reached(ceiling)], [], ceiling.reason()


def _ceiling(context: Context) -> Ceiling:
    """Search in a child process: up to the size asked for, and no more than the share of the available memory."""
    block = context.integer("pinned_block")
    most = min(int(host_memory.available() * context.number("pinned_share")), context.integer("pinned_bytes"))
    if sys.platform == "win32":
        most = min(most, int(BEYOND_HALF * win32.memory().total))
    return pinned_ceiling.search(ordinal(context), block, most // block * block)


def _reached(ceiling: Ceiling) -> Metric:
    return Metric(name="pinned_reached_bytes", unit="B", better="higher", samples=(float(ceiling.reached),))


def _kind(cuda: Session, context: Context, name: str, memory: Memory, most: int) -> Iterator[Metric]:
    stream = cuda.gpu.stream()
    with ExitStack() as stack:
        address = stack.enter_context(host_memory.pageable(most)) if memory is Memory.REGISTERED else 0
        for size in sizes(most, GROWTH, SMALLEST):

            def take(samples: int, size: int = size) -> list[tuple[float, float]]:
                return list(
                    zip(*cuda.loops.allocate(samples, memory, size, stream=stream, address=address), strict=True)
                )

            pairs = paced(take, *pace(context))
            for metric, seconds in zip(("allocate_seconds", "free_seconds"), zip(*pairs, strict=True), strict=True):
                yield cuda.metric(metric, seconds, warmup=WARMUP, kind=name, bytes=size)


ALLOCATION = Task(
    summary="Allocation and freeing of device and pinned memory by size, and how much can be pinned.",
    run=run_allocation,
    params={
        "max_bytes": 2**28,
        "samples": 100,
        "point_seconds": 0.1,
        "pinned_bytes": PINNED_BYTES,
        "pinned_block": 2**26,
        "pinned_share": PINNED_SHARE,
    },
    limits={"pinned_share": (0, 1)},
    devices=("cuda",),
    seconds=10.0,
)
