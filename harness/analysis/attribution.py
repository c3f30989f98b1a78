"""Takes the gap between a workload's steps on two platforms apart: by what, counted in the step, the probes cost more.

    gap = launches · Δlaunch · (1 - ω) + waits · Δwait + copies · Δlatency + bytes · Δ(1 / bandwidth)
          + allocations · Δallocation + files · Δfile + bytes read · Δ(1 / bandwidth) + Δ(clock) + unexplained

The counts are the baseline's (`attribution_counts`), the differences the probes' (`attribution_costs`); intervals are
those of sums of mean differences (`attribution_sums`). ω, the share of launches that the device's work hides, is not
known: a bar is drawn for ω = 0, a step that waits for its launches, and `bounds` give both ends. Where nothing runs on
a GPU, operations of the framework stand in for launches, and none is hidden.

The clock's part is what control.fma (on a GPU control.fma_device) differs by, times what is left of the baseline's step
when all that was counted is taken out: that is computing. The interval of this product is the clock's alone.

A part without a count, or without its probe on both platforms, has a reason in place of a value, and is then within the
unexplained part, which is always there. A count of 0 makes a part of 0 seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from zlib import crc32

import numpy as np
import pandas as pd

from harness.agent.messages import CellResult
from harness.agent.step_counts import COPIES, FILES, PREFIX
from harness.agent.task import find
from harness.analysis.attribution_costs import SMALL_FILES
from harness.analysis.attribution_counts import Cell, Counts, counts
from harness.analysis.attribution_parts import Part, Step
from harness.analysis.attribution_probes import Probes, first_location
from harness.analysis.attribution_sums import Interval, Sum, intervals, total
from harness.analysis.boots import boots
from harness.analysis.model import Attribution, Cause, Comparison
from harness.analysis.pairing import Arms, Quantity, others
from harness.analysis.percentiles import LEAST_INVOCATIONS
from harness.analysis.primary import STEP
from harness.results.bundle import Bundle

HIDDEN = "launches are counted as if the device's work hid none of them; their bounds are all hidden and none"
ASSUMED = "the counts do not tell the memory of copies: they are taken for copies of pageable memory"


def attributions(
    bundle: Bundle, medians: pd.DataFrame, table: Arms, comparisons: Sequence[Comparison], level: float
) -> tuple[Attribution, ...]:
    """Take apart the step of every workload that has counts, on every platform that ran it too.

    `medians` are those of `harness.analysis.frame`, `table` the same arranged; `level` is that of the intervals.
    """
    baseline = bundle.manifest.plan.baseline
    counted = counts(medians, baseline)
    found = []
    for platform in others(table, baseline) if counted else ():
        probes = Probes(table, boots(bundle), baseline=baseline, platform=platform)
        theirs = counts(medians, platform)
        for cell, quantity in _steps(table.get(baseline, {})).items():
            if cell not in counted or quantity not in table[platform]:
                continue
            found.append(
                _apart(
                    _step(bundle, quantity, probes, counted[cell], theirs.get(cell)),
                    quantity,
                    comparable=all(each.comparable for each in comparisons if _is_of(each, quantity, platform)),
                    level=level,
                    random=_random(bundle, platform, cell),
                )
            )
    return tuple(found)


def _step(bundle: Bundle, quantity: Quantity, probes: Probes, counted: Counts, theirs: Counts | None) -> Step:
    ours, other = (first_location(bundle.invocations, name) for name in (probes.baseline, probes.platform))
    return Step(
        stack=quantity.stack,
        device=quantity.device,
        counts=counted,
        probes=probes,
        places=(ours, _location(theirs) or other),
        file_bytes=_file_bytes(bundle.invocations),
    )


def _random(bundle: Bundle, platform: str, cell: Cell) -> np.random.Generator:
    """Return what depends on the bundle and on what is taken apart, on nothing else."""
    return np.random.default_rng([int(bundle.fingerprint[:16] or "0", 16), crc32(repr((platform, cell)).encode())])


def _apart(
    step: Step, quantity: Quantity, *, comparable: bool, level: float, random: np.random.Generator
) -> Attribution:
    gap = step.probes.quantity(quantity)
    counted = list(step.parts())
    parts = [*counted, step.clock(gap.baseline - math.fsum(each.baseline for each in counted))]
    rest = gap.more - total(each.more for each in parts if each.more is not None)
    parts.append(Part(cause="unexplained", more=rest))
    sums = [gap.more, *(each.more for each in parts if each.more is not None)]
    gap_ci95, *found = intervals(sums, level=level, random=random)
    given, hidden = iter(found), _hidden(parts) if step.on_gpu else 0.0
    return Attribution(
        task=quantity.task,
        stack=quantity.stack,
        device=quantity.device,
        baseline=step.probes.baseline,
        platform=step.probes.platform,
        step_seconds=gap.baseline,
        gap_seconds=gap.more.mean,
        gap_ci95=gap_ci95,
        comparable=comparable,
        causes=tuple(_cause(each, (None, None) if each.more is None else next(given), hidden=hidden) for each in parts),
        remarks=tuple(_remarks(step, parts, sums, hidden=hidden)),
    )


def _cause(part: Part, interval: Interval, *, hidden: float) -> Cause:
    """Return a part with its interval; `hidden` are the seconds that hiding all launches would move elsewhere."""
    if part.more is None:
        return Cause(cause=part.cause, count=part.count, reason=part.reason)
    seconds, bounds = part.more.mean, None
    if hidden and part.cause in ("launch", "unexplained"):
        other = 0.0 if part.cause == "launch" else seconds + hidden
        bounds = (min(seconds, other), max(seconds, other))
    return Cause(
        cause=part.cause,
        seconds=seconds,
        ci95=interval,
        count=part.count,
        cost_seconds=seconds / part.count if part.count else None,
        probe=part.probe,
        bounds=bounds,
    )


def _hidden(parts: Iterable[Part]) -> float:
    """Return the seconds of the launches, which the device's work may hide."""
    return math.fsum(each.more.mean for each in parts if each.cause == "launch" and each.more is not None)


def _remarks(step: Step, parts: Sequence[Part], sums: Sequence[Sum], *, hidden: float) -> Iterator[str]:
    if hidden:
        yield HIDDEN
    if step.counts.assumes_memory(COPIES):
        yield ASSUMED
    if missing := [each.cause for each in parts if each.more is None]:
        yield f"within the unexplained part is what could not be had: {', '.join(missing)}"
    scarce = {task: number for each in sums for task, number in each.scarce.items()}
    if scarce:
        told = ", ".join(f"{task} has {number}" for task, number in sorted(scarce.items()))
        yield f"too few invocations (of several boots: boots) for an interval: {told}, {LEAST_INVOCATIONS} are needed"


def _steps(quantities: Iterable[Quantity]) -> Mapping[Cell, Quantity]:
    """Return the step's quantity of every workload; a trace of one is none."""
    return {
        (each.task, each.stack, each.device): each
        for each in sorted(quantities)
        if each.metric == STEP and not each.task.startswith(PREFIX)
    }


def _is_of(comparison: Comparison, step: Quantity, platform: str) -> bool:
    told = comparison.task, comparison.metric, comparison.stack, comparison.device, comparison.platform
    return told == (step.task, step.metric, step.stack, step.device, platform)


def _location(counted: Counts | None) -> str:
    """Return where a platform's own counts say that its files lie; "" where they don't."""
    found = (str(each.dims.get("location", "")) for each in counted.of(FILES)) if counted else iter(())
    return next(found, "")


def _file_bytes(invocations: Iterable[CellResult]) -> int:
    """Return the size of each small file whose opening and reading was measured."""
    task = find(SMALL_FILES)
    default = task.params["size"] if task else 0
    measured = (each.params for each in invocations if each.task.partition("[")[0] == SMALL_FILES)
    return int(next(measured, {}).get("size", default))
