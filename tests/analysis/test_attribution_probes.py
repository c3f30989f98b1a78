"""Which of a probe's quantities is a cost, and what its replicates are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from harness.analysis.attribution_probes import MissingError, Probes
from harness.analysis.frame import dims_text
from harness.analysis.pairing import Blocks, Quantity


def quantity(
    task: str = "a.probe", metric: str = "a_seconds", *, stack: str = "driver", better: str = "lower", **dims: object
) -> Quantity:
    return Quantity(task, metric, dims_text(dims), "s", better, stack, "cpu")  # type: ignore[arg-type]  # one of the two


def probes(
    ours: Mapping[Quantity, Blocks], theirs: Mapping[Quantity, Blocks], boots: Mapping[int, str] | None = None
) -> Probes:
    return Probes({"native": ours, "docker": theirs}, boots or {}, baseline="native", platform="docker")


def test_differences_are_over_the_blocks_that_both_have() -> None:
    one = quantity()
    found = probes({one: {1: 1.0, 2: 2.0, 3: 9.0}}, {one: {1: 1.5, 2: 3.0, 4: 9.0}}).one(
        "a.probe", "a_seconds", "", "cpu"
    )
    assert [dict(row) for row in found.more.terms.values()] == [{1: 0.5, 2: 1.0}]
    assert found.more.mean == 0.75
    assert found.baseline == 4.0
    assert found.probe == "a.probe a_seconds"


def test_of_several_boots_the_boot_is_the_replicate() -> None:
    one, boots = quantity(), {1: "x", 2: "x", 3: "y", 4: "y"}
    together = probes({one: dict.fromkeys(boots, 1.0)}, {one: {1: 2.0, 2: 4.0, 3: 5.0, 4: 5.0}}, boots)
    found = together.one("a.probe", "a_seconds", "", "cpu").more
    assert [dict(row) for row in found.terms.values()] == [{"x": 2.0, "y": 4.0}]
    apart = probes({one: {1: 1.0, 2: 3.0}}, {one: {3: 5.0, 4: 7.0}}, boots).one("a.probe", "a_seconds", "", "cpu").more
    assert {key.side: dict(row) for key, row in apart.terms.items()} == {
        "baseline": {"x": -2.0},
        "platform": {"y": 6.0},
    }
    assert apart.mean == 4.0


def test_one_boot_without_a_block_in_common_is_nothing() -> None:
    one = quantity()
    with pytest.raises(MissingError, match="not measured alike on native and docker"):
        probes({one: {1: 1.0}}, {one: {2: 1.0}}).one("a.probe", "a_seconds", "", "cpu")


def test_what_both_have_is_preferred_and_then_the_own_stack() -> None:
    driver, torch = quantity(loop="native"), quantity(stack="torch", loop="native")
    both = {driver: {1: 1.0}, torch: {1: 2.0}}
    assert probes(both, both).one("a.probe", "a_seconds", "torch", "cpu").baseline == 2.0
    assert probes(both, both).one("a.probe", "a_seconds", "tensorflow", "cpu").baseline == 1.0
    assert probes(both, {driver: {1: 1.0}}).one("a.probe", "a_seconds", "torch", "cpu").baseline == 1.0
    with pytest.raises(MissingError, match="not measured on the stack tensorflow"):
        probes(both, both).same_stack("a.probe", "a_seconds", "tensorflow", "cpu")


def test_loops_of_two_kinds_are_not_compared() -> None:
    native, python = quantity(loop="native"), quantity(loop="python")
    with pytest.raises(MissingError, match="not measured alike"):
        probes({native: {1: 1.0}}, {python: {1: 1.0}}).one("a.probe", "a_seconds", "", "cpu")


def test_a_rate_is_the_cost_of_a_byte_on_each_sides_own_location() -> None:
    here, there = (quantity(metric="rate", better="higher", location=name) for name in ("host", "overlay"))
    found = probes({here: {1: 4.0}}, {here: {1: 1.0}, there: {1: 2.0}})
    cost = found.located("a.probe", "rate", "", ("host", "overlay"))
    assert (cost.baseline, cost.more.mean) == (0.25, 0.25)
    with pytest.raises(MissingError, match="not measured alike"):
        found.located("a.probe", "rate", "", ("host", "volume"))


def test_a_line_is_through_the_sizes_of_both_and_never_of_one_size() -> None:
    ours = {quantity(bytes=size): {1: 1.0 + size} for size in (1, 10, 100)}
    theirs = {quantity(bytes=size): {1: 3.0 + 2 * size} for size in (1, 10)}
    intercept, slope = probes(ours, theirs).line("a.probe", "a_seconds", "", "cpu")
    assert (intercept.baseline, intercept.more.mean) == pytest.approx((1.0, 2.0))
    assert (slope.baseline, slope.more.mean) == pytest.approx((1.0, 1.0))
    with pytest.raises(MissingError, match="not measured alike"):
        probes(ours, {quantity(bytes=1): {1: 1.0}}).line("a.probe", "a_seconds", "", "cpu")
