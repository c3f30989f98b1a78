from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from harness.agent.cpus import FREE, cpu_to_pin
from harness.agent.helper import NativeHelper
from harness.agent.probes import driver_switch
from harness.agent.task import Unavailable, Unsupported
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.systems import not_on_windows

if sys.platform != "win32":
    import resource

# Windows has no fork, by which the other process would come to be.
LOOPS = sorted(set(driver_switch.KINDS) - ({"switch_processes"} if sys.platform == "win32" else set()))


def switches() -> int:
    """How often this process gave up a CPU, with its threads and children that have ended.

    The one that is woken may push the other aside before that one falls asleep: then the switch counts as involuntary.
    """
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_nvcsw + usage.ru_nivcsw for usage in usages)


def entries(folder: str) -> list[str]:
    return sorted(each.name for each in Path("/proc/self", folder).iterdir())


def test_every_kind_is_measured_pinned_and_free(run_task: RunTask, native: NativeHelper) -> None:
    outcome = run_task("driver.switch", samples=5, warmup=1, calls=10)
    assert names(outcome) == {"switch_seconds", *INSTRUMENT}
    for dims in map(driver_switch.KINDS.__getitem__, LOOPS):
        for pinned in (True, False):
            switch = metric(outcome, "switch_seconds", pinned=pinned, **dims)
            assert (len(switch.samples), switch.warmup, switch.unit, switch.better) == (6, 1, "s", "lower")
            assert switch.dims["loop"] == "native"


@pytest.mark.parametrize("loop", LOOPS)
def test_a_switch_costs_more_than_a_system_call(native: NativeHelper, loop: str) -> None:
    assert min(native.call(loop, 50, 50, 100, cpu_to_pin())) > 2 * min(native.syscall(50, 1000))


@not_on_windows("it counts no switches and has no /proc")
@pytest.mark.parametrize("loop", LOOPS)
def test_on_one_cpu_every_half_round_trip_is_a_switch(native: NativeHelper, loop: str) -> None:
    before = switches()
    native.call(loop, 10, 10, 100, cpu_to_pin())
    assert switches() - before >= 2 * 10 * 100


@not_on_windows("it counts no switches and has no /proc")
@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_is_left_behind(native: NativeHelper, loop: str) -> None:
    cpus, files, threads = os.sched_getaffinity(0), entries("fd"), entries("task")
    native.call(loop, 2, 2, 10, cpu_to_pin())
    assert os.sched_getaffinity(0) == cpus
    assert entries("fd") == files
    assert set(entries("task")) <= set(threads)  # one that an earlier test began may end
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("calls", "cpu"), [(0, FREE), (-1, FREE), (1, 8191), (1, 10**6)])
def test_what_cannot_be_done_is_refused(native: NativeHelper, loop: str, calls: int, cpu: int) -> None:
    with pytest.raises(OSError, match="Errno 22"):
        native.call(loop, 1, 1, calls, cpu)


def test_a_cpu_that_is_refused_leaves_the_free_ones_and_a_reason(
    run_task: RunTask, native: NativeHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_switch, "cpu_to_pin", lambda: 8191)
    outcome = run_task("driver.switch", samples=2, warmup=0, calls=2)
    assert {each.dims.get("pinned") for each in outcome.metrics} == {False, None}
    assert len(outcome.warnings) == len(LOOPS)
    assert "on CPU 8191: [Errno 22]" in outcome.warnings[0]


def test_it_says_what_it_lacks(run_task: RunTask, native: NativeHelper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NativeHelper, "offers", lambda self, name: False)
    with pytest.raises(Unsupported, match="leave it out of the profile"):
        run_task("driver.switch")


def test_without_the_helper_it_is_unavailable(run_task: RunTask, no_native: None) -> None:
    with pytest.raises(Unavailable, match="nox -s native"):
        run_task("driver.switch")
