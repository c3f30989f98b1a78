"""A bundle in, everything that a report shows out."""

from __future__ import annotations

import pandas as pd

from harness.analysis.capabilities import capabilities
from harness.analysis.claims import claims
from harness.analysis.compare import compare_medians
from harness.analysis.confounders import differences, environments
from harness.analysis.frame import dims_of, frame, medians, unsteady
from harness.analysis.model import Analysis, Distribution
from harness.analysis.pairing import Quantity, unusable
from harness.results.bundle import Bundle, MatrixRecord


def analyse(bundle: Bundle) -> Analysis:
    """Analyse one run."""
    samples = frame([bundle])
    table = medians(samples)
    plan = bundle.manifest.plan
    comparisons = compare_medians(bundle, table, plan.baseline)
    return Analysis(
        baseline=plan.baseline,
        platforms=_platforms(plan, bundle),
        comparisons=comparisons,
        claims=claims(bundle.manifest, comparisons),
        capabilities=capabilities(bundle),
        distributions=distributions(table),
        differences=differences(environments(bundle.manifest)),
        warnings=(*_warnings(samples, plan), *unusable(table)),
    )


def distributions(table: pd.DataFrame) -> tuple[Distribution, ...]:
    """Return the medians of every quantity on every arm, in block order."""
    keys = ["platform", *Quantity._fields]
    found = []
    for key, group in table.sort_values("block").groupby(keys, observed=True, sort=True):
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
            )
        )
    return tuple(found)


def _platforms(plan: MatrixRecord, bundle: Bundle) -> tuple[str, ...]:
    others = sorted(set(bundle.manifest.platforms) - {plan.baseline})
    return (plan.baseline, *others)


def _warnings(samples: pd.DataFrame, plan: MatrixRecord) -> list[str]:
    warnings = []
    if plan.baseline not in set(samples["platform"]):
        warnings.append(f"the baseline {plan.baseline} was not measured, so there is nothing to compare with")
    if count := unsteady(samples):
        warnings.append(f"{count} metrics of single invocations reached no steady state and are left out")
    return warnings
