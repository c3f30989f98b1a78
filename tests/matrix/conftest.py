"""Declared tasks for matrices under test: a fake probe family and a fake workload family."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from harness.agent.task import Context, Outcome, Task


def _run(context: Context) -> Outcome:
    raise AssertionError("the controller runs no task")


FAKE_PROBE = {
    "plain": Task(summary="No parameters.", run=_run),
    "gpu": Task(summary="Needs a GPU.", run=_run, devices=("cuda",)),
    "params": Task(
        summary="One parameter of each type.",
        run=_run,
        params={"size": 4096, "rate": 1.5, "warm": True, "mode": "fast"},
    ),
}
FAKE_WORKLOAD = {
    "resnet": Task(
        summary="A workload on torch.",
        run=_run,
        params={"batch_size": 32},
        frameworks=("torch",),
        devices=("cpu", "cuda"),
    ),
    "mnist": Task(summary="A workload on TensorFlow.", run=_run, frameworks=("tensorflow",)),
}


@pytest.fixture(scope="package", autouse=True)
def fake_tasks() -> Iterator[None]:
    """Insert the families `fakeprobe` and `fakework` among the declared ones."""
    families = {
        "harness.agent.probes.fakeprobe": FAKE_PROBE,
        "harness.agent.workloads.fakework": FAKE_WORKLOAD,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, tasks in families.items():
            module = ModuleType(name)
            module.__spec__ = ModuleSpec(name, None)
            module.__dict__["TASKS"] = tasks
            patch.setitem(sys.modules, name, module)
        yield
