"""One part of the page for each claim: its verdict, the rule behind it, what bears on it, and how its data look."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.analysis.document import ClaimRecord, ComparisonRecord, Document
from harness.report.causes import waterfall
from harness.report.charts import NARROW, WIDE, forest
from harness.report.context import Forest
from harness.report.parts import ClaimPart, Picture, Point
from harness.report.picture import records
from harness.report.pictures_curves import copy_bandwidth, launch_curve, memory_latency
from harness.report.pictures_strips import guests, loading, small_files, tools, training
from harness.report.pictures_time import over_time, stalls, utilization
from harness.report.table import Telling, at, fair, finding, forest_row, telling_dims
from harness.report.words import clean

HEADLINE = "headline"
MOST_CLAIMS = 30
MOST_EVIDENCE = 12
MOST_BEARING = 10  # rows of what bears on a claim
STYLES = {"supported": "supported", "refuted": "refuted", "depends": "depends"}
PICTURES: Mapping[str, tuple[Callable[[Document], Picture], ...]] = {
    "1-driver-model": (launch_curve,),
    "2-pcie-dma": (copy_bandwidth,),
    "3-memory-numa": (memory_latency,),
    "4-file-systems": (small_files,),
    "5-tools": (tools,),
    "6-vm-passthrough": (guests,),
    HEADLINE: (training, loading, utilization, stalls, waterfall, over_time),
}


def claim_parts(document: Document) -> tuple[ClaimPart, ...]:
    """The headline first, the others in their order."""
    ordered = sorted(document["claims"], key=lambda record: record["id"] != HEADLINE)
    return tuple(_part(number, record, document) for number, record in enumerate(ordered[:MOST_CLAIMS]))


def _part(number: int, record: ClaimRecord, document: Document) -> ClaimPart:
    comparisons = document["comparisons"]
    told: Mapping[str, object] = {**record}
    bearing, decisive = at(comparisons, told.get("comparisons")), at(comparisons, [told.get("decisive")])
    telling = telling_dims(comparisons)
    return ClaimPart(
        anchor=_anchor(record["id"], number),
        statement=clean(record["statement"], 400),
        verdict=clean(record["verdict"], 40),
        style=_style(record["verdict"]),
        reason=clean(told.get("reason", ""), 600),
        points=tuple(map(_point, records(record, "parts"))),
        rule=clean(told.get("rule", ""), 2000),
        would_change=clean(told.get("would_change", ""), 2000),
        decisive=finding(decisive[0], telling) if decisive else None,
        decisive_platform=clean(decisive[0]["platform"], 60) if decisive else "",
        bearing=_bearing(bearing, number, telling),
        evidence=tuple(clean(line) for line in record["evidence"][:MOST_EVIDENCE]),
        evidence_left_out=max(len(record["evidence"]) - MOST_EVIDENCE, 0),
        pictures=tuple(draw(document) for draw in PICTURES.get(record["id"], ())),
    )


def _point(part: Mapping[str, Any]) -> Point:
    return Point(
        name=clean(part["name"], 60).replace("_", " "),
        verdict=clean(part["verdict"], 40),
        style=_style(part["verdict"]),
        reason=clean(part["reason"], 400),
    )


def _style(verdict: str) -> str:
    return STYLES.get(verdict, "unknown")


def _anchor(name: str, number: int) -> str:
    """`claim-4-file-systems`; a name that is not one of ours is counted."""
    return f"claim-{name}" if re.fullmatch(r"[a-z0-9-]{1,40}", name) else f"claim-number-{number}"


def _bearing(records: Sequence[ComparisonRecord], number: int, telling: Telling) -> Forest | None:
    """What bears on the claim; of much, each task before any task's second."""
    shown = fair(records, MOST_BEARING)
    if not shown:
        return None
    several = len({record["platform"] for record in shown}) > 1
    rows = [forest_row(record, telling, with_platform=several) for record in shown]
    wide, narrow = (
        (forest("", rows, layout, f"bearing-{number}", "What bears on the claim"),) for layout in (WIDE, NARROW)
    )
    return Forest(wide=wide, narrow=narrow, left_out=len(records) - len(shown))
