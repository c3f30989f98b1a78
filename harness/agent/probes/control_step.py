"""The control of the attribution: a training step of which everything is known; `control` declares this task.

A step opens and reads small files, allocates and frees memory of the GPU, copies (up, down and on the device, each copy
awaited), and launches empty kernels in equal groups, each awaited. So it has nothing in it but calls that the probes
measure one by one, as often as the parameters say: its gap between two platforms must be what they differ by times
these counts, and nothing may remain. The loops are those of the probes; between them stands the interpreter's part,
some microseconds a step. The files are read from the platform's first location, and lie in its cache.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import get_args

from harness.agent.cuda_operations import Memory, Operation, launch
from harness.agent.cuda_session import Session, session
from harness.agent.messages import Metric
from harness.agent.probes.copies_paths import Buffers, Direction
from harness.agent.sampling import sample
from harness.agent.step_counts import (
    ALLOCATIONS,
    COPIES,
    COPY_BYTES,
    FILES,
    LAUNCHES,
    READ_BYTES,
    SYNCHRONIZATIONS,
    per_step,
)
from harness.agent.task import Context, Outcome, Task, Unavailable

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
MEMORY = {"h2d": "pinned", "d2h": "pinned", "d2d": "device"}  # as copies.bandwidth calls it
ANY_NUMBER = (0.0, 1e6)


def run_step(context: Context) -> Outcome:
    """Measure `step_seconds`, and give the step's counts. Raises Unavailable without a GPU or a place for the files."""
    _check(context)
    warmup = context.integer("warmup")
    with session(context) as cuda, _step(cuda, context) as step:
        seconds = sample(step.once, samples=warmup + context.integer("samples"))
        return cuda.outcome([cuda.metric("step_seconds", seconds, warmup=warmup), *_counts(context)])


@dataclass(frozen=True, kw_only=True)
class _Step:
    cuda: Session
    context: Context
    stream: int
    copies: dict[Direction, Operation]
    kernel: Operation
    folder: str  # that of the files

    def once(self) -> None:
        """Do all of it."""
        count, loops = self.context.integer, self.cuda.loops
        if files := count("files"):
            loops.timed.files("read", self.folder, files, count("file_bytes"))
        if allocations := count("allocations"):
            loops.allocate(allocations, Memory.DEVICE, count("allocation_bytes"), stream=self.stream)
        for direction, copy in self.copies.items():
            if copies := count(f"{direction}_copies"):
                loops.enqueue(copies, [copy])
        if groups := count("syncs"):
            loops.enqueue(groups, [self.kernel], repeats=count("launches") // groups)


@contextmanager
def _step(cuda: Session, context: Context) -> Iterator[_Step]:
    """Lay out memory and files for the steps; all is gone afterwards."""
    largest = max(context.integer(f"{direction}_bytes") for direction in DIRECTIONS)
    with ExitStack() as stack:
        first, second = (stack.enter_context(cuda.gpu.memory(largest)) for _ in range(2))
        buffers = Buffers(device=(first, second), host=stack.enter_context(cuda.gpu.pinned(largest)))
        stream = cuda.gpu.stream()
        copies = {way: buffers.copy(way, context.integer(f"{way}_bytes"), stream) for way in DIRECTIONS}
        yield _Step(
            cuda=cuda,
            context=context,
            stream=stream,
            copies=copies,
            kernel=launch(stream, cuda.kernel("empty")),
            folder=_files(cuda, context, stack),
        )


def _check(context: Context) -> None:
    launches, groups = context.integer("launches"), context.integer("syncs")
    if launches % groups if groups else launches:
        raise Unavailable(f"control.step: {launches} launches don't make {groups} equal groups: change matrix.yaml")


def _files(cuda: Session, context: Context, stack: ExitStack) -> str:
    """Write the files into a folder of their own, which the stack removes."""
    files = context.integer("files")
    if not files:
        return ""
    if not context.spec.locations:
        raise Unavailable("control.step: the platform offers no location for its files: set `files: 0` in matrix.yaml")
    made = tempfile.TemporaryDirectory(prefix="overhead-matrix-", dir=context.spec.locations[0].path)
    folder = stack.enter_context(made)
    cuda.loops.timed.files("create", folder, files, context.integer("file_bytes"))
    return folder


def _counts(context: Context) -> Iterator[Metric]:
    """Yield what each step does. Every copy and every group is awaited, and so is the end of the allocations."""
    count = context.integer
    allocations, files = count("allocations"), count("files")
    copies = {way: count(f"{way}_copies") for way in DIRECTIONS}
    yield per_step(LAUNCHES, count("launches"))
    yield per_step(SYNCHRONIZATIONS, count("syncs") + sum(copies.values()) + bool(allocations))
    for way, number in copies.items():
        yield per_step(COPIES, number, direction=way, memory=MEMORY[way])
        yield per_step(COPY_BYTES, number * count(f"{way}_bytes"), direction=way, memory=MEMORY[way])
    yield per_step(ALLOCATIONS, allocations, bytes=count("allocation_bytes"))
    location = {"location": context.spec.locations[0].name} if files else {}
    yield per_step(FILES, files, **location)
    yield per_step(READ_BYTES, files * count("file_bytes"), **location)


TASK = Task(
    summary="A training step of known parts (launches, copies, files…), for the attribution to take apart.",
    run=run_step,
    params={
        "launches": 100,
        "syncs": 2,
        "h2d_copies": 2,
        "h2d_bytes": 2**20,
        "d2h_copies": 1,
        "d2h_bytes": 2**16,
        "d2d_copies": 1,
        "d2d_bytes": 2**20,
        "allocations": 1,
        "allocation_bytes": 2**20,
        "files": 8,
        "file_bytes": 4096,
        "samples": 50,
        "warmup": 5,
    },
    limits=dict.fromkeys(
        ("launches", "syncs", "h2d_copies", "d2h_copies", "d2d_copies", "allocations", "files"), ANY_NUMBER
    ),
    devices=("cuda",),
    seconds=1.0,
)
