"""Fake probes, one for each way to end; tests put this folder on the path of harness.agent.probes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import NoReturn

from harness.agent.messages import Metric, Scalar
from harness.agent.task import Context, Outcome, Span, Task, Unavailable, Unsupported


def run_good(context: Context) -> Outcome:
    context.progress(1, 1, "done")
    samples = (context.number("value"),) * context.integer("samples")
    metric = Metric(name="fake_seconds", unit="s", better="lower", samples=samples, warmup=1)
    return Outcome(metrics=(metric,), versions={"fake": "1.0"}, warnings=("one\nline",))


def run_steps(context: Context) -> Outcome:
    """A start of 0.3 s, and timed steps of 2.1 s that got ten images done."""
    time.sleep(0.3)
    begin = time.perf_counter()
    time.sleep(2.1)
    span = Span(begin=begin, end=time.perf_counter(), item="image", done=10)
    return Outcome(metrics=run_good(context).metrics, timed=span)


def run_limited(context: Context) -> Outcome:
    metric = Metric(name="pinned_bytes", unit="B", better="higher", samples=(1e9,))
    return Outcome(metrics=(metric,), status="limited", reason="refused above 1 GB")


def run_endless(context: Context) -> Outcome:
    metric = Metric(name="fake_seconds", unit="s", better="lower", samples=(1.0, float(context.text("value"))))
    return Outcome(metrics=(metric,))


def run_nothing(context: Context) -> Outcome:
    return Outcome(metrics=())


def run_unsupported(context: Context) -> NoReturn:
    raise Unsupported("the platform can't")


def run_unavailable(context: Context) -> NoReturn:
    raise Unavailable("no device here")


def run_silent(context: Context) -> NoReturn:
    raise Unavailable


def run_memory(context: Context) -> NoReturn:
    raise MemoryError


def run_failing(context: Context) -> NoReturn:
    raise RuntimeError("first\n  second \udcff")


def run_person(context: Context) -> NoReturn:
    raise RuntimeError(os.environ["HOME"] + "/data is not there")


def run_exit(context: Context) -> NoReturn:
    sys.exit(3)


def run_interrupt(context: Context) -> NoReturn:
    raise KeyboardInterrupt


def run_hang(context: Context) -> NoReturn:
    context.progress(0, 1, "hanging")
    while True:
        time.sleep(0.05)


def run_noise(context: Context) -> Outcome:
    os.write(1, b"native noise\n")
    sys.stdout.write('{"overhead_matrix": broken\n')
    return run_good(context)


def conflict(params: Mapping[str, Scalar]) -> str:
    return "samples 7 and value 7 don't go together" if params["samples"] == params["value"] == 7 else ""


GOOD = {"value": 0.5, "samples": 3}

TASKS = {
    "good": Task(summary="Ends well.", run=run_good, params=GOOD, conflict=conflict),
    "noise": Task(summary="Prints, then ends well.", run=run_noise, params=GOOD),
    "limited": Task(summary="Works up to a value.", run=run_limited),
    "endless": Task(summary="Gives what is no finite number.", run=run_endless, params={"value": "inf"}),
    "nothing": Task(summary="Measures nothing.", run=run_nothing),
    "unsupported": Task(summary="Says that the platform can't.", run=run_unsupported),
    "unavailable": Task(summary="Says that the host lacks something.", run=run_unavailable),
    "silent": Task(summary="Says nothing about why.", run=run_silent),
    "memory": Task(summary="Runs out of memory.", run=run_memory),
    "failing": Task(summary="Raises something that nobody foresaw.", run=run_failing),
    "person": Task(summary="Names a folder of the user's.", run=run_person),
    "exit": Task(summary="Calls sys.exit.", run=run_exit),
    "interrupt": Task(summary="Is interrupted.", run=run_interrupt),
    "hang": Task(summary="Never ends.", run=run_hang),
    "device": Task(summary="Wants a GPU.", run=run_good, params=GOOD, devices=("cuda",)),
    "picky": Task(
        summary="Runs with value 1 only.",
        run=run_good,
        params=GOOD,
        unsupported=lambda device, params: "" if params["value"] == 1 else f"value {params['value']} not on {device}",
    ),
    "steps": Task(summary="Is a workload.", run=run_steps, params=GOOD, devices=("cpu", "cuda")),
    "resource": Task(summary="Wants a checkout.", run=run_good, params=GOOD, resources=("tf_benchmarks",)),
}
