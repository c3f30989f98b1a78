"""`memory.affinity`: what it costs a thread to be left to the scheduler, against one that is bound to a CPU.

The work is always the same: a random walk through a working set that a core's own cache holds, so that a migration
costs what it takes to fill the next core's cache. Pinned and free samples alternate, so that whatever else the machine
does meets both. Neither is the better one everywhere: a free thread avoids a busy CPU, a pinned one keeps its cache.
"""

from __future__ import annotations

from harness.agent import capacity
from harness.agent.cpus import FREE, cpu_to_pin
from harness.agent.inspection.facts import Files
from harness.agent.loops import loop_metric
from harness.agent.native_only import outcome, require
from harness.agent.probes.memory_latency import Walker
from harness.agent.task import Context, Outcome, Unavailable

NAME = "memory.affinity"


def run_affinity(context: Context) -> Outcome:
    """Measure `work_seconds` of a pinned and of a free thread."""
    helper = require(NAME, "chase")
    walker = Walker(helper=helper, seed=context.spec.seed, line=capacity.cache_line(Files()))
    warmup = context.integer("warmup")
    total = warmup + context.integer("samples")
    seconds: dict[int, list[float]] = {cpu_to_pin(): [], FREE: []}
    for done in range(1, total + 1):
        for cpu in sorted(seconds, reverse=bool(done % 2)):
            seconds[cpu].append(_work(context, walker, cpu))
        context.progress(done, total, "")
    metrics = [
        loop_metric("work_seconds", helper, values, warmup=warmup, pinned=cpu != FREE)
        for cpu, values in seconds.items()
    ]
    return outcome(helper, metrics)


def _work(context: Context, walker: Walker, cpu: int) -> float:
    """Return the seconds of all loads; memory, order and caches are made ready before, on the same CPU."""
    loads = context.integer("loads")
    try:
        seconds, _ = walker.walk(context.integer("working_set"), 1, loads, cpu=cpu)
    except OSError as error:
        raise Unavailable(f"{NAME} with its thread {'free' if cpu == FREE else f'on CPU {cpu}'}: {error}") from error
    return seconds[0] * loads
