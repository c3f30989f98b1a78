"""What `compare A B` shows: two platforms of one bundle, or the same platforms in two bundles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from harness.analysis.compare import DESCRIPTIVE, compare_medians, interval_level
from harness.analysis.confounders import differences, flat
from harness.analysis.estimate import Values, geometric_mean, unpaired, verdict
from harness.analysis.frame import dims_of, frame, medians
from harness.analysis.model import Comparison
from harness.analysis.pairing import Blocks, Quantity, arms
from harness.errors import UsageError
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle, read


def compare_platforms(path: Path, baseline: str, platform: str, *, metric: str = "*") -> tuple[Comparison, ...]:
    """Compare two platforms of one bundle, paired by block; raise UsageError if it has no such platform."""
    bundle = read(path)
    for name in (baseline, platform):
        if name not in bundle.manifest.platforms:
            known = ", ".join(sorted(bundle.manifest.platforms))
            raise UsageError(f"{name} is neither a bundle nor a platform of {path}", f"It has: {known}")
    found = compare_medians(bundle, medians(frame([bundle])), baseline)
    return tuple(each for each in found if each.platform == platform and fnmatchcase(each.metric, metric))


def compare_bundles(first: Path, second: Path, *, metric: str = "*") -> tuple[Comparison, ...]:
    """Compare each platform in the second bundle with the same in the first, unpaired (Welch's t on the logs).

    Runs were not interleaved, so what drifted between them is in the ratio and not in the interval: a confounder
    says so. Between two boots the boot is the replicate, and with one a side there is no interval at all.
    """
    before, after = read(first), read(second)
    return tuple(_compared(before, after, metric))


def regressions(comparisons: Sequence[Comparison], above: float) -> tuple[Comparison, ...]:
    """Return the comparisons whose whole interval lies above 1 + `above` (0.05 = 5% slower)."""
    return tuple(each for each in comparisons if each.ci95[0] is not None and each.ci95[0] > 1 + above)


def _compared(before: Bundle, after: Bundle, metric: str) -> Iterator[Comparison]:
    first, second = (arms(medians(frame([bundle]))) for bundle in (before, after))
    for platform in sorted(name for name in first.keys() & second.keys() if not name.endswith(SECOND_ARM)):
        for quantity in sorted(first[platform].keys() & second[platform].keys()):
            if quantity.metric not in DESCRIPTIVE and fnmatchcase(quantity.metric, metric):
                sides = _values(first[platform][quantity]), _values(second[platform][quantity])
                yield _comparison(before, after, platform, quantity, sides)


def _comparison(
    before: Bundle, after: Bundle, platform: str, quantity: Quantity, sides: tuple[Values, Values]
) -> Comparison:
    level = min(interval_level(before.manifest), interval_level(after.manifest))
    estimate = unpaired(*sides, better=quantity.better, level=level)
    if before.manifest.boot_id != after.manifest.boot_id:
        estimate = replace(estimate, low=None, high=None)
    return Comparison(
        task=quantity.task,
        metric=quantity.metric,
        dims=dims_of(quantity.dims),
        unit=quantity.unit,
        stack=quantity.stack,
        device=quantity.device,
        baseline=f"{before.manifest.run_id}:{platform}",
        platform=f"{after.manifest.run_id}:{platform}",
        slowdown=estimate.ratio,
        ci95=estimate.interval,
        verdict=verdict(estimate, None),
        blocks=estimate.blocks,
        paired=False,
        noise_floor=None,
        mde=None,
        comparable=True,
        confounders=_remarks(before, after),
        baseline_value=geometric_mean(sides[0]),
        platform_value=geometric_mean(sides[1]),
    )


def _remarks(before: Bundle, after: Bundle) -> tuple[str, ...]:
    remarks = ["the runs were not interleaved: what drifted between them is not in the interval"]
    if before.manifest.boot_id != after.manifest.boot_id:
        remarks.append("between-boot variance not estimated: one boot a side gives no interval")
    hosts = differences({"before": flat(before.manifest.host), "after": flat(after.manifest.host)})
    if hosts:
        remarks.append(f"the hosts differ in {', '.join(hosts)}")
    return tuple(remarks)


def _values(blocks: Blocks) -> Values:
    return np.array(list(blocks.values()))
