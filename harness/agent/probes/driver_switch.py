"""`driver.switch`: what it costs that one thread or process stops and another goes on.

Two of them hand over to each other in turn, and a value is half of a round trip: waking the other, falling asleep, the
switch itself. A byte through a pipe each way is what `perf bench sched pipe` and lmbench's lat_ctx do, between two
processes and between two threads; a lock and a condition is how the threads of a data loader hand over, and what
Windows has too. Both sides on one CPU must switch; on CPUs of their own they may instead wake an idle CPU, which costs
an interrupt to it, and in a VM an exit.
"""

from __future__ import annotations

from harness.agent.cpus import FREE, cpu_to_pin
from harness.agent.loops import loop_metric
from harness.agent.messages import Metric
from harness.agent.native_only import outcome, require
from harness.agent.task import Context, Outcome

NAME = "driver.switch"
KINDS = {
    "switch_processes": {"between": "processes", "by": "pipe"},
    "switch_threads": {"between": "threads", "by": "pipe"},
    "switch_condition": {"between": "threads", "by": "condition"},
}


def run_switch(context: Context) -> Outcome:
    """Measure `switch_seconds` by who switches, by what means, and pinned to one CPU or free."""
    helper = require(NAME, "switch_condition")
    warmup, calls = context.integer("warmup"), context.integer("calls")
    count = warmup + context.integer("samples")
    kinds = {loop: dims for loop, dims in KINDS.items() if helper.offers(loop)}
    found: list[Metric | str] = []
    for done, (loop, dims) in enumerate(kinds.items(), start=1):
        for cpu in (cpu_to_pin(), FREE):
            try:
                seconds = helper.call(loop, count, count, calls, cpu)
            except OSError as error:
                found.append(f"{NAME} between {dims['between']} by {dims['by']} on CPU {cpu}: {error}")
                continue
            found.append(loop_metric("switch_seconds", helper, seconds, warmup=warmup, pinned=cpu != FREE, **dims))
        context.progress(done, len(kinds), loop)
    return outcome(helper, found)
