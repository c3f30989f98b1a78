"""`memory.latency`: how long a load takes whose address the load before it gave, by the size of what is walked through.

The walk is a random cycle through all cache lines of the working set (Sattolo's algorithm, from the cell's seed), so no
prefetcher helps; small sets show the caches, the largest ones the memory and, with pages of 4 KiB, the walk through the
page tables (in a VM through two of them). Huge pages leave most of that out, so each page size is a series of its own.
lmbench's lat_mem_rd measures the same; its default walk has a stride, which prefetchers follow. The thread is not
pinned, but on a machine of several NUMA nodes, where each pair of nodes is measured with the largest set.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

from harness.agent import capacity
from harness.agent.cpus import FREE, NodePair, node_pairs, not_bound, on_cpus, usable_cpus
from harness.agent.helper import NativeHelper
from harness.agent.inspection.facts import Files
from harness.agent.loops import loop_metric
from harness.agent.messages import Metric, Scalar
from harness.agent.native_only import outcome, require
from harness.agent.task import Context, Outcome

NAME = "memory.latency"
SMALLEST = 4096  # bytes of the first working set
STEP = 4  # from one working set to the next
SMALL, HUGE = 1, 2  # `pages` of the native helper


@dataclass(frozen=True, kw_only=True)
class Walker:
    """Walks in random order through memory, one load in each cache line."""

    helper: NativeHelper
    seed: int
    line: int  # bytes

    def walk(
        self, size: int, samples: int, loads: int, *, pages: int = SMALL, cpu: int = FREE, node: int = FREE
    ) -> tuple[list[float], float]:
        """Return seconds per load, and the share of the `size` bytes that lay on huge pages, below 0 if unknown.

        Raises OSError with what the system refuses: the memory, the CPU or the node.
        """
        huge = ctypes.c_int64()
        arguments = (samples, loads, size, self.line, self.seed, pages, cpu, node, ctypes.addressof(huge))
        seconds = self.helper.call("chase", samples, *arguments)
        return seconds, huge.value / size


def run_latency(context: Context) -> Outcome:
    """Measure `load_seconds` by working set and page size, and between NUMA nodes where there are several."""
    helper = require(NAME, "chase")
    files = Files()
    sizes = working_sets(context.integer("max_bytes"))
    capacity.check_room(files, NAME, "max_bytes", sizes[-1])
    walker = Walker(helper=helper, seed=context.spec.seed, line=capacity.cache_line(files))
    pairs = node_pairs(files, usable_cpus())
    found: list[Metric | str] = [*capacity.cache_warning(files, NAME, "max_bytes", sizes[-1])]
    for done, size in enumerate(sizes, start=1):
        found += _by_page_size(context, walker, size, files)
        context.progress(done, len(sizes) + len(pairs), f"{size} bytes")
    for done, pair in enumerate(pairs, start=len(sizes) + 1):
        found.append(_by_node(context, walker, sizes[-1], pair))
        context.progress(done, len(sizes) + len(pairs), f"node {pair.cpu_node} to node {pair.memory_node}")
    return outcome(helper, found)


def working_sets(largest: int) -> list[int]:
    """Return the sizes in bytes up to `largest`, each four times the one before: the same on every platform."""
    sizes = [SMALLEST]
    while sizes[-1] * STEP <= largest:
        sizes.append(sizes[-1] * STEP)
    return sizes


def _by_page_size(context: Context, walker: Walker, size: int, files: Files) -> Iterator[Metric | str]:
    seconds, _ = walker.walk(size, _samples(context), context.integer("loads"))
    yield _metric(context, walker, seconds, working_set=size, page_bytes=capacity.page_size())
    huge = capacity.huge_page_size(files)
    if huge is None or size < huge:
        return
    seconds, share = walker.walk(size, _samples(context), context.integer("loads"), pages=HUGE)
    if share >= capacity.ALL_HUGE:
        yield _metric(context, walker, seconds, working_set=size, page_bytes=huge)
    else:
        yield capacity.no_huge_pages(files, NAME, share)


def _by_node(context: Context, walker: Walker, size: int, pair: NodePair) -> Metric | str:
    try:
        with on_cpus(pair.cpus):
            seconds, _ = walker.walk(size, _samples(context), context.integer("loads"), node=pair.memory_node)
    except OSError as error:
        return not_bound(NAME, pair, error)
    return _metric(context, walker, seconds, working_set=size, page_bytes=capacity.page_size(), **pair.dims)


def _samples(context: Context) -> int:
    return context.integer("warmup") + context.integer("samples")


def _metric(context: Context, walker: Walker, seconds: list[float], **dims: Scalar) -> Metric:
    return loop_metric("load_seconds", walker.helper, seconds, warmup=context.integer("warmup"), **dims)
