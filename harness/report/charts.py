"""The forest plot: slowdowns with their intervals.

Altair's checks of every part against its schema take longer than the drawing; the tests run with them
(`forest.__wrapped__`), the report without. The same goes for the other drawings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode
from markupsafe import Markup

from harness.report.context import Mark
from harness.report.format import Estimate, decimals, limit, ratio
from harness.report.plot import chart, clipped, fitting, layered, pixels, text, ticks
from harness.report.svg import FIGURE, inline
from harness.report.words import LEGEND

SPAN = 2.5  # an interval is drawn up to this factor beyond the outermost point; the table has the rest

_SHAPES = {"▲": "triangle-up", "▼": "triangle-down", "●": "circle", "◆": "diamond", "✚": "cross"}


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One comparison in the forest plot. `margin` is the half width of the equivalence band, in logs."""

    label: str
    estimate: Estimate
    mark: Mark
    margin: float


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A forest's measures in pixels. Rows of a stacked one have their label above the interval, else left of it."""

    name: str
    left: int
    plot: int
    right: int
    row: int
    stacked: bool
    letters: int  # of a label

    @property
    def label_left(self) -> int:
        """Where labels begin, from the plot's left edge."""
        return 2 - self.left if self.stacked else 16 - self.left


WIDE = Layout(name="wide", left=350, plot=390, right=170, row=26, stacked=False, letters=46)
BESIDE = Layout(name="beside", left=290, plot=236, right=130, row=26, stacked=False, letters=37)
NARROW = Layout(name="narrow", left=8, plot=304, right=8, row=46, stacked=True, letters=38)
_HEAD = 28  # height of a forest's heading


@dataclass(frozen=True, kw_only=True)
class _Line:
    """A forest row in place: `y` is the interval's, `text_y` its label's, `top` and `bottom` its band's."""

    y: float
    text_y: float
    top: float
    bottom: float
    low: float
    high: float
    value: float
    band_low: float
    band_high: float
    style: str
    label: str
    numbers: str


@debug_mode(False)
def forest(
    heading: str, rows: Sequence[ForestRow], layout: Layout, name: str, title: str, among: Sequence[ForestRow] = ()
) -> Markup:
    """Slowdowns with their intervals on a logarithmic axis. Needs one row or more.

    The axis has room for `among`, so that drawings of the same have the same scale; without it for the rows alone.
    """
    labels = fitting([row.label for row in rows], layout.letters)
    head = _HEAD if heading else 0
    lines = [
        _line(row, label, layout, head + number * layout.row)
        for number, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]
    heads = [{"label": clipped(heading, layout.letters), "text_y": _HEAD / 2}] if heading else []
    height = head + len(rows) * layout.row
    low, high = _domain(among or rows)
    axis = alt.Axis(values=ticks(low, high), format="~r", title=None, grid=not layout.stacked)
    scale = alt.Scale(type="log", domain=[low, high], clamp=True, nice=False)
    layers = [*_intervals(lines, height, scale, axis), *_labels(lines, heads, layout, height)]
    padding = {"left": layout.left, "right": layout.right, "top": 2, "bottom": 26}
    drawing = layered(layers, width=layout.plot, height=height, padding=padding)
    description = " ".join(f"{row.label}: {row.mark.word}." for row in rows)
    return inline(drawing, f"{name}-{layout.name}", title, description)


def _intervals(lines: list[_Line], height: float, scale: alt.Scale, axis: alt.Axis) -> list[alt.Chart]:
    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=scale, axis=axis)

    data, y, top = chart(map(asdict, lines)), pixels("y", height), pixels("top", height)
    colour = alt.Color("style:N", legend=None, scale=_by_style([f"var(--{mark.style})" for mark in LEGEND]))
    shape = alt.Shape("style:N", legend=None, scale=_by_style([_SHAPES[mark.shape] for mark in LEGEND]))
    unity = chart([{"low": 1, "y": 0, "end": height}])
    return [
        data.mark_rect(color="var(--band)").encode(
            x=x("band_low"), x2=alt.X2("band_high:Q"), y=top, y2=alt.Y2("bottom:Q")
        ),
        unity.mark_rule(color="currentColor", strokeDash=[3, 3]).encode(x=x("low"), y=y, y2=alt.Y2("end:Q")),
        data.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x("low"), x2=alt.X2("high:Q"), y=y, color=colour),
        data.mark_point(filled=True, size=95, opacity=1).encode(x=x("value"), y=y, color=colour, shape=shape),
    ]


def _labels(lines: list[_Line], heads: list[dict[str, Any]], layout: Layout, height: float) -> list[alt.Chart]:
    rows = [asdict(line) for line in lines]
    y = pixels("text_y", height)
    return [
        text(heads, "label", 2 - layout.left, y, weight=700),
        text(rows, "label", layout.label_left, y),
        text(rows, "numbers", layout.plot + layout.right - 2, y, align="right"),
    ]


def _line(row: ForestRow, label: str, layout: Layout, top: float) -> _Line:
    estimate = row.estimate
    low, high = estimate.low or estimate.value, estimate.high or estimate.value
    return _Line(
        y=top + layout.row - (12 if layout.stacked else layout.row / 2),
        text_y=top + (14 if layout.stacked else layout.row / 2),
        top=top + (layout.row - 24 if layout.stacked else 0),
        bottom=top + layout.row,
        low=low,
        high=high,
        value=estimate.value,
        band_low=math.exp(-row.margin),
        band_high=math.exp(row.margin),
        style=row.mark.style,
        label=label,
        numbers=_numbers(estimate, whole=not layout.stacked),
    )


def _numbers(estimate: Estimate, *, whole: bool) -> str:
    """`1.031 [1.012, 1.050]` as figures; without the interval where there is no room or none."""
    places = decimals(estimate)
    value = FIGURE.format(raw=estimate.value, text=ratio(estimate.value, places))
    ends = [FIGURE.format(raw=end, text=limit(end, places)) for end in (estimate.low, estimate.high) if end is not None]
    return f"{value} [{ends[0]}, {ends[1]}]" if whole and len(ends) == 2 else value


def _domain(rows: Sequence[ForestRow]) -> tuple[float, float]:
    """The axis: every point and 1, and the intervals as far as SPAN allows, with a little air."""
    values = [row.estimate.value for row in rows] + [1.0]
    band = math.exp(max(row.margin for row in rows))
    lows = [row.estimate.low or row.estimate.value for row in rows]
    highs = [row.estimate.high or row.estimate.value for row in rows]
    low = max(min([*lows, *values, 1 / band]), min(values) / SPAN)
    high = min(max([*highs, *values, band]), max(values) * SPAN)
    air = (high / low) ** 0.04
    return low / air, high * air


def _by_style(values: list[str]) -> alt.Scale:
    return alt.Scale(domain=[mark.style for mark in LEGEND], range=values)
