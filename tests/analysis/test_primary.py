"""Which metric of a task speaks for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.analysis.primary import PRIMARY, primary_of
from harness.matrix.tasks import declared

WORKLOADS = ("tf_cnn.", "keras_cnn.", "torch_cnn.", "torch_decode.", "torch_matmul.")
Described = tuple[str, Mapping[str, Any]]


def speaking(task: str, *found: Described) -> list[Described]:
    return primary_of(task, found, lambda each: each)


def test_only_probes_have_entries() -> None:
    probes = {name for name in declared() if not name.startswith(WORKLOADS)}
    assert set(PRIMARY) <= probes


def test_a_workload_speaks_by_its_step() -> None:
    step = ("step_seconds", {"loop": "native"})
    assert speaking("tf_cnn.resnet50[batch_size=4]", ("images_per_second", {}), step) == [step]


def test_a_copy_speaks_at_one_size_in_all_its_directions() -> None:
    sizes: dict[int, list[Described]] = {
        size: [("copy_bandwidth", {"direction": way, "bytes": size}) for way in ("h2d", "d2h")]
        for size in (2**26, 2**28, 2**30)
    }
    others: list[Described] = [("copy_seconds", {"direction": "h2d", "bytes": 2**28})]
    everything = [*others, *(each for size in sizes.values() for each in size)]
    assert speaking("copies.bandwidth", *everything) == sizes[2**28]


def test_a_curve_that_ends_before_speaks_by_its_largest() -> None:
    """Pinned memory may have a limit where pageable memory has none: both must be in the headline."""
    pageable = [("copy_bandwidth", {"memory": "pageable", "bytes": size}) for size in (2**24, 2**28)]
    pinned = [("copy_bandwidth", {"memory": "pinned", "bytes": size}) for size in (2**26, 2**24)]
    assert speaking("copies.bandwidth", *pageable, *pinned) == [pageable[1], pinned[0]]


@pytest.mark.parametrize("task", ["copies.bandwidth", "another.task"])
def test_without_its_metric_the_first_speaks(task: str) -> None:
    assert speaking(task, ("b_seconds", {}), ("a_seconds", {"n": 1}), ("a_seconds", {"n": 2})) == [
        ("a_seconds", {"n": 1}),
        ("a_seconds", {"n": 2}),
    ]
    assert speaking(task) == []


def test_what_the_clock_costs_speaks_for_no_probe() -> None:
    saves: Described = ("save_seconds", {"location": "disk"})
    assert speaking("storage.checkpoint", ("call_seconds", {}), ("clock_seconds", {}), saves) == [saves]
