"""From an analysis to report.json's document (`harness.analysis.document`): plain data, every number finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, cast

from harness.analysis.boots import boot_environments, deviations
from harness.analysis.compare import interval_level, looks
from harness.analysis.confounders import environments, flat
from harness.analysis.document import (
    SCHEMA,
    AttributionRecord,
    BootSummary,
    CapabilityRecord,
    ClaimRecord,
    ComparisonRecord,
    DifferenceRecord,
    DistributionRecord,
    Document,
    DoseResponseRecord,
    ExclusionRecord,
    HeadlineRecord,
    PlanRecord,
    PlatformSummary,
    RunRecord,
    StallRecord,
    UnmatchedRecord,
)
from harness.analysis.model import Analysis, Comparison
from harness.analysis.multiplicity import listed
from harness.analysis.telemetry import telemetry
from harness.results.bundle import Bundle, MatrixRecord, Origin, PlatformRecord
from harness.results.machine import system

HEADLINE_METRIC = "step_seconds"


def report_json(analysis: Analysis, bundle: Bundle) -> Document:
    """Return report.json's content: plain data, every number finite."""
    comparisons = [_comparison(each) for each in analysis.comparisons]
    return {
        "schema": SCHEMA,
        "run": _run(bundle),
        "baseline": analysis.baseline,
        "platforms": list(analysis.platforms),
        "platform_records": {name: _summary(record) for name, record in bundle.manifest.platforms.items()},
        "environments": environments(bundle.manifest),
        "differences": {key: dict(row) for key, row in analysis.differences.items()},
        "comparability": [cast("DifferenceRecord", _plain(asdict(each))) for each in analysis.comparability],
        "stacks": dict(bundle.manifest.stacks),
        "headlines": [_headline(name, comparisons) for name in analysis.platforms if name != analysis.baseline],
        "comparisons": comparisons,
        "regressions": list(listed(analysis.comparisons)),
        "distributions": [cast("DistributionRecord", _plain(asdict(each))) for each in analysis.distributions],
        "unmatched": [cast("UnmatchedRecord", asdict(each)) for each in analysis.unmatched],
        "exclusions": [cast("ExclusionRecord", asdict(each)) for each in analysis.exclusions],
        "stalls": [cast("StallRecord", _plain(asdict(each))) for each in analysis.stalls],
        "attribution": [cast("AttributionRecord", _plain(asdict(each))) for each in analysis.attribution],
        "dose_response": [cast("DoseResponseRecord", _plain(asdict(each))) for each in analysis.dose_response],
        "claims": [cast("ClaimRecord", _plain(asdict(each))) for each in analysis.claims],
        "capabilities": [cast("CapabilityRecord", asdict(each)) for each in analysis.capabilities],
        "telemetry": telemetry(bundle.invocations),
        "warnings": [*bundle.warnings, *analysis.warnings],
    }


def _comparison(comparison: Comparison) -> ComparisonRecord:
    return cast("ComparisonRecord", _plain(asdict(comparison)))


def _headline(platform: str, comparisons: Sequence[ComparisonRecord]) -> HeadlineRecord:
    """Pick the comparison that stands for a platform by what it is, never by what came out.

    The time of a step of an end-to-end workload, tensorflow/benchmarks first; a probe stands for nothing but itself.
    """
    candidates = [
        (not each["task"].startswith("tf_cnn."), number)
        for number, each in enumerate(comparisons)
        if each["platform"] == platform and each["metric"] == HEADLINE_METRIC
    ]
    return {"platform": platform, "comparison": min(candidates)[1] if candidates else None}


def _run(bundle: Bundle) -> RunRecord:
    manifest, plan = bundle.manifest, bundle.manifest.plan
    metrics = [metric for result in bundle.invocations for metric in result.metrics]
    return {
        "id": manifest.run_id,
        "created": manifest.created,
        "seed": manifest.seed,
        "profile": plan.profile,
        "tool_version": manifest.tool_version,
        "boot_id": manifest.boot_id,
        "fingerprint": bundle.fingerprint,
        "blocks": max((result.block for result in bundle.invocations), default=0),
        "invocations": len(bundle.invocations),
        "samples": sum(len(metric.samples) for metric in metrics),
        "seconds": sum(line.seconds for line in bundle.journal),
        "precision": plan.precision,
        "looks": looks(manifest),
        "interval_level": interval_level(manifest),
        "boots": [_boot(number, origin, bundle) for number, origin in enumerate(manifest.origins, start=1)],
        "host": flat(manifest.host),
        "gpus": manifest.gpus,
        "plan": _plan(plan),
    }


def _plan(plan: MatrixRecord) -> PlanRecord:
    return {
        "blocks": {"min": plan.blocks.min, "max": plan.blocks.max} if plan.blocks else None,
        "budget": plan.budget,
        "matrix": plan.selection.matrix,
        "platforms": plan.selection.platforms,
        "tasks": plan.selection.tasks,
    }


def _boot(number: int, origin: Origin, bundle: Bundle) -> BootSummary:
    shown, own = environments(bundle.manifest), boot_environments(origin)
    return {
        "number": number,
        "run_id": origin.run_id,
        "boot_id": origin.boot_id,
        "created": origin.created,
        "system": system(origin),
        "seed": origin.seed,
        "tool_version": origin.tool_version,
        "blocks": sum(boot == number for boot in bundle.boots().values()),
        "platforms": sorted(own),
        "differs": {name: found for name in sorted(own) if (found := deviations(own[name], shown.get(name, {})))},
        "gpus": origin.gpus,
        "profile": origin.plan.profile,
        "plan": _plan(origin.plan),
    }


def _summary(record: PlatformRecord) -> PlatformSummary:
    return {"kind": record.kind, "available": record.available, "reason": record.reason}


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Return a record as JSON has it: lists for tuples, so that it equals what is read back."""
    return {name: _listed(value) for name, value in record.items()}


def _listed(value: Any) -> Any:  # noqa: ANN401 - a field of any record
    if isinstance(value, tuple | list):
        return [_listed(each) for each in value]
    return _plain(value) if isinstance(value, dict) else value
