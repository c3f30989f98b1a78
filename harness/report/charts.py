"""The drawings: a forest plot of slowdowns and a strip plot of invocations.

Every position is computed here rather than left to the layout engine, because labels are set in the reader's fonts,
which the engine cannot measure. Altair's checks of every part against its schema take longer than the drawing; the
tests run with them (`forest.__wrapped__`), the report without.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import altair as alt
from altair.utils.schemapi import debug_mode
from markupsafe import Markup

from harness.report.context import Mark
from harness.report.format import NARROW_SPACE, Estimate, decimals, limit, prefix, ratio
from harness.report.svg import FIGURE, inline
from harness.report.words import LEGEND

SPAN = 2.5  # an interval is drawn up to this factor beyond the outermost point; the table has the rest
POINTS = 200  # at most, per row of a strip

_SHAPES = {"▲": "triangle-up", "▼": "triangle-down", "●": "circle", "◆": "diamond", "✚": "cross"}
_PLAIN_BRACKETS = str.maketrans("\u27e6\u27e7", "[]")
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, kw_only=True)
class ForestRow:
    """One comparison in the forest plot. `margin` is the half width of the equivalence band, in logs."""

    label: str
    estimate: Estimate
    mark: Mark
    margin: float


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One platform arm in a strip plot: its per-invocation medians in block order."""

    name: str
    medians: tuple[float, ...]


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
NARROW = Layout(name="narrow", left=8, plot=304, right=8, row=46, stacked=True, letters=38)
_HEAD = 28  # height of a forest's heading
_STRIP_WIDTH, _STRIP_LEFT, _STRIP_ROW = 290, 120, 30


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
def forest(platform: str, rows: Sequence[ForestRow], layout: Layout, name: str, title: str) -> Markup:
    """One platform's slowdowns with their intervals on a logarithmic axis. Needs one row or more."""
    labels = _fitting([row.label for row in rows], layout.letters)
    lines = [
        _line(row, label, layout, _HEAD + number * layout.row)
        for number, (row, label) in enumerate(zip(rows, labels, strict=True))
    ]
    heads = [{"label": _clipped(platform, layout.letters), "text_y": _HEAD / 2}]
    height = _HEAD + len(rows) * layout.row
    low, high = _domain(rows)
    axis = alt.Axis(values=_ticks(low, high), format="~r", title=None, grid=not layout.stacked)
    scale = alt.Scale(type="log", domain=[low, high], clamp=True, nice=False)
    layers = [*_intervals(lines, height, scale, axis), *_labels(lines, heads, layout, height)]
    padding = {"left": layout.left, "right": layout.right, "top": 2, "bottom": 26}
    chart = alt.layer(*layers).properties(width=layout.plot, height=height, padding=padding)
    description = " ".join(f"{row.label}: {row.mark.word}." for row in rows)
    return inline(chart, f"{name}-{layout.name}", title, description)


@debug_mode(False)
def strip(arms: Sequence[Arm], unit: str, name: str, title: str, description: str) -> Markup:
    """Each invocation's median as a dot, one row an arm, blocks from top to bottom; a stroke at the geometric mean."""
    scale, si = prefix(max(max(arm.medians) for arm in arms), unit)
    shown_unit = json.dumps(
        f"{NARROW_SPACE}{si}{_clipped(unit, 20)}"
    )  # a literal of the expression, whatever the unit is
    height = len(arms) * _STRIP_ROW
    dots, means = [], []
    for index, arm in enumerate(arms):
        top = index * _STRIP_ROW
        means.append({"value": _geometric_mean(arm.medians) / scale, "y": top + 3, "end": top + _STRIP_ROW - 3})
        dots += [{"value": v / scale, "y": top + 6 + at * (_STRIP_ROW - 12)} for at, v in _thinned(arm.medians)]
    names = [{"label": _clipped(arm.name, 16), "y": (i + 0.5) * _STRIP_ROW} for i, arm in enumerate(arms)]
    axis = alt.Axis(title=None, tickCount=4, labelExpr=f"format(datum.value, '~r') + {shown_unit}")
    x = alt.X("value:Q", scale=alt.Scale(zero=False, nice=True), axis=axis)
    y = _y("y", height)
    layers = [
        _chart(means).mark_rule(strokeWidth=2, color="currentColor").encode(x=x, y=y, y2="end:Q"),
        _chart(dots).mark_circle(size=36, opacity=0.65, color="var(--accent)").encode(x=x, y=y),
        _text(names, "label", 2 - _STRIP_LEFT, y),
    ]
    padding = {"left": _STRIP_LEFT, "right": 30, "top": 2, "bottom": 26}
    return inline(
        alt.layer(*layers).properties(width=_STRIP_WIDTH, height=height, padding=padding), name, title, description
    )


def _intervals(lines: list[_Line], height: float, scale: alt.Scale, axis: alt.Axis) -> list[alt.Chart]:
    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=scale, axis=axis)

    data, y, top = _chart(map(asdict, lines)), _y("y", height), _y("top", height)
    colour = alt.Color("style:N", legend=None, scale=_by_style([f"var(--{mark.style})" for mark in LEGEND]))
    shape = alt.Shape("style:N", legend=None, scale=_by_style([_SHAPES[mark.shape] for mark in LEGEND]))
    unity = _chart([{"low": 1, "y": 0, "end": height}])
    return [
        data.mark_rect(color="var(--band)").encode(x=x("band_low"), x2="band_high:Q", y=top, y2="bottom:Q"),
        unity.mark_rule(color="currentColor", strokeDash=[3, 3]).encode(x=x("low"), y=y, y2="end:Q"),
        data.mark_rule(strokeWidth=2.5, strokeCap="round").encode(x=x("low"), x2="high:Q", y=y, color=colour),
        data.mark_point(filled=True, size=95, opacity=1).encode(x=x("value"), y=y, color=colour, shape=shape),
    ]


def _labels(lines: list[_Line], heads: list[dict[str, Any]], layout: Layout, height: float) -> list[alt.Chart]:
    rows = [asdict(line) for line in lines]
    y = _y("text_y", height)
    return [
        _text(heads, "label", 2 - layout.left, y, weight=700),
        _text(rows, "label", layout.label_left, y),
        _text(rows, "numbers", layout.plot + layout.right - 2, y, align="right"),
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


def _ticks(low: float, high: float) -> list[float]:
    """Round values in the range: even steps where it is short, 1-2-5 where it is long."""
    if high / low < 10:
        step = next((step for step in _STEPS if (high - low) / step <= 7), 1.0)
        return [round(n * step, 6) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if high / low < 1000 else (1,)  # of 1000 on there are three powers of ten at least
    return [value for n in decades for digit in digits if low <= (value := digit * 10.0**n) <= high]


def _thinned(medians: Sequence[float]) -> list[tuple[float, float]]:
    """Medians with their place in block order, 0 to 1; of many, evenly spaced ranks with both extremes."""
    placed = [(index / max(len(medians) - 1, 1), value) for index, value in enumerate(medians)]
    if len(placed) <= POINTS:
        return placed
    ranked = sorted(placed, key=lambda item: item[1])
    return [ranked[round(index * (len(ranked) - 1) / (POINTS - 1))] for index in range(POINTS)]


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def _fitting(labels: Sequence[str], letters: int) -> list[str]:
    """Tasks' labels: all without their family if one is too long with it, and clipped where they still are."""
    if any(len(label) > letters for label in labels):
        labels = [label.partition(".")[2] or label for label in labels]
    return [_clipped(label, letters) for label in labels]


def _clipped(text: str, letters: int) -> str:
    """A label: bounded, and without the brackets that mark figures."""
    text = text.translate(_PLAIN_BRACKETS)
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _by_style(values: list[str]) -> alt.Scale:
    return alt.Scale(domain=[mark.style for mark in LEGEND], range=values)


def _y(field: str, height: float) -> alt.Y:
    return alt.Y(f"{field}:Q", axis=None, scale=alt.Scale(domain=[0, height], range=[0, height], nice=False))


def _text(
    rows: list[dict[str, Any]],
    field: str,
    left: float,
    y: alt.Y,
    *,
    align: Literal["left", "right"] = "left",
    weight: Literal[400, 700] = 400,
) -> alt.Chart:
    chart = _chart(rows).mark_text(align=align, baseline="middle", fontSize=13, fontWeight=weight, color="currentColor")
    placed: alt.Chart = chart.encode(x=alt.value(left), y=y, text=f"{field}:N")
    return placed


def _chart(rows: Iterable[dict[str, Any]]) -> alt.Chart:
    return alt.Chart(alt.InlineData(values=list(rows)))
