from __future__ import annotations

from statistics import median

import pytest

from harness.agent.loops import ABSENT, Loops, PythonLoops, instrument, loop_metric
from tests.agent.native_helper import built
from tests.agent.systems import not_on_windows


def both() -> list[Loops]:
    return [built(), PythonLoops()]


def test_both_ways_offer_the_same() -> None:
    assert [loops.name for loops in both()] == ["native", "python"]
    assert [loops.warnings for loops in both()] == [(), (ABSENT,)]


def test_python_costs_more() -> None:
    """What the helper is for: the interpreter's share in the cheap loops."""
    native, python = both()
    assert median(python.clock(20, 1000)) > median(native.clock(20, 1000))
    assert median(python.empty_call(20, 1000)) > median(native.empty_call(20, 1000))
    assert min(python.fma(3, 10_000)) > min(native.fma(3, 10_000))


@pytest.mark.parametrize("samples", [1, 7])
def test_one_value_a_sample(samples: int) -> None:
    for loops in both():
        assert len(loops.thread(samples)) == len(loops.spin(samples, 1000)) == samples


@not_on_windows("it has no fork")
def test_a_fork_is_a_sample_too() -> None:
    assert [len(loops.fork(3)) for loops in both()] == [3, 3]


def test_a_metric_names_its_loop() -> None:
    metric = loop_metric("x_seconds", PythonLoops(), [3.0, 1.0, 2.0], warmup=1, location="disk")
    assert (metric.samples, metric.warmup, metric.unit, metric.better) == ((3.0, 1.0, 2.0), 1, "s", "lower")
    assert metric.dims == {"location": "disk", "loop": "python"}
    assert [each.dims for each in instrument(PythonLoops())] == [{"loop": "python"}] * 2
