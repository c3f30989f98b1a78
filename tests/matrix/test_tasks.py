from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.messages import Scalar
from harness.agent.task import find
from harness.matrix.tasks import complete, convert, declared, is_match, named_tasks


def test_the_keys_that_differ_name_the_tasks() -> None:
    sets: list[dict[str, Scalar]] = [
        {"batch_size": 32, "xla": False, "model": "a"},
        {"batch_size": 64, "xla": False, "model": "a"},
        {"batch_size": 64, "xla": True, "model": "a"},
    ]
    assert [task.name for task in named_tasks({"cnn.a": sets, "cnn.b": sets[:1]})] == [
        "cnn.a[batch_size=32,xla=false]",
        "cnn.a[batch_size=64,xla=false]",
        "cnn.a[batch_size=64,xla=true]",
        "cnn.b",
    ]


def test_a_glob_means_a_task_by_full_name_or_entry() -> None:
    small, large = named_tasks({"cnn.a": [{"batch": 1}, {"batch": 2}]})
    assert small.matches("cnn.a")
    assert large.matches("cnn.*")
    assert small.matches("cnn.a[batch=1]")
    assert not large.matches("cnn.a[batch=1]")
    assert large.matches("*batch=2*")
    assert not small.matches("*batch=2*")
    assert not small.matches("CNN.a")


@given(st.text())
def test_a_name_means_itself(name: str) -> None:
    assert is_match(name, name)


def test_parameters_not_given_are_at_their_defaults() -> None:
    assert complete({"b": "4KiB"}, {"a": 1.5, "b": 1}) == {"a": 1.5, "b": 4096}


@pytest.mark.parametrize(
    ("value", "default", "expected"),
    [(4096, 1, 4096), ("1MiB", 1, 1048576), (2, 1.0, 2.0), (1.5, 1.0, 1.5), (True, False, True), ("x", "", "x")],
)
def test_a_parameter_takes_the_type_of_its_default(value: Scalar, default: Scalar, expected: Scalar) -> None:
    converted = convert(value, default)
    assert converted == expected
    assert type(converted) is type(default)


@pytest.mark.parametrize(
    ("value", "default"),
    [(1.0, 1), (True, 1), ("1", 1), (True, 1.0), ("1", 1.0), (10**400, 1.0), (1, True), ("true", True), (1, "")],
)
def test_a_parameter_of_another_type_is_refused(value: Scalar, default: Scalar) -> None:
    with pytest.raises(ValueError, match="is expected"):
        convert(value, default)


def test_every_declared_task_is_found() -> None:
    names = declared()
    assert {"control.fma", "tf_cnn.trivial", "torch_cnn.resnet50"} <= set(names)
    assert all(find(name) for name in names)


def test_a_helper_that_needs_a_framework_declares_nothing() -> None:
    assert find("torch_models.trivial") is None


def test_every_declared_default_keeps_its_own_limits() -> None:
    for name in declared():
        task = find(name)
        assert task is not None
        assert {key: task.refusal(key, value) for key, value in task.params.items()} == dict.fromkeys(task.params, "")
        assert task.limits.keys() <= task.params.keys()
