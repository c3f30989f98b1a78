from __future__ import annotations

import time
from statistics import median

import pytest

from harness.agent.helper import NativeHelper
from tests.agent.planted import timer_slack
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.systems import not_on_windows


@not_on_windows("before Python 3.11 its time.sleep and under Wine its timers have 1 to 16 ms")
def test_a_sleeper_wakes_late_and_never_early(run_task: RunTask, loop: str) -> None:
    outcome = run_task("driver.jitter", microseconds=500, samples=100, warmup=5)
    assert names(outcome) == {"lateness_seconds", "shortest_sleep_seconds", *INSTRUMENT}
    for name in ("lateness_seconds", "shortest_sleep_seconds"):
        found = metric(outcome, name, loop=loop)
        assert (len(found.samples), found.warmup, found.unit, found.better) == (105, 5, "s", "lower")
        assert all(seconds >= 0 for seconds in found.samples)
        assert min(found.samples) < 0.0005


@not_on_windows("it has no timer slack")
def test_a_slack_timer_is_found_late(run_task: RunTask, loop: str) -> None:
    def lateness() -> float:
        outcome = run_task("driver.jitter", microseconds=2000, samples=30, warmup=0)
        return median(metric(outcome, "lateness_seconds").samples)

    usual = lateness()
    with timer_slack(20_000_000):
        slack = lateness()
    assert slack > 3 * usual


@not_on_windows("it has no timer slack")
def test_the_shortest_sleep_is_no_longer_than_the_slack_that_is_planted(native: NativeHelper) -> None:
    usual = median(native.call("shortest_sleep", 50, 50))
    with timer_slack(1):
        exact = median(native.call("shortest_sleep", 50, 50))
    with timer_slack(20_000_000):
        slack = median(native.call("shortest_sleep", 50, 50))
    assert exact < usual < slack


def test_periods_go_by_in_their_own_time(native: NativeHelper) -> None:
    start = time.perf_counter()
    native.call("lateness", 100, 100, 1_000_000)
    assert time.perf_counter() - start >= 0.099


@not_on_windows("before Python 3.11 its time.sleep and under Wine its timers have 1 to 16 ms")
def test_a_period_that_passed_unslept_is_left_out(
    run_task: RunTask, no_native: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each sleep is planted to end 7 ms late with periods of 5 ms; kept, the missed ones would add up to 20 × 2 ms."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(seconds + 0.007))
    late = metric(run_task("driver.jitter", microseconds=5000, samples=20, warmup=0), "lateness_seconds")
    assert min(late.samples) >= 0.007
    assert median(late.samples) < 0.02


def test_a_period_of_nothing_is_refused(native: NativeHelper) -> None:
    with pytest.raises(OSError, match="Errno 22"):
        native.call("lateness", 1, 1, 0)
