from __future__ import annotations

import errno
import os
from statistics import median

import pytest

from harness.agent.helper import NativeHelper
from harness.agent.probes import driver
from harness.agent.task import Unavailable, Unsupported
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.systems import not_on_windows


def test_a_system_call_costs_more_than_a_call(run_task: RunTask, native: NativeHelper) -> None:
    syscall = metric(run_task("driver.syscall", samples=20, warmup=2, calls=5000), "syscall_seconds")
    assert (len(syscall.samples), syscall.warmup) == (22, 2)
    assert median(syscall.samples) > 2 * median(native.empty_call(20, 5000))


@not_on_windows("it has neither fork nor getppid")
def test_python_adds_to_each_system_call(run_task: RunTask, native: NativeHelper, no_native: None) -> None:
    through_python = metric(run_task("driver.syscall", samples=20, warmup=0, calls=5000), "syscall_seconds")
    assert through_python.dims == {"loop": "python"}
    assert min(through_python.samples) > min(native.syscall(20, 5000))


def test_where_python_cannot_make_the_call_the_helper_is_needed(
    run_task: RunTask, monkeypatch: pytest.MonkeyPatch, no_native: None
) -> None:
    monkeypatch.setattr(driver, "POSIX", False)
    with pytest.raises(Unavailable, match="nox -s native"):
        run_task("driver.syscall", samples=2, warmup=0, calls=2)


def test_a_system_without_the_call_is_unsupported(
    run_task: RunTask, native: NativeHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(self: NativeHelper, samples: int, calls: int) -> list[float]:
        raise OSError(errno.ENOSYS, "Function not implemented", "syscall")

    monkeypatch.setattr(NativeHelper, "syscall", lacking)
    with pytest.raises(Unsupported, match="NtGetCurrentProcessorNumber"):
        run_task("driver.syscall")


def test_where_no_process_starts_without_a_program_there_are_threads_alone(
    run_task: RunTask, native: NativeHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "POSIX", False)
    outcome = run_task("driver.spawn", samples=5, warmup=1)
    assert {each.dims.get("kind") for each in outcome.metrics} == {"thread", None}
    assert driver.THREADS_ALONE in outcome.warnings


@not_on_windows("it has neither fork nor getppid")
def test_spawn_has_threads_and_processes(run_task: RunTask, native: NativeHelper) -> None:
    outcome = run_task("driver.spawn", samples=50, warmup=5)
    kinds = {kind: metric(outcome, "spawn_seconds", kind=kind) for kind in ("thread", "fork", "process")}
    assert all((len(each.samples), each.warmup) == (55, 5) for each in kinds.values())
    cost = {kind: median(each.samples[each.warmup :]) for kind, each in kinds.items()}
    assert cost["process"] < cost["fork"]  # it copies no page tables
    assert 1e-6 < cost["thread"] < 0.01


@not_on_windows("it has neither fork nor getppid")
def test_spawn_without_the_helper_measures_the_same_quantity(run_task: RunTask, no_native: None) -> None:
    outcome = run_task("driver.spawn", samples=5, warmup=1)
    assert names(outcome) == {"spawn_seconds", *INSTRUMENT}
    assert {each.dims.get("kind") for each in outcome.metrics} == {"thread", "fork", None}


@not_on_windows("it has neither fork nor getppid")
def test_spawn_waits_for_its_processes(run_task: RunTask, loop: str) -> None:
    run_task("driver.spawn", samples=5, warmup=0)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
