"""Under which terms something was measured, and on which of them two sides disagree."""

from __future__ import annotations

from harness.analysis.matching import disagreements, terms
from tests.boots import LOCK, STACK, TASK, linux, manifest, results


def test_the_terms_of_a_task_are_its_parameters_and_its_lock_file() -> None:
    boot = linux(1)
    found = terms(results(boot), manifest(boot))
    assert found == {(TASK, STACK): {"batch_size": "32", f"lock file of stack {STACK}": LOCK[:12]}}


def test_sides_that_agree_leave_no_line() -> None:
    assert disagreements({"before": {"files": "500"}, "after": {"files": "500"}}) == ()
    assert disagreements({"alone": {"files": "500"}}) == ()
    assert disagreements({}) == ()


def test_each_disagreement_is_a_line_with_equal_sides_together() -> None:
    sides = {"in boot 1": {"a": "1", "b": "x"}, "in boot 2": {"a": "2", "b": "x"}, "in boot 3": {"a": "1", "b": "x"}}
    assert disagreements(sides) == ("a: 1 in boot 1 and in boot 3, 2 in boot 2",)


def test_what_a_side_does_not_set_is_its_default() -> None:
    assert disagreements({"before": {}, "after": {"size": "4096"}}) == ("size: default before, 4096 after",)
    assert disagreements({"before": {"lock": ""}, "after": {"lock": "ab"}}) == ("lock: none before, ab after",)
