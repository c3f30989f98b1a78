"""Comparisons of one run: every platform against the baseline, and the rule that stops a task by precision."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from harness.agent.messages import CellResult
from harness.analysis import sequential
from harness.analysis.boots import NO_VARIANCE, apart, boots
from harness.analysis.comparability import Comparability
from harness.analysis.confounders import Control, Controls, SoftwareDifferences
from harness.analysis.estimate import (
    LEVEL,
    Estimate,
    geometric_mean,
    minimal_effect,
    p_value,
    paired,
    unpaired,
    verdict,
)
from harness.analysis.frame import frame, frame_of, medians
from harness.analysis.matching import Matching
from harness.analysis.model import Comparison
from harness.analysis.multiplicity import adjusted
from harness.analysis.pairing import Pair, arms, pairs
from harness.analysis.primary import primary_of
from harness.results.bundle import Bundle, Manifest, read

# Kept, never compared: what the instrument costs, how far it was let go, and the times of copies whose size was chosen
# to last equally long everywhere (copies.overlap: their ratio is the finding).
DESCRIPTIVE = frozenset(
    ("clock_seconds", "call_seconds", "pinned_reached_bytes", "alone_seconds", "compute_seconds", "overlapped_seconds")
)


def compare(bundle: Bundle) -> tuple[Comparison, ...]:
    """Compare every platform of a bundle with its baseline, quantity by quantity.

    All platforms of one run are interleaved in blocks, so differences are paired by block (`paired` is true). In a
    merged bundle the boots are the replicates, as `harness.analysis.boots` says; what no boot had together is not
    paired.
    The baseline's value is that of its first arm alone: averaging both arms would give the baseline less noise
    than the platform has, and tie the noise floor (second arm against first) to the ratio it is to judge.
    """
    return compare_medians(bundle, medians(frame([bundle])), bundle.manifest.plan.baseline)


def compare_medians(bundle: Bundle, table: pd.DataFrame, baseline: str) -> tuple[Comparison, ...]:
    """As `compare`, with the bundle's medians (`harness.analysis.frame.medians`) and any platform as baseline."""
    level, number = interval_level(bundle.manifest), looks(bundle.manifest)
    arranged, boot_of = arms(table), boots(bundle)
    every = (*pairs(arranged, baseline, boot_of), *apart(arranged, baseline, boot_of))
    found = [pair for pair in every if pair.quantity.metric not in DESCRIPTIVE]
    estimates = [estimated(pair, level) for pair in found]
    controls = _controls(found, estimates)
    software, matching = SoftwareDifferences(bundle), Matching(bundle)
    compared = [
        _comparison(
            pair,
            estimate,
            baseline=baseline,
            level=level,
            looks=number,
            control=controls[pair.platform].judge(pair.quantity.device),
            unlike=matching.lines((pair.quantity.task, pair.quantity.stack), baseline, pair.platform),
            software=software.lines(pair.quantity.stack, pair.quantity.task, baseline, pair.platform),
        )
        for pair, estimate in zip(found, estimates, strict=True)
    ]
    return adjusted(Comparability.of(bundle).judged(compared))


def interval_level(manifest: Manifest) -> float:
    """Return the confidence level of each single interval, so that the one at which a task stopped covers with 95%.

    A task that stops by precision is examined after each of `looks` blocks (`harness.analysis.sequential`). A run
    without precision looks once, at 95%.
    """
    return sequential.level(tuple(manifest.plan.looks)) if looks(manifest) > 1 else LEVEL


def looks(manifest: Manifest) -> int:
    """Return how often a run may look whether a task's intervals are narrow enough; 1 where it does not ask."""
    plan = manifest.plan
    return max(1, len(plan.looks)) if plan.precision is not None else 1


def settled_in(folder: Path, cells: Collection[str], precision: float, block: int) -> bool:
    """Read the bundle of a run and say whether these cells, all of one task, were settled after `block`.

    Later blocks don't count: a resumed run looks where it would have looked, and at no other time.
    """
    bundle = read(folder)
    chosen = [result for result in bundle.invocations if result.cell in cells and result.block <= block]
    level = interval_level(bundle.manifest)
    return all(
        settled(chosen, task=task, baseline=bundle.manifest.plan.baseline, precision=precision, level=level)
        for task in {result.task for result in chosen}
    )


def settled(
    invocations: Sequence[CellResult], *, task: str, baseline: str, precision: float, level: float = LEVEL
) -> bool:
    """Say whether every platform's interval of the primary metric of `task` is narrower than ±`precision`.

    The half width of the interval on the log scale must be below `precision` (0.02 = 2%). The other metrics are
    measured as long and are as wide as they come out (see `primary`). A task with nothing to compare is settled: more
    blocks would change nothing.
    """
    chosen = [result for result in invocations if result.task == task]
    return not unsettled(chosen, baseline=baseline, precision=precision, level=level)


def unsettled(
    invocations: Iterable[CellResult], *, baseline: str, precision: float, level: float = LEVEL
) -> frozenset[str]:
    """Return the tasks of which some interval is not narrower than ±`precision`, as `settled` says."""
    every = pairs(arms(medians(frame_of(invocations))), baseline)
    found = [pair for pair in every if pair.quantity.metric not in DESCRIPTIVE]
    return frozenset(
        pair.quantity.task for pair in _steering(found) if not _half_width(estimated(pair, level)) < precision
    )


def _steering(found: Iterable[Pair]) -> Iterable[Pair]:
    """Yield the pairs that speak for their task on their platform."""
    groups: dict[tuple[str, str], list[Pair]] = {}
    for pair in found:
        groups.setdefault((pair.quantity.task, pair.platform), []).append(pair)
    for (task, _), group in groups.items():
        yield from primary_of(task, group, _described)


def _described(pair: Pair) -> tuple[str, Mapping[str, object]]:
    return pair.quantity.metric, pair.dims


def estimated(pair: Pair, level: float) -> Estimate:
    """Estimate a pair's cost ratio."""
    estimate = paired if pair.paired else unpaired
    return estimate(pair.baseline, pair.values, better=pair.quantity.better, level=level)


def _controls(found: Sequence[Pair], estimates: Sequence[Estimate]) -> dict[str, Controls]:
    """Return for each platform what the control probes say about it against the baseline."""
    controls = {pair.platform: Controls() for pair in found}
    for pair, estimate in zip(found, estimates, strict=True):
        controls[pair.platform].add(pair.quantity.task, pair.quantity.metric, estimate)
    return controls


def _comparison(
    pair: Pair,
    estimate: Estimate,
    *,
    baseline: str,
    level: float,
    looks: int,
    control: Control,
    unlike: tuple[str, ...],
    software: tuple[str, ...],
) -> Comparison:
    noise = _noise(pair, level)
    floor = math.expm1(abs(noise.log_ratio)) if noise else None
    quantity = pair.quantity
    return Comparison(
        task=quantity.task,
        metric=quantity.metric,
        dims=pair.dims,
        unit=quantity.unit,
        stack=quantity.stack,
        device=quantity.device,
        baseline=baseline,
        platform=pair.platform,
        slowdown=estimate.ratio,
        ci95=estimate.interval,
        verdict=verdict(estimate, floor),
        blocks=pair.blocks,
        boots=pair.boots,
        paired=pair.paired,
        noise_floor=floor,
        mde=minimal_effect(estimate, level),
        p_value=p_value(estimate, floor, looks),
        comparable=control.comparable and not unlike,
        confounders=(*control.remarks, *unlike, *_boot_remarks(pair), *_noise_remarks(noise), *software),
        baseline_value=geometric_mean(pair.baseline),
        platform_value=geometric_mean(pair.values),
        noise_ci95=noise.interval if noise else (None, None),
        freedom=estimate.t_freedom,
    )


def _boot_remarks(pair: Pair) -> tuple[str, ...]:
    return () if pair.paired or min(pair.boots) > 1 else (NO_VARIANCE,)


def _noise(pair: Pair, level: float) -> Estimate | None:
    """Estimate the baseline's second arm against its first: the same thing twice, so its ratio is noise (A/A)."""
    if not len(pair.first_arm):
        return None
    return paired(pair.first_arm, pair.second_arm, better=pair.quantity.better, level=level)


def _noise_remarks(noise: Estimate | None) -> tuple[str, ...]:
    if noise is None:
        return ("A/A: the baseline has no second arm here, so the noise floor is not known",)
    if noise.resolved:
        low, high = noise.interval
        return (f"A/A: the baseline differs from itself by {noise.ratio - 1:+.1%} [{low:.3f}, {high:.3f}]",)
    return ()


def _half_width(estimate: Estimate) -> float:
    """Return half the interval's width on the log scale, infinite where there is none."""
    if estimate.low is None or estimate.high is None:
        return math.inf
    return (estimate.high - estimate.low) / 2
