"""Comparisons that a person or a CI gate asks for: two bundles, or any two platforms of one bundle."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
from scipy import stats

from harness.analysis.compare import DESCRIPTIVE, compare_medians, interval_level
from harness.analysis.confounders import Controls
from harness.analysis.estimate import LEVEL, Estimate, Values, geometric_mean, verdict
from harness.analysis.frame import dims_of, frame, medians
from harness.analysis.model import Comparison
from harness.analysis.pairing import Quantity, arms
from harness.errors import UsageError
from harness.results.bundle import Bundle, read

TWO_RUNS = "two runs, not interleaved: drift between them is not part of the interval"
TWO_BOOTS = "one boot a side: between-boot variance not estimated, so there is no interval"


def compare_platforms(path: Path, a: str, b: str, *, metric: str = "*") -> tuple[Comparison, ...]:
    """Compare platform `b` with platform `a` of one bundle, paired by block.

    Raises UsageError for a platform that the bundle does not have, BundleError for one that can't be read.
    """
    bundle = read(path)
    for name in (a, b):
        if name not in bundle.manifest.platforms:
            there = ", ".join(sorted(bundle.manifest.platforms))
            raise UsageError(f"{name} is neither a bundle nor a platform of {path}", f"Its platforms are {there}")
    found = compare_medians(bundle, medians(frame([bundle])), baseline=a)
    return tuple(each for each in found if each.platform == b and fnmatchcase(each.metric, metric))


def compare_bundles(a: Path, b: Path, *, metric: str = "*") -> tuple[Comparison, ...]:
    """Compare every platform of bundle `b` with itself in bundle `a` (a new driver against the last one), unpaired.

    The blocks of two runs share nothing, so this is Welch's test. Between two boots the boot is the replicate, and
    one a side gives no interval. Where a task's parameters or a stack's lock file differ, the comparison is marked
    as not comparable, with the difference.
    """
    before, after = read(a), read(b)
    one, other = (arms(medians(frame([bundle]))) for bundle in (before, after))
    level = max(map(interval_level, (before.manifest, after.manifest)))  # that of the run which looked more often
    same_boot = before.manifest.boot_id == after.manifest.boot_id

    def estimated(quantity: Quantity, ours: Values, theirs: Values) -> Estimate:
        estimate = unpaired(ours, theirs, quantity, level)
        return estimate if same_boot else replace(estimate, low=None, high=None)

    found = [
        (platform, quantity, estimated(quantity, _values(one[platform][quantity]), _values(values)))
        for platform in sorted(one.keys() & other.keys())
        if platform in before.manifest.platforms
        for quantity, values in sorted(other[platform].items())
        if quantity in one[platform] and quantity.metric not in DESCRIPTIVE
    ]
    controls = Controls()
    for _, quantity, estimate in found:
        controls.add(quantity.task, quantity.metric, estimate)
    unlike = _differences(before, after)
    boots = TWO_RUNS if same_boot else TWO_BOOTS
    return tuple(
        Comparison(
            task=quantity.task,
            metric=quantity.metric,
            dims=dims_of(quantity.dims),
            unit=quantity.unit,
            stack=quantity.stack,
            device=quantity.device,
            baseline=f"{platform} in {before.manifest.run_id}",
            platform=f"{platform} in {after.manifest.run_id}",
            slowdown=estimate.ratio,
            ci95=estimate.interval,
            verdict=verdict(estimate, None),
            blocks=estimate.blocks,
            paired=False,
            noise_floor=None,
            mde=None,
            comparable=controls.judge(quantity.device).comparable and (quantity.task, quantity.stack) not in unlike,
            confounders=(
                *controls.judge(quantity.device).remarks,
                *unlike.get((quantity.task, quantity.stack), ()),
                boots,
            ),
            baseline_value=geometric_mean(_values(one[platform][quantity])),
            platform_value=geometric_mean(_values(other[platform][quantity])),
        )
        for platform, quantity, estimate in found
        if fnmatchcase(quantity.metric, metric)
    )


def unpaired(baseline: Values, platform: Values, quantity: Quantity, level: float = LEVEL) -> Estimate:
    """Estimate the cost ratio from independent values: Welch's t on logs (scipy.stats.ttest_ind, equal_var=False).

    `blocks` is the smaller of the two counts; `spread` the root of the summed variances, as of a difference.
    """
    sign = -1.0 if quantity.better == "higher" else 1.0
    ours, theirs = sign * np.log(baseline), sign * np.log(platform)
    mean = float(theirs.mean() - ours.mean())
    blocks = min(len(ours), len(theirs))
    if blocks < 2:
        return Estimate(log_ratio=mean, low=None, high=None, spread=None, blocks=blocks)
    spread = math.sqrt(float(ours.var(ddof=1) + theirs.var(ddof=1)))
    if spread == 0.0:  # scipy has no interval without variance
        return Estimate(log_ratio=mean, low=mean, high=mean, spread=0.0, blocks=blocks)
    interval = stats.ttest_ind(theirs, ours, equal_var=False).confidence_interval(level)
    return Estimate(log_ratio=mean, low=float(interval.low), high=float(interval.high), spread=spread, blocks=blocks)


def regressions(found: Sequence[Comparison], above: float) -> tuple[Comparison, ...]:
    """Return what is surely slower than `above` (0.05 = 5%): the whole interval lies there, and the pair compares."""
    return tuple(each for each in found if each.comparable and each.ci95[0] is not None and each.ci95[0] > 1 + above)


def _values(blocks: Mapping[int, float]) -> Values:
    return np.array(list(blocks.values()))


def _differences(before: Bundle, after: Bundle) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return (task, stack) → what makes it another measurement."""
    return {key: lines for key, lines in _unlike(before, after) if lines}


def _unlike(before: Bundle, after: Bundle) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    old = {(result.task, result.stack): result.params for result in before.invocations}
    for key, params in {(result.task, result.stack): result.params for result in after.invocations}.items():
        lines = [
            f"{name}: {old[key].get(name, 'default')} before, {params.get(name, 'default')} after"
            for name in sorted({*params, *old.get(key, {})})
            if key in old and old[key].get(name) != params.get(name)
        ]
        locks = [bundle.manifest.stacks.get(key[1], {}).get("lock_sha256", "") for bundle in (before, after)]
        if locks[0] != locks[1]:
            lines.append(f"lock file of stack {key[1]}: {locks[0][:12]} before, {locks[1][:12]} after")
        yield key, tuple(lines)
