"""`memory.faults`: the first touch of anonymous memory, page by page: the kernel finds, clears and maps a page.

Pages of the usual size and transparent huge pages, each where they were really got (AnonHugePages in smaps): seconds
per page of that size. A VM faults twice the first time its host has to find the memory too. `touched_seconds` is the
same loop through memory that is there already: what of a fault is the loop.
"""

from __future__ import annotations

import ctypes
from statistics import mean

from harness.agent import capacity
from harness.agent.helper import NativeHelper
from harness.agent.inspection.facts import Files
from harness.agent.loops import loop_metric
from harness.agent.messages import Metric
from harness.agent.native_only import outcome, require
from harness.agent.probes.memory_latency import HUGE, SMALL
from harness.agent.task import Context, Outcome

NAME = "memory.faults"


def run_faults(context: Context) -> Outcome:
    """Measure `fault_seconds` by page size, and `touched_seconds`."""
    helper = require(NAME, "faults")
    files = Files()
    small, huge = capacity.page_size(), capacity.huge_page_size(files)
    capacity.check_room(files, NAME, "region_bytes", context.integer("region_bytes"))
    found: list[Metric | str] = [
        _metric("fault_seconds", context, helper, small, _touch(helper, context, small, SMALL)[0]),
        _metric("touched_seconds", context, helper, small, _touch(helper, context, small, SMALL, touched=True)[0]),
    ]
    if huge is not None:
        seconds, shares = _touch(helper, context, huge, HUGE)
        if min(shares) >= capacity.ALL_HUGE:
            found.append(_metric("fault_seconds", context, helper, huge, seconds))
        else:
            found.append(capacity.no_huge_pages(files, NAME, mean(shares)))
    return outcome(helper, found)


def _touch(
    helper: NativeHelper, context: Context, page: int, pages: int, *, touched: bool = False
) -> tuple[list[float], list[float]]:
    """Return for each sample the seconds per page, and the share of the region that lay on huge pages."""
    count = context.integer("warmup") + context.integer("samples")
    size = context.integer("region_bytes")
    huge = (ctypes.c_int64 * count)()
    seconds = helper.call("faults", count, count, size, page, pages, int(touched), ctypes.addressof(huge))
    return seconds, [each / size for each in huge]


def _metric(name: str, context: Context, helper: NativeHelper, page: int, seconds: list[float]) -> Metric:
    return loop_metric(name, helper, seconds, warmup=context.integer("warmup"), page_bytes=page)
