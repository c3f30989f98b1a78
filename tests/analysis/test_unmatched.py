"""What one side alone measured: it is in no comparison, and it is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.agent.messages import CellResult, Metric
from harness.analysis.analyse import analyse
from harness.analysis.model import Unmatched
from harness.analysis.unmatched import NO_BLOCK
from harness.results.bundle import Bundle, read
from tests.synthetic import BANDWIDTH, CONTROL, SMALL_FILES, write_bundle

Dims = Mapping[str, Any]


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read(write_bundle(tmp_path / "run", tasks=(BANDWIDTH, SMALL_FILES, CONTROL), blocks=3, samples=3))


def changed(bundle: Bundle, change: Callable[[CellResult], CellResult]) -> tuple[Unmatched, ...]:
    found = analyse(replace(bundle, invocations=tuple(map(change, bundle.invocations))))
    for each in found.unmatched:
        assert (each.platform, each.baseline, each.device) == ("docker", "native", "cpu")
    return found.unmatched


def expanded(result: CellResult, *dims: Dims) -> CellResult:
    """Return a result with one metric for each of the dims in place of each metric."""
    metrics: list[Metric] = [replace(each, dims={**each.dims, **more}) for each in result.metrics for more in dims]
    return replace(result, metrics=tuple(metrics))


def by_side(task: str, native: list[Dims], docker: list[Dims]) -> Callable[[CellResult], CellResult]:
    def change(result: CellResult) -> CellResult:
        side = docker if result.platform == "docker" else native
        return expanded(result, *side) if result.task == task else result

    return change


def threads(*counts: int) -> list[Dims]:
    return [{"threads": count} for count in counts]


def test_where_all_have_a_counterpart_nothing_is_said(bundle: Bundle) -> None:
    """Not even of an overlay, which stands against the host's disk."""
    assert changed(bundle, lambda result: result) == ()


def test_other_numbers_of_threads_are_said(bundle: Bundle) -> None:
    (one,) = changed(bundle, by_side(BANDWIDTH.name, threads(1, 2, 8), threads(1, 2, 4)))
    assert (one.task, one.metric, one.quantities) == (BANDWIDTH.name, "triad_bandwidth", 2)
    assert (one.platform_only, one.baseline_only) == ({"threads": [4]}, {"threads": [8]})
    assert one.reason == "threads 4 on docker alone; threads 8 on native alone"


def test_a_python_loop_against_machine_code_is_said(bundle: Bundle) -> None:
    (one,) = changed(bundle, by_side(BANDWIDTH.name, [{"loop": "native"}], [{"loop": "python"}]))
    assert one.reason == "loop python on docker alone; loop native on native alone"


def test_sizes_that_one_side_has_no_memory_for_are_said_in_their_order(bundle: Bundle) -> None:
    sizes: list[Dims] = [{"bytes": 4**power} for power in range(1, 13)]
    (one,) = changed(bundle, by_side(BANDWIDTH.name, sizes, sizes[:4]))
    assert one.baseline_only == {"bytes": [4**power for power in range(5, 13)]}
    assert one.reason == "bytes 1024, 4096, 16384, 65536, 262144, 1048576 and 2 more on native alone"


def test_a_dim_that_one_side_lacks_is_said(bundle: Bundle) -> None:
    (one,) = changed(bundle, by_side(BANDWIDTH.name, [{}], [{"node": 0}]))
    assert one.reason == "node 0 on docker alone; node none on native alone"


def test_one_side_may_lack_a_location(bundle: Bundle) -> None:
    def without_tmpfs(result: CellResult) -> CellResult:
        kept = tuple(each for each in result.metrics if each.dims.get("location") != "tmpfs")
        return replace(result, metrics=kept) if result.platform == "docker" else result

    found = changed(bundle, without_tmpfs)
    assert [each.metric for each in found] == ["create_seconds", "open_read_seconds"]
    assert {each.reason for each in found} == {"location tmpfs on native alone"}


def test_sizes_are_to_blame_and_not_the_location_that_has_another_name(bundle: Bundle) -> None:
    for one in changed(bundle, by_side(SMALL_FILES.name, [{"bytes": 1}, {"bytes": 2}], [{"bytes": 1}, {"bytes": 3}])):
        assert one.reason == "bytes 3 on docker alone; bytes 2 on native alone"
        assert one.quantities == 4 + 2


def test_a_metric_of_one_side_is_said(bundle: Bundle) -> None:
    def renamed(result: CellResult) -> CellResult:
        own = tuple(replace(each, name="own_seconds") for each in result.metrics)
        return replace(result, metrics=(*result.metrics, *own)) if result.platform == "docker" else result

    found = [each for each in changed(bundle, renamed) if each.task == BANDWIDTH.name]
    assert [(each.metric, each.reason) for each in found] == [("own_seconds", "measured on docker alone")]


def test_blocks_of_their_own_are_said(bundle: Bundle) -> None:
    def split(result: CellResult) -> CellResult:
        lost = result.task == BANDWIDTH.name and (result.platform == "docker") == (result.block == 1)
        return replace(result, status="failed", reason="lost", metrics=()) if lost else result

    (one,) = changed(bundle, split)
    assert (one.reason, one.quantities) == (NO_BLOCK, 2)


def test_a_task_that_one_side_did_not_measure_is_told_by_its_cells(bundle: Bundle) -> None:
    def failed(result: CellResult) -> CellResult:
        gone = result.platform == "docker" and result.task == BANDWIDTH.name
        return replace(result, status="failed", reason="broken", metrics=()) if gone else result

    assert changed(bundle, failed) == ()


def test_what_is_never_compared_is_not_missed(bundle: Bundle) -> None:
    def without_clock(result: CellResult) -> CellResult:
        kept = tuple(each for each in result.metrics if each.name != "clock_seconds")
        return replace(result, metrics=kept) if result.platform == "docker" else result

    assert changed(bundle, without_clock) == ()
