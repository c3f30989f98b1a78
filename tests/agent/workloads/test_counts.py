from __future__ import annotations

from dataclasses import replace

import pytest

from harness.agent.step_counts import PREFIX
from harness.agent.task import Context, Outcome, Task, find
from harness.agent.workloads import counts, tf_cnn, torch_cnn
from harness.agent.workloads.counts import Traced
from tests.agent.workloads.conftest import MakeContext


@pytest.mark.parametrize(
    "workload", ["torch_cnn.resnet50_v1.5", "torch_decode.gpt", "torch_matmul.square", "keras_cnn.trivial"]
)
def test_a_workload_has_a_task_that_counts_with_its_parameters(workload: str) -> None:
    measured, counting = find(workload), find(PREFIX + workload)
    assert measured is not None
    assert counting is not None
    assert (counting.params, counting.frameworks, counting.devices) == (
        measured.params,
        measured.frameworks,
        measured.devices,
    )


def test_what_upstream_cannot_run_is_not_counted_either() -> None:
    assert find("counts.tf_cnn.mobilenet") is None
    assert find("counts.tf_cnn.resnet50") is not None
    assert len(counts.TASKS) == len(torch_cnn.TASKS) + 2 + 2 + len(tf_cnn.TASKS) - len(tf_cnn.BROKEN)


def test_nothing_else_is_counted() -> None:
    assert find("counts.storage.loader") is None
    assert find("counts.counts.torch_cnn.trivial") is None


def test_few_steps_are_traced_with_the_measured_parameters(make_context: MakeContext) -> None:
    seen: list[Context] = []

    def run(context: Context) -> Outcome:
        seen.append(context)
        return Outcome(metrics=())

    workload = Task(summary="", run=run, params={"batch_size": 8, "num_warmup_batches": 5, "num_batches": 95})
    task = Traced(tasks={}, run=run, warmup=3, steps=2).task("torch_cnn.trivial", replace(workload, seconds=100.0))
    assert task.seconds == counts.STARTING_SECONDS + 5.0
    task.run(make_context("counts.torch_cnn.trivial", params={"batch_size": 4, "num_batches": 1000}))
    assert seen[0].spec.entry == "torch_cnn.trivial"
    assert (seen[0].params["batch_size"], seen[0].params["num_warmup_batches"], seen[0].params["num_batches"]) == (
        4,
        2,
        3,
    )


def test_the_time_does_not_grow_with_the_measured_steps() -> None:
    task = find("counts.torch_cnn.resnet50")
    assert task is not None
    assert task.expected({"num_batches": 1000}) == task.seconds
    assert task.expected({"batch_size": 16}) < task.seconds


def test_what_a_workload_cannot_do_its_count_cannot() -> None:
    task = find("counts.torch_decode.gpt")
    assert task is not None
    assert "needs a GPU" in task.unsupported("cpu", {**task.params, "cuda_graph": True})
