from __future__ import annotations

import pytest

from harness.agent.messages import CellSpec
from harness.agent.task import GPU_GAIN, SEVERAL, Context, Outcome, Task, find
from tests.agent.conftest import MakeSpec


def _run(context: Context) -> Outcome:
    raise AssertionError(context)


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
    assert task.expected({}, "cuda:0") == 80.0 / GPU_GAIN
    assert task.expected({"batch_size": 4, "steps": 10, "seed": 7}) == 5.0


@pytest.mark.parametrize(
    ("name", "good", "bad", "expected"),
    [
        ("samples", 1, 0, "a number at least 1 is expected"),
        ("size", 4096, -4096, "a number at least 1 is expected"),
        ("seconds", 1e-9, 0.0, "a number above 0 is expected"),
        ("warmup", 0, -1, "a number at least 0 is expected"),
        ("threads", 0, -1, "a number at least 0 is expected"),
        ("growth", 2, 1, "a number at least 2 is expected"),
        ("share", 1.0, 1.5, "a number from 0 to 1 is expected"),
    ],
)
def test_a_number_has_limits(name: str, good: float, bad: float, expected: str) -> None:
    params = {"samples": 5, "size": 1, "seconds": 0.1, "warmup": 3, "threads": 0, "growth": 4, "share": 0.5}
    task = Task(summary="", run=_run, params=params, limits={"growth": SEVERAL, "share": (0, 1)})
    assert task.refusal(name, good) == ""
    assert task.refusal(name, bad) == expected


def test_a_text_is_one_of_its_choices() -> None:
    task = Task(summary="", run=_run, params={"mode": "fast"}, choices={"mode": ("fast", "slow")})
    assert task.refusal("mode", "slow") == ""
    assert task.refusal("mode", "") == "one of fast, slow is expected"


def test_texts_and_truth_values_have_none() -> None:
    task = Task(summary="", run=_run, params={"mode": "fast", "warm": True})
    assert (task.refusal("mode", ""), task.refusal("warm", False)) == ("", "")
