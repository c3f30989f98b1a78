"""Which task ran on which platform, and what did not run and why."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.document import CapabilityRecord, Document
from harness.matrix.cells import SECOND_ARM
from harness.report.context import Gap
from harness.report.parts import Grid, GridCell, GridRow
from harness.report.words import clean

MOST_ROWS = 60
MOST_PLATFORMS = 10
MOST_CELLS = 12  # named in a gap
RAN = "ran"
GOOD = frozenset({RAN, "limited"})
_SHAPES = {RAN: "●", "limited": "◐", "unsupported": "–", "unavailable": "–"}


def grid(document: Document) -> Grid | None:
    """Every cell that ran or was to run; None where nothing did."""
    cells: dict[str, dict[str, str]] = {}
    for record in document["distributions"]:
        platform = record["platform"].removesuffix(SECOND_ARM)
        cells.setdefault(f"{record['stack']}/{record['task']}", {})[platform] = RAN
    for gap in document["capabilities"]:
        if gap["what"] != "platform":
            cells.setdefault(gap["what"], {})[gap["platform"].removesuffix(SECOND_ARM)] = gap["status"]
    platforms = document["platforms"][:MOST_PLATFORMS]
    absent = {name for name, record in document["platform_records"].items() if not record["available"]}
    if not cells:
        return None
    rows = tuple(
        GridRow(
            what=clean(what, 120), cells=tuple(_cell(found.get(name, ""), absent=name in absent) for name in platforms)
        )
        for what, found in sorted(cells.items())[:MOST_ROWS]
    )
    return Grid(
        platforms=tuple(clean(name, 60) for name in platforms), rows=rows, left_out=max(len(cells) - MOST_ROWS, 0)
    )


def _cell(status: str, *, absent: bool) -> GridCell:
    shown = status or ("unavailable" if absent else "not planned")
    return GridCell(
        word=clean(shown, 30),
        shape=_SHAPES.get(shown, "✕" if status else " "),
        style=_style(shown, planned=bool(status)),
    )


def _style(shown: str, *, planned: bool) -> str:
    if shown in GOOD:
        return "equivalent"
    return "slower" if planned and shown not in _SHAPES else "incomparable"


def gaps(capabilities: Sequence[CapabilityRecord]) -> list[Gap]:
    """What did not run, one entry for each platform, status and reason."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for record in capabilities:
        key = (clean(record["platform"], 60), clean(record["status"], 30), clean(record["reason"], 500))
        groups.setdefault(key, []).append(record["what"])
    return [_gap(*key, cells=cells) for key, cells in groups.items()]


def _gap(platform: str, status: str, reason: str, *, cells: Sequence[str]) -> Gap:
    named = [clean(cell, 80) for cell in dict.fromkeys(cells) if cell != "platform"]
    return Gap(
        platform=platform,
        status=status,
        reason=reason,
        cells=tuple(named[:MOST_CELLS]),
        left_out=max(len(named) - MOST_CELLS, 0),
    )
