"""What the means do not tell: the tails, the regressions that survive the correction, what was excluded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.analysis.document import ComparisonRecord, Document, ExclusionRecord
from harness.report.format import Estimate
from harness.report.parts import Excluded, Regression, Tail, TailRow
from harness.report.table import anchors, at, finding, primary, telling_dims
from harness.report.words import clean

MOST_TAILS = 40
MOST_REASONS = 3
MOST_REGRESSIONS = 30
MOST_EXCLUSIONS = 30
PERCENTS = (95, 99)


def tails(document: Document) -> tuple[tuple[TailRow, ...], int]:
    """The primary comparisons of which a tail could be estimated, the worst tail first, and how many more there are."""
    telling = telling_dims(document["comparisons"])
    rows = [
        TailRow(
            platform=clean(record["platform"], 60),
            finding=finding(record, telling),
            tails=tuple(_tail(record, percent) for percent in PERCENTS),
        )
        for record in primary(document["comparisons"])
        if any(each["slowdown"] is not None for each in record["percentiles"])
    ]
    return tuple(sorted(rows, key=_worst, reverse=True)[:MOST_TAILS]), max(len(rows) - MOST_TAILS, 0)


def no_tails(document: Document) -> tuple[str, ...]:
    """Why no tail could be estimated of comparisons that have samples enough for one; empty if one could."""
    found = [each for record in primary(document["comparisons"]) for each in record["percentiles"]]
    if any(each["slowdown"] is not None for each in found):
        return ()
    return tuple(dict.fromkeys(clean(each["reason"], 200) for each in found))[:MOST_REASONS]


def _tail(record: ComparisonRecord, percent: int) -> Tail:
    found = [each for each in record["percentiles"] if each["percent"] == percent]
    if not found or found[0]["slowdown"] is None:
        return Tail(estimate=None, reason=clean(found[0]["reason"], 200) if found else "too few samples")
    low, high = found[0]["ci95"]
    return Tail(estimate=Estimate(found[0]["slowdown"], low, high), reason="")


def _worst(row: TailRow) -> float:
    return max((tail.estimate.value for tail in row.tails if tail.estimate is not None), default=0.0)


def regressions(document: Document) -> tuple[tuple[Regression, ...], int]:
    """The comparisons that are slower after Holm's correction, the largest first, and how many more there are."""
    comparisons = document["comparisons"]
    shown, telling = anchors(comparisons, document["platforms"]), telling_dims(comparisons)
    listed = sorted(at(comparisons, document["regressions"]), key=lambda record: -record["slowdown"])
    found = tuple(
        Regression(
            platform=clean(record["platform"], 60),
            finding=finding(record, telling),
            p_holm=record["p_holm"],
            anchor=shown.get(id(record), ""),
        )
        for record in listed[:MOST_REGRESSIONS]
    )
    return found, len(listed) - len(found)


def exclusions(records: Sequence[ExclusionRecord]) -> tuple[tuple[Excluded, ...], int]:
    """The invocations that are in no statistics, by platform, task and cause, and how many groups more there are."""
    blocks: dict[tuple[str, str, str], Counter[int]] = {}
    for record in records:
        key = (clean(record["platform"], 60), clean(record["task"], 80), clean(record["cause"], 300))
        blocks.setdefault(key, Counter())[record["block"]] += 1
    found = [
        Excluded(platform=platform, task=task, cause=cause, blocks=tuple(sorted(each)[:12]))
        for (platform, task, cause), each in blocks.items()
    ]
    return tuple(found[:MOST_EXCLUSIONS]), max(len(found) - MOST_EXCLUSIONS, 0)
