"""`driver.jitter`: how late a sleep ends that should end at a fixed time, and how short a sleep can be.

Scheduler, timer and interrupts: on Linux clock_nanosleep to an absolute time, as cyclictest does it, and with the slack
of 50 µs that ordinary threads have; on Windows a waitable timer, of high resolution where the system has it. Without
the native helper it is time.sleep, which adds a few microseconds of the interpreter.
"""

from __future__ import annotations

import time

from harness.agent.helper import NativeHelper, loops
from harness.agent.loops import instrument, loop_metric
from harness.agent.sampling import NANOSECOND, sample
from harness.agent.task import Context, Outcome


def run_jitter(context: Context) -> Outcome:
    """Measure `lateness_seconds`, from the end of each period of `microseconds` until the sleeper runs again.

    And `shortest_sleep_seconds`: the timer's resolution as a program meets it.
    """
    timed = loops("lateness", "shortest_sleep")
    warmup = context.integer("warmup")
    total, period = warmup + context.integer("samples"), 1000 * context.integer("microseconds")
    if isinstance(timed, NativeHelper):
        late = timed.call("lateness", total, total, period)
        context.progress(1, 2, "lateness")
        shortest = timed.call("shortest_sleep", total, total)
    else:
        late = _lateness(total, period)
        context.progress(1, 2, "lateness")
        shortest = sample(lambda: time.sleep(NANOSECOND), samples=total)
    context.progress(2, 2, "shortest sleep")
    metrics = (
        loop_metric("lateness_seconds", timed, late, warmup=warmup),
        loop_metric("shortest_sleep_seconds", timed, shortest, warmup=warmup),
        *instrument(timed),
    )
    return Outcome(metrics=metrics, versions=timed.versions, warnings=timed.warnings)


def _lateness(samples: int, period: int) -> list[float]:
    """Sleep to the end of each period of so many nanoseconds; one that has passed meanwhile is left out."""
    due = time.perf_counter_ns()
    late = []
    for _ in range(samples):
        due += period * max(1, -(-(time.perf_counter_ns() - due) // period))
        time.sleep(max(0, due - time.perf_counter_ns()) * NANOSECOND)
        late.append((time.perf_counter_ns() - due) * NANOSECOND)
    return late
