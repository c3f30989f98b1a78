"""The drawing of bars: parts of a whole one under the other (a waterfall), or shares, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import altair as alt
from altair.utils.schemapi import debug_mode
from markupsafe import Markup

from harness.report.plot import chart, clipped, layered, pixels, text, unit_axis
from harness.report.svg import inline

WIDTH, LEFT, RIGHT, ROW, LETTERS = 136, 126, 78, 28, 18


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One row. A bar runs from `start` to `end`; `style` is the colour's variable; `numbers` is its text."""

    label: str
    numbers: str
    style: str
    start: float | None = None  # None: there is no bar, and `numbers` says so
    end: float | None = None
    low: float | None = None
    high: float | None = None


@debug_mode(False)
def bars(rows: Sequence[Bar], unit: str, *, name: str, title: str, expression: str = "") -> Markup:
    """Bars on one linear axis with 0 in it. Needs a row or more; `expression` replaces the unit's own on the axis."""
    values = [v for row in rows for v in (row.start, row.end, row.low, row.high) if v is not None] or [0.0]
    greatest = max(map(abs, values)) or 1.0
    scale, own = unit_axis(greatest, unit)
    height = len(rows) * ROW
    placed = [_placed(row, number, scale) for number, row in enumerate(rows)]
    low, high = min(*values, 0.0) / scale, max(*values, 0.0) / scale
    axis = alt.Axis(title=None, tickCount=2, labelExpr=expression or own, labelOverlap=True)
    across = alt.Scale(domain=[low, high] if high > low else [0, 1], nice=False)

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=across, axis=axis)

    styles = list(dict.fromkeys(row.style for row in rows))
    colours = alt.Scale(domain=styles, range=[f"var(--{style})" for style in styles])
    drawn = [row for row in placed if row["start"] is not None and row["end"] is not None]
    sure = [row for row in placed if row["low"] is not None and row["high"] is not None]
    y = pixels("y", height)
    layers = [
        chart([{"low": 0, "y": 0, "end": height}])
        .mark_rule(color="currentColor")
        .encode(x=x("low"), y=y, y2=alt.Y2("end:Q")),
        chart(drawn)
        .mark_rect(opacity=0.8)
        .encode(
            x=x("start"),
            x2=alt.X2("end:Q"),
            y=pixels("top", height),
            y2=alt.Y2("bottom:Q"),
            color=alt.Color("style:N", legend=None, scale=colours),
        ),
        chart(sure).mark_rule(strokeWidth=1.5, color="currentColor").encode(x=x("low"), x2=alt.X2("high:Q"), y=y),
        text(placed, "label", 2 - LEFT, y),
        text(placed, "numbers", WIDTH + RIGHT - 2, y, align="right"),
    ]
    padding = {"left": LEFT, "right": RIGHT, "top": 2, "bottom": 26}
    drawing = layered(layers, width=WIDTH, height=height, padding=padding)
    return inline(drawing, name, title, f"One bar for each of {', '.join(row.label for row in rows)}.")


def _placed(row: Bar, number: int, scale: float) -> dict[str, object]:
    ends = {
        each: None if (value := getattr(row, each)) is None else value / scale
        for each in ("start", "end", "low", "high")
    }
    top = number * ROW
    shown = asdict(row) | ends | {"label": clipped(row.label, LETTERS)}
    return {**shown, "y": top + ROW / 2, "top": top + 6, "bottom": top + ROW - 6}
