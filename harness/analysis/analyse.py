"""A bundle in, everything that a report shows out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from harness.agent.messages import CellResult
from harness.agent.step_counts import PREFIX
from harness.analysis.attribution import attributions
from harness.analysis.boots import boot_warnings, boots
from harness.analysis.capabilities import capabilities
from harness.analysis.claims import claims
from harness.analysis.comparability import Comparability
from harness.analysis.compare import DESCRIPTIVE, compare_medians, interval_level
from harness.analysis.confounders import differences, environments, inspection_warnings
from harness.analysis.dose_response import dose_responses
from harness.analysis.exclusions import exclusion_warnings, exclusions
from harness.analysis.frame import dims_of, frame, medians, unsteady
from harness.analysis.model import Analysis, Distribution
from harness.analysis.pairing import Quantity, arms, unusable
from harness.analysis.percentiles import with_percentiles
from harness.analysis.stalls import stalls
from harness.analysis.unmatched import unmatched
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle, MatrixRecord


def analyse(bundle: Bundle) -> Analysis:
    """Analyse one run."""
    samples = frame([bundle])
    table = medians(samples)
    plan = bundle.manifest.plan
    left_out = exclusions(bundle.invocations)
    arranged, level = arms(table), interval_level(bundle.manifest)
    comparisons = with_percentiles(
        compare_medians(bundle, table, plan.baseline), samples, fingerprint=bundle.fingerprint, level=level
    )
    taken_apart = attributions(bundle, table, arranged, comparisons, level)
    return Analysis(
        baseline=plan.baseline,
        platforms=_platforms(plan, bundle),
        comparisons=comparisons,
        claims=claims(bundle.manifest, comparisons),
        capabilities=capabilities(bundle),
        distributions=distributions(table),
        unmatched=tuple(unmatched(arranged, plan.baseline, DESCRIPTIVE, boots(bundle))),
        exclusions=left_out,
        stalls=stalls(bundle, table),
        comparability=Comparability.of(bundle).differences(comparisons),
        attribution=taken_apart,
        dose_response=dose_responses(taken_apart, level),
        differences=differences(environments(bundle.manifest)),
        warnings=(
            *_warnings(samples, plan),
            *inspection_warnings(bundle.manifest),
            *exclusion_warnings(left_out),
            *boot_warnings(bundle.manifest),
            *unusable(table),
            *_restless(table),
            *_reported(bundle.invocations),
        ),
    )


def distributions(table: pd.DataFrame) -> tuple[Distribution, ...]:
    """Return the medians of every quantity on every arm, in block order; what was counted once has no distribution."""
    keys = ["platform", *Quantity._fields]
    found = []
    repeated = table[~table["task"].astype(str).str.startswith(PREFIX)]
    for key, group in repeated.sort_values("block").groupby(keys, observed=True, sort=True):
        platform, *fields = map(str, key)
        quantity = Quantity(*fields)  # type: ignore[arg-type]  # `better` was checked when the bundle was read
        found.append(
            Distribution(
                task=quantity.task,
                metric=quantity.metric,
                dims=dims_of(quantity.dims),
                unit=quantity.unit,
                stack=quantity.stack,
                device=quantity.device,
                platform=platform,
                blocks=tuple(map(int, group["block"])),
                medians=tuple(map(float, group["median"])),
                samples=int(group["samples"].sum()),
                warmup=tuple(map(int, group["warmup"])),
                unsteady=tuple(map(int, group.loc[~group["steady"], "block"])),
                unchecked=tuple(map(int, group.loc[group["unchecked"], "block"])),
            )
        )
    return tuple(found)


def _platforms(plan: MatrixRecord, bundle: Bundle) -> tuple[str, ...]:
    others = sorted(set(bundle.manifest.platforms) - {plan.baseline})
    return (plan.baseline, *others)


def _reported(invocations: Sequence[CellResult]) -> list[str]:
    """Return what the invocations themselves warned of, each once, with the number of invocations that did."""
    counts = Counter(
        (result.platform.removesuffix(SECOND_ARM), result.task, warning)
        for result in invocations
        for warning in set(result.warnings)
    )
    return [
        f"{platform}, {task}: {warning} (in {number} {'invocation' if number == 1 else 'invocations'})"
        for (platform, task, warning), number in sorted(counts.items())
    ]


def _restless(table: pd.DataFrame) -> list[str]:
    """Say which invocations' steps reached no steady state, by platform, task and metric."""
    flagged = table[~table["steady"]]
    counts = Counter(zip(*(flagged[name].astype(str) for name in ("platform", "task", "metric")), strict=True))
    return [
        f"{platform}, {task}: {metric} reached no steady state in {number} "
        f"{'invocation' if number == 1 else 'invocations'}, which are used all the same"
        for (platform, task, metric), number in sorted(counts.items())
    ]


def _warnings(samples: pd.DataFrame, plan: MatrixRecord) -> list[str]:
    warnings = []
    if plan.baseline not in set(samples["platform"]):
        warnings.append(f"the baseline {plan.baseline} was not measured, so there is nothing to compare with")
    if count := unsteady(samples):
        warnings.append(f"{count} metrics of single invocations reached no steady state and are left out")
    return warnings
