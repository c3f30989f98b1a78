"""The drawing of curves: what is measured at several sizes, or over time, one line a platform.

The line runs through the middle of the invocations' medians, the band from the lowest to the highest of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt
from altair.utils.schemapi import debug_mode
from markupsafe import Markup

from harness.report.palette import Hue
from harness.report.plot import bytes_expression, chart, decades, few, layered, prefixed_expression, unit_axis
from harness.report.svg import inline

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = 252, 168, 70, 18, 44  # pixels; together as wide as a phone has room for
MOST_TICKS = 5
AIR = 0.04  # beyond the outermost value, as a share of the range


@dataclass(frozen=True, kw_only=True)
class Point:
    """What the invocations say at one place of the horizontal axis."""

    x: float
    low: float
    value: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One platform's points, in ascending order of x."""

    name: str
    hue: Hue
    points: tuple[Point, ...]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What an axis shows: a unit, and whether equal ratios or equal differences are equally far apart."""

    unit: str
    log: bool = True
    sizes: bool = False  # of memory, in powers of two
    zero: bool = True  # whether an axis of equal differences has 0 in it
    title: str = ""


@debug_mode(False)
def curves(lines: Sequence[Curve], x: Measure, y: Measure, *, name: str, title: str, dots: bool = True) -> Markup:
    """One panel. Needs a point or more; on a logarithmic axis all are positive. `dots` marks each point."""
    points = [point for line in lines for point in line.points]
    greatest = max(abs(point.high) for point in points)
    scale, expression = (1.0, prefixed_expression(y.unit)) if y.log else unit_axis(greatest, y.unit)
    rows = [_row(line, point, scale) for line in lines for point in line.points]
    across = alt.X("x:Q", scale=_scale([point.x for point in points], x, air=False), axis=_across(points, x))
    ends = [end / scale for point in points for end in (point.low, point.high)]
    vertical = _scale(ends, y, air=True)
    axis = _vertical(ends, y, expression)
    colour = alt.Color("style:N", legend=None, scale=_by_hue(lines, "colour"))
    data = chart(rows)
    layers = [
        data.mark_area(opacity=0.16).encode(
            x=across, y=alt.Y("low:Q", scale=vertical, axis=axis), y2=alt.Y2("high:Q"), color=colour
        ),
        data.mark_line(strokeWidth=2).encode(
            x=across,
            y=alt.Y("value:Q", scale=vertical, axis=axis),
            color=colour,
            strokeDash=alt.StrokeDash("style:N", legend=None, scale=_by_hue(lines, "dash")),
        ),
    ]
    if dots:
        shape = alt.Shape("style:N", legend=None, scale=_by_hue(lines, "shape"))
        dotted = data.mark_point(filled=True, size=42, opacity=1)
        layers.append(dotted.encode(x=across, y=alt.Y("value:Q", scale=vertical, axis=axis), color=colour, shape=shape))
    padding = {"left": LEFT, "right": RIGHT, "top": 8, "bottom": BOTTOM}
    drawing = layered(layers, width=WIDTH, height=HEIGHT, padding=padding)
    return inline(drawing, name, title, f"One line for each of {', '.join(line.name for line in lines)}.")


def _row(line: Curve, point: Point, scale: float) -> dict[str, object]:
    return {
        "x": point.x,
        "low": point.low / scale,
        "value": point.value / scale,
        "high": point.high / scale,
        "style": line.hue.style,
    }


def _scale(values: Sequence[float], measure: Measure, *, air: bool) -> alt.Scale:
    low, high = min(values), max(values)
    if measure.log:
        room = (high / low) ** AIR * 1.02 if air else 1.0
        return alt.Scale(type="log", domain=[low / room, high * room], nice=False)
    if not air:
        return alt.Scale(domain=[low, high], nice=False)
    bottom = min(low, 0.0) if measure.zero else low
    room = (high - bottom) * AIR or abs(high) * AIR or 1.0
    return alt.Scale(domain=[bottom if measure.zero else bottom - room, high + room], nice=False)


def _across(points: Iterable[Point], x: Measure) -> alt.Axis:
    places = sorted({point.x for point in points})
    expression = bytes_expression() if x.sizes else unit_axis(1.0, x.unit)[1]
    if x.unit == "s":
        return alt.Axis(title=x.title, labelExpr=expression, tickCount=MOST_TICKS, grid=False)
    return alt.Axis(title=x.title, labelExpr=expression, values=few(places, MOST_TICKS), grid=False, labelFlush=True)


def _vertical(ends: Sequence[float], y: Measure, expression: str) -> alt.Axis:
    found = decades(min(ends), max(ends), 6) if y.log else []
    if found:
        return alt.Axis(title=None, labelExpr=expression, values=found)
    return alt.Axis(title=None, labelExpr=expression, tickCount=4)


def _by_hue(lines: Sequence[Curve], aspect: Literal["colour", "shape", "dash"]) -> alt.Scale:
    hues = list({line.hue.style: line.hue for line in lines}.values())
    ranges: dict[str, Sequence[str] | Sequence[Sequence[int]]] = {
        "colour": [f"var(--{hue.style})" for hue in hues],
        "shape": [hue.shape for hue in hues],
        "dash": [hue.dash for hue in hues],
    }
    return alt.Scale(domain=[hue.style for hue in hues], range=ranges[aspect])
