from __future__ import annotations

import pytest

from harness.agent.messages import CellSpec
from harness.agent.task import Context, Outcome, Task, find
from tests.agent.conftest import MakeSpec


@pytest.fixture
def spec(make_spec: MakeSpec) -> CellSpec:
    return make_spec()


@pytest.mark.usefixtures("fake_probes")
def test_a_task_is_found_by_family_and_name() -> None:
    task = find("fake.good")

    assert task is not None
    assert task.summary == "Ends well."


@pytest.mark.usefixtures("fake_probes")
@pytest.mark.parametrize(
    "entry", ["fake.unknown", "fake", "unknown.good", "", ".", "..fake.good", "os/path.join", "fake."]
)
def test_what_nobody_declared_is_not_found(entry: str) -> None:
    assert find(entry) is None


def test_parameters_are_read_by_their_type(spec: CellSpec) -> None:
    context = Context(
        spec=spec,
        params={"files": 3, "share": 1, "mode": "warm", "sync": False},
        progress=lambda done, total, note: None,
    )

    assert context.integer("files") == 3
    assert isinstance(context.number("share"), float)
    assert context.text("mode") == "warm"
    assert context.flag("sync") is False


def test_the_expectation_grows_with_the_work() -> None:
    task = Task(
        summary="Steps.",
        run=lambda _context: Outcome(metrics=()),
        params={"batch_size": 32, "steps": 20, "seed": 0},
        seconds=80.0,
        work=("batch_size", "steps"),
    )
    assert task.expected({}) == 80.0
    assert task.expected({"batch_size": 4, "steps": 10, "seed": 7}) == 5.0
