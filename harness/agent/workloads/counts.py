"""What a step of each workload consists of: `counts.torch_cnn.resnet50` traces a few steps of `torch_cnn.resnet50`.

A run adds these tasks by itself, once for each workload on the baseline, in processes of their own: tracing costs time
and never runs in a measured invocation. Each metric is one of `harness.agent.step_counts`; the mean of a few steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from harness.agent.step_counts import PREFIX
from harness.agent.task import Context, Outcome, Task
from harness.agent.workloads import (
    keras_cnn,
    tensorflow_counts,
    tf_cnn,
    torch_cnn,
    torch_counts,
    torch_decode,
    torch_matmul,
)

STARTING_SECONDS = 5.0  # a framework's import, and writing and reading a trace, beside the steps; for the plan alone


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A family of workloads: its declarations, what traces one of them, and how many steps that makes."""

    tasks: Mapping[str, Task]
    run: Callable[[Context], Outcome]
    warmup: int
    steps: int

    def count(self, context: Context) -> Outcome:
        """Run the workload's few steps under a trace, with the parameters that it is measured with."""
        spec = replace(context.spec, entry=context.spec.entry.removeprefix(PREFIX))
        few = {
            "num_warmup_batches": self.warmup - 1,
            "num_batches": self.steps + 1,
        }  # what begins between is not traced
        return self.run(replace(context, spec=spec, params={**context.params, **few}))

    def task(self, entry: str, workload: Task) -> Task:
        """Return the declaration of the task that counts: the workload's, but for the time."""
        measured = sum(int(workload.params[name]) for name in ("num_warmup_batches", "num_batches"))
        return replace(
            workload,
            summary=f"What a step of {entry} consists of, counted once in a trace.",
            run=self.count,
            work=tuple(name for name in workload.work if name != "num_batches"),
            seconds=STARTING_SECONDS + workload.seconds * (self.warmup + self.steps) / measured,
        )


_torch = partial(Traced, warmup=torch_counts.WARMUP, steps=torch_counts.STEPS)
_tensorflow = partial(Traced, warmup=tensorflow_counts.WARMUP, steps=tensorflow_counts.STEPS)
FAMILIES: Mapping[str, Traced] = {
    "torch_cnn": _torch(tasks=torch_cnn.TASKS, run=partial(torch_counts.run, choose=torch_cnn.chosen)),
    "torch_decode": _torch(tasks=torch_decode.TASKS, run=partial(torch_counts.run, choose=torch_decode.chosen)),
    "torch_matmul": _torch(tasks=torch_matmul.TASKS, run=partial(torch_counts.run, choose=torch_matmul.chosen)),
    "keras_cnn": _tensorflow(tasks=keras_cnn.TASKS, run=tensorflow_counts.run_keras_cnn),
    "tf_cnn": _tensorflow(
        tasks={name: task for name, task in tf_cnn.TASKS.items() if name not in tf_cnn.BROKEN},
        run=tensorflow_counts.run_tf_cnn,
    ),
}
TASKS: Mapping[str, Task] = {
    f"{family}.{name}": traced.task(f"{family}.{name}", task)
    for family, traced in FAMILIES.items()
    for name, task in traced.tasks.items()
}
