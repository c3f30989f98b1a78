"""Comparisons that a person or a CI gate asks for: two bundles, or any two platforms of one bundle."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from harness.analysis.boots import NO_VARIANCE, boots
from harness.analysis.comparability import Comparability
from harness.analysis.compare import DESCRIPTIVE, compare_medians, interval_level, looks
from harness.analysis.confounders import LOCK_FILE, Controls, environments
from harness.analysis.estimate import Estimate, Values, geometric_mean, p_value, unpaired, verdict
from harness.analysis.frame import dims_of, frame, medians
from harness.analysis.kinds import kind
from harness.analysis.matching import Task, disagreements, terms
from harness.analysis.model import Comparison
from harness.analysis.multiplicity import adjusted
from harness.analysis.pairing import Blocks, arms, by_boot
from harness.errors import UsageError
from harness.results.bundle import Bundle, read

NO_INTERVAL_REMEDY = "Measure each side in two boots or more and `merge` those of a side, or both sides in one boot"
TWO_RUNS = "two runs, not interleaved: drift between them is not part of the interval"


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
    one a side gives no interval. Where a task's parameters or the machine differ, the comparison is marked as not
    comparable, with the difference. Each platform is compared with itself, so its software (another driver, kernel,
    image or lock file) is what is on trial: the difference is a remark.
    """
    before, after = read(a), read(b)
    one, other = (arms(medians(frame([bundle]))) for bundle in (before, after))
    level = max(map(interval_level, (before.manifest, after.manifest)))  # that of the run which looked more often
    number = max(map(looks, (before.manifest, after.manifest)))
    found = [
        (platform, quantity, *_sides(before, after, one[platform][quantity], blocks))
        for platform in sorted(one.keys() & other.keys() & before.manifest.platforms.keys())
        for quantity, blocks in sorted(other[platform].items())
        if quantity in one[platform] and quantity.metric not in DESCRIPTIVE
    ]
    estimates = [unpaired(ours, theirs, better=each.better, level=level) for _, each, ours, theirs in found]
    controls = Controls()
    for (_, quantity, _, _), estimate in zip(found, estimates, strict=True):
        controls.add(quantity.task, quantity.metric, estimate)
    unlike, renewed = _differences(before, after)
    compared = _comparability(before, after).judged(
        [
            Comparison(
                task=quantity.task,
                metric=quantity.metric,
                dims=dims_of(quantity.dims),
                unit=quantity.unit,
                stack=quantity.stack,
                device=quantity.device,
                baseline=_named(platform, before),
                platform=_named(platform, after),
                slowdown=estimate.ratio,
                ci95=estimate.interval,
                verdict=verdict(estimate, None),
                blocks=estimate.blocks,
                boots=(_count(before), _count(after)),
                paired=False,
                noise_floor=None,
                mde=None,
                freedom=estimate.t_freedom,
                p_value=p_value(estimate, None, number),
                comparable=controls.judge(quantity.device).comparable and not unlike[quantity.task, quantity.stack],
                confounders=(
                    *controls.judge(quantity.device).remarks,
                    *unlike[quantity.task, quantity.stack],
                    *renewed[quantity.task, quantity.stack],
                    *_remarks(before, after, estimate),
                ),
                baseline_value=geometric_mean(ours),
                platform_value=geometric_mean(theirs),
            )
            for (platform, quantity, ours, theirs), estimate in zip(found, estimates, strict=True)
        ]
    )
    return tuple(each for each in adjusted(compared) if fnmatchcase(each.metric, metric))


def gated(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Return what a gate can judge: what compares and has an interval, without which nothing is ever surely above.

    Raises UsageError where there is nothing of that kind: such a gate has not passed.
    """
    comparable = [each for each in found if each.comparable]
    if not comparable:
        why = f": {found[0].confounders[0]}" if found and found[0].confounders else ""
        raise UsageError(
            f"--fail-above: nothing that can be compared was measured on both sides{why}",
            "See --metric and the remarks",
        )
    having = tuple(each for each in comparable if each.ci95[0] is not None)
    if not having:
        ours, theirs = comparable[0].boots
        problem = (
            f"--fail-above: no slowdown has an interval ({ours} and {theirs} boots, {comparable[0].blocks} blocks)"
        )
        raise UsageError(problem, NO_INTERVAL_REMEDY)
    return having


def regressions(found: Sequence[Comparison], above: float) -> tuple[Comparison, ...]:
    """Return what is surely slower than `above` (0.05 = 5%): the whole interval lies there, and the pair compares."""
    return tuple(each for each in found if each.comparable and each.ci95[0] is not None and each.ci95[0] > 1 + above)


def _named(platform: str, bundle: Bundle) -> str:
    return f"{platform} in {bundle.manifest.run_id}"


def _comparability(*bundles: Bundle) -> Comparability:
    """Of platforms as they are named here; a run compared with itself has one name, and differs in nothing."""
    told = {_named(name, each): facts for each in bundles for name, facts in environments(each.manifest).items()}
    kinds = {_named(name, each): kind(each.manifest, name) for each in bundles for name in each.manifest.platforms}
    return Comparability(told, kinds)


def _together(before: Bundle, after: Bundle) -> bool:
    """Whether both were measured in one boot that is known, so that their blocks are replicates of the same thing."""
    ids = {origin.boot_id for bundle in (before, after) for origin in bundle.manifest.origins}
    return len(ids) == 1 and "" not in ids


def _sides(before: Bundle, after: Bundle, old: Blocks, new: Blocks) -> tuple[Values, Values]:
    """Return the replicates of both sides: the blocks of one boot, else one value a boot."""
    if _together(before, after):
        return np.array(list(old.values())), np.array(list(new.values()))
    ours, theirs = by_boot(old, boots(before)), by_boot(new, boots(after))
    return np.array(list(ours.values())), np.array(list(theirs.values()))


def _remarks(before: Bundle, after: Bundle, estimate: Estimate) -> tuple[str, ...]:
    if _together(before, after):
        return (TWO_RUNS,)
    return (NO_VARIANCE,) if estimate.low is None else ()


def _count(bundle: Bundle) -> int:
    return len(set(boots(bundle).values()))


def _differences(before: Bundle, after: Bundle) -> tuple[dict[Task, tuple[str, ...]], dict[Task, tuple[str, ...]]]:
    """Return what makes a task on a stack another measurement in the second bundle, and which software is new there."""
    old, new = (terms(bundle.invocations, bundle.manifest) for bundle in (before, after))
    unlike, renewed = {}, {}
    for task in new:
        lines = disagreements({"before": old.get(task, new[task]), "after": new[task]})
        renewed[task] = tuple(line for line in lines if line.startswith(LOCK_FILE))
        unlike[task] = tuple(line for line in lines if line not in renewed[task])
    return unlike, renewed
