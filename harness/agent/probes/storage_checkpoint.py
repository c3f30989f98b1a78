"""`storage.checkpoint`: how long a training stands still to save its state so that a crash leaves a whole one.

As training programs do it: write beside the last checkpoint, force to the disk (fsync), put it in the last one's place
(os.replace, again and again for a while where Windows refuses because a scanner has it open: that wait is part of a
save). What a disk, a virtual disk, a network file system or a virus scanner makes of that differs widely. The
state is random bytes, which no file system compresses away. A save takes milliseconds, so plain Python times it.
"""

from __future__ import annotations

import os

from harness.agent import files
from harness.agent.capacity import MIB
from harness.agent.loops import PythonClock
from harness.agent.messages import Metric, Scalar
from harness.agent.probes.storage_locations import Place, on_each_location
from harness.agent.sampling import sample
from harness.agent.task import Context, Outcome, Task

WARMUP = 1  # the first save replaces nothing


def run_checkpoint(context: Context) -> Outcome:
    """Measure `save_seconds` of a state of `bytes` on each location; one that fails is left out with a warning."""
    size, saves = context.integer("bytes"), WARMUP + context.integer("saves")
    state = os.urandom(size)

    def checkpoints(place: Place) -> list[Metric]:
        latest, beside = place.directory / "checkpoint", place.directory / "checkpoint.partial"

        def save() -> None:
            with beside.open("wb") as file:
                file.write(state)
                file.flush()
                os.fsync(file.fileno())
            files.replace(beside, latest)

        seconds = tuple(sample(save, samples=saves))
        dims: dict[str, Scalar] = {"location": place.location, "bytes": size}
        return [Metric(name="save_seconds", unit="s", better="lower", samples=seconds, warmup=WARMUP, dims=dims)]

    return on_each_location(context, PythonClock(), {"checkpoints": checkpoints}, needs=2 * size)


TASK = Task(
    summary="Save a checkpoint so that a crash leaves a whole one: write, fsync, replace, on every location.",
    run=run_checkpoint,
    params={"bytes": 64 * MIB, "saves": 5},
    work=("bytes",),
    seconds=1.5,
)
