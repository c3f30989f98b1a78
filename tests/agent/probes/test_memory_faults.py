from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from statistics import median

import pytest

from harness.agent import capacity
from harness.agent.helper import NativeHelper
from harness.agent.inspection.facts import Files
from harness.agent.task import Unavailable
from tests.agent.planted import no_huge_pages
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.systems import not_on_windows

if sys.platform != "win32":
    import resource

SIZE = 8 * capacity.MIB
PAGE = capacity.page_size()


def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def mapped() -> int:
    """Bytes of address space that this process has mapped."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * PAGE


@not_on_windows("Wine maps memory through files, whose first touch is cheap")
def test_a_fault_costs_more_than_a_page_that_is_there(run_task: RunTask, native: NativeHelper) -> None:
    outcome = run_task("memory.faults", region_bytes=SIZE, samples=10, warmup=1)
    first = metric(outcome, "fault_seconds", page_bytes=PAGE)
    again = metric(outcome, "touched_seconds", page_bytes=PAGE)
    assert (len(first.samples), first.warmup, first.unit, first.better) == (11, 1, "s", "lower")
    assert median(first.samples) > 5 * median(again.samples)


@not_on_windows("it counts no faults and has no huge pages without a privilege")
def test_a_huge_page_costs_more_than_a_page_and_less_than_all_that_it_replaces(
    run_task: RunTask, native: NativeHelper
) -> None:
    huge = capacity.huge_page_size(Files())
    assert huge is not None
    outcome = run_task("memory.faults", region_bytes=SIZE, samples=10, warmup=1)
    small = metric(outcome, "fault_seconds", page_bytes=PAGE)
    large = metric(outcome, "fault_seconds", page_bytes=huge)
    assert median(small.samples) < median(large.samples) < huge / PAGE * median(small.samples)


@not_on_windows("it counts no faults and has no huge pages without a privilege")
def test_every_page_is_a_fault_and_none_when_it_has_been_touched(native: NativeHelper) -> None:
    counts = []
    for touched in (0, 1):
        huge = (ctypes.c_int64 * 4)()
        before = faults()
        native.call("faults", 4, 4, SIZE, PAGE, 1, touched, ctypes.addressof(huge))
        counts.append(faults() - before)
    pages = 4 * SIZE // PAGE
    assert all(pages <= count < 1.1 * pages for count in counts)


@not_on_windows("it counts no faults and has no huge pages without a privilege")
def test_huge_pages_that_were_not_got_are_missing_with_the_reason(run_task: RunTask, native: NativeHelper) -> None:
    with no_huge_pages():
        outcome = run_task("memory.faults", region_bytes=SIZE, samples=2, warmup=0)
    assert names(outcome) == {"fault_seconds", "touched_seconds", *INSTRUMENT}
    assert metric(outcome, "fault_seconds").dims["page_bytes"] == PAGE
    (warning,) = outcome.warnings
    assert "no value for huge pages, which 0% of the memory got; /sys/kernel/mm/transparent_hugepage/enabled" in warning


@not_on_windows("it counts no faults and has no huge pages without a privilege")
def test_the_memory_is_given_back(run_task: RunTask, native: NativeHelper) -> None:
    run_task("memory.faults", region_bytes=SIZE, samples=1, warmup=0)
    before = mapped()
    run_task("memory.faults", region_bytes=SIZE, samples=20, warmup=0)
    assert mapped() - before < SIZE


def test_more_memory_than_there_is_makes_it_unavailable(run_task: RunTask, native: NativeHelper) -> None:
    with pytest.raises(Unavailable, match=r"set region_bytes of memory\.faults in matrix\.yaml"):
        run_task("memory.faults", region_bytes=2**50)


def test_without_the_helper_it_is_unavailable(run_task: RunTask, no_native: None) -> None:
    with pytest.raises(Unavailable, match="nox -s native"):
        run_task("memory.faults")
