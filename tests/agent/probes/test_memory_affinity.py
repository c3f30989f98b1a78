from __future__ import annotations

from statistics import mean

import pytest

from harness.agent.cpus import cpu_to_pin
from harness.agent.helper import NativeHelper
from harness.agent.messages import Metric
from harness.agent.probes import memory_affinity
from harness.agent.task import Outcome, Unavailable
from tests.agent.planted import busy_cpu, cpu_limit
from tests.agent.probes.conftest import RunTask, metric
from tests.agent.systems import not_on_windows


def arms(outcome: Outcome) -> tuple[Metric, Metric]:
    return metric(outcome, "work_seconds", pinned=True), metric(outcome, "work_seconds", pinned=False)


def average(outcome: Outcome) -> float:
    return mean(value for arm in arms(outcome) for value in arm.samples)


def test_a_pinned_and_a_free_thread_do_the_same_work(run_task: RunTask, native: NativeHelper) -> None:
    pinned, free = arms(run_task("memory.affinity", samples=10, warmup=1, loads=100_000))
    assert (len(pinned.samples), pinned.warmup, pinned.unit, pinned.better) == (11, 1, "s", "lower")
    assert len(free.samples) == 11
    assert 0.5 < min(pinned.samples) / min(free.samples) < 2


def test_more_work_takes_longer(run_task: RunTask, native: NativeHelper) -> None:
    once = arms(run_task("memory.affinity", samples=20, warmup=0, loads=100_000))[0]
    thrice = arms(run_task("memory.affinity", samples=20, warmup=0, loads=300_000))[0]
    assert min(thrice.samples) / min(once.samples) == pytest.approx(3, rel=0.15)


@not_on_windows("the load is planted by Linux's means")
def test_a_busy_cpu_slows_the_thread_that_is_pinned_to_it_and_less_the_free_one(
    run_task: RunTask, native: NativeHelper
) -> None:
    with busy_cpu(cpu_to_pin(), 12):
        pinned, free = arms(run_task("memory.affinity", samples=10, warmup=1, loads=4_000_000))
    assert mean(pinned.samples) > 2 * mean(free.samples)


@not_on_windows("the load is planted by Linux's means")
def test_a_cpu_limit_is_seen(run_task: RunTask, native: NativeHelper) -> None:
    usual = average(run_task("memory.affinity", samples=6, warmup=0, loads=2_000_000))
    with cpu_limit(0.1):
        limited = average(run_task("memory.affinity", samples=6, warmup=0, loads=2_000_000))
    assert limited > 1.5 * usual


def test_a_cpu_that_is_refused_makes_it_unavailable(
    run_task: RunTask, native: NativeHelper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_affinity, "cpu_to_pin", lambda: 8191)
    with pytest.raises(Unavailable, match=r"on CPU 8191: \[Errno 22\]"):
        run_task("memory.affinity")


def test_without_the_helper_it_is_unavailable(run_task: RunTask, no_native: None) -> None:
    with pytest.raises(Unavailable, match="nox -s native"):
        run_task("memory.affinity")
