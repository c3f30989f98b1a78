"""Memory: `bandwidth` is STREAM's triad, a[i] = b[i] + 3 c[i], over arrays that no cache holds.

As STREAM does it: three arrays of doubles, bytes counted as 3 × the size of an array (what a cache fetches before it
writes is not counted), each thread the first to touch its part, each sample one pass over everything, the result
checked. Threads are not pinned: what pinning changes is `memory.affinity`. On a machine of several NUMA nodes, the CPUs
of each node also work on the memory of each. There is no Python loop for it: that would measure the interpreter and no
memory.

`latency`, `faults` and `affinity` have modules of their own.
"""

from __future__ import annotations

import errno

from harness.agent import capacity
from harness.agent.capacity import MIB
from harness.agent.cpus import FREE, NodePair, node_pairs, not_bound, on_cpus, usable_cpus
from harness.agent.helper import NativeHelper
from harness.agent.inspection.facts import Files
from harness.agent.messages import Metric, Scalar
from harness.agent.native_only import outcome, require
from harness.agent.probes.memory_affinity import run_affinity
from harness.agent.probes.memory_faults import run_faults
from harness.agent.probes.memory_latency import run_latency
from harness.agent.task import Context, Outcome, Task, Unavailable

NAME = "memory.bandwidth"
ARRAYS = 3


def run_bandwidth(context: Context) -> Outcome:
    """Measure `triad_bandwidth` by threads, 1, 2, 4, … to one for every CPU of this process, and by NUMA nodes."""
    helper = require(NAME, "triad")
    files = Files()
    size = context.integer("array_bytes")
    capacity.check_room(files, NAME, "array_bytes", size, copies=ARRAYS)
    cpus = usable_cpus()
    counts, pairs = thread_counts(len(cpus)), node_pairs(files, cpus)
    found: list[Metric | str] = [*capacity.cache_warning(files, NAME, "array_bytes", size)]
    for done, threads in enumerate(counts, start=1):
        found.append(_by_threads(helper, context, size, threads))
        context.progress(done, len(counts) + len(pairs), f"{threads} threads")
    for done, pair in enumerate(pairs, start=len(counts) + 1):
        found.append(_by_node(helper, context, size, pair))
        context.progress(done, len(counts) + len(pairs), f"node {pair.cpu_node} to node {pair.memory_node}")
    return outcome(helper, found)


def thread_counts(cpus: int) -> list[int]:
    """Return the powers of two below the number of CPUs, and that number."""
    return [*(2**power for power in range(cpus.bit_length()) if 2**power < cpus), cpus]


def _by_threads(helper: NativeHelper, context: Context, size: int, threads: int) -> Metric:
    try:
        return _triad(helper, context, size, threads)
    except OSError as error:
        if error.errno not in (errno.ENOMEM, errno.EAGAIN):
            raise
        raise Unavailable(
            f"triad with {threads} threads and arrays of {size} bytes: {error}; {capacity.setting(NAME, 'array_bytes')}"
        ) from error


def _by_node(helper: NativeHelper, context: Context, size: int, pair: NodePair) -> Metric | str:
    try:
        with on_cpus(pair.cpus):
            return _triad(helper, context, size, len(pair.cpus), pair.memory_node, **pair.dims)
    except OSError as error:
        return not_bound(NAME, pair, error)


def _triad(helper: NativeHelper, context: Context, size: int, threads: int, node: int = FREE, **dims: Scalar) -> Metric:
    warmup = context.integer("warmup")
    seconds = helper.triad(warmup + context.integer("samples"), size, threads, node)
    return Metric(
        name="triad_bandwidth",
        unit="B/s",
        better="higher",
        samples=tuple(ARRAYS * size / value for value in seconds),
        warmup=warmup,
        dims={**dims, "threads": threads, "loop": helper.name},
    )


TASKS = {
    "bandwidth": Task(
        summary="STREAM triad over arrays larger than the caches, by 1, 2, 4, … threads to one a CPU.",
        run=run_bandwidth,
        params={"array_bytes": 256 * MIB, "samples": 8, "warmup": 1},
        seconds=3.0,
    ),
    "latency": Task(
        summary="Dependent loads in random order, by working set: caches, memory, page tables.",
        run=run_latency,
        params={"max_bytes": 256 * MIB, "samples": 20, "warmup": 2, "loads": 50_000},
        seconds=5.0,
    ),
    "faults": Task(
        summary="The first touch of fresh memory, with usual and with huge pages.",
        run=run_faults,
        params={"region_bytes": 64 * MIB, "samples": 20, "warmup": 2},
        seconds=2.0,
    ),
    "affinity": Task(
        summary="The same work by a pinned thread and by a free one.",
        run=run_affinity,
        params={"working_set": MIB // 2, "loads": 4_000_000, "samples": 20, "warmup": 2},
        seconds=1.5,
    ),
}
