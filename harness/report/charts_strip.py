"""The drawing of invocations: each one's median as a dot, one row an arm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
from altair.utils.schemapi import debug_mode
from markupsafe import Markup

from harness.report.palette import Hue
from harness.report.plot import chart, clipped, geometric_mean, layered, pixels, text, unit_axis
from harness.report.svg import inline

POINTS = 200  # at most, per row
FAR = 8.0  # from this ratio of the extremes on, the axis is logarithmic
WIDTH, LEFT, RIGHT, ROW, LETTERS = 168, 146, 26, 28, 21


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One row: its per-invocation medians in block order, and which of them (by place) reached no steady state."""

    name: str
    hue: Hue
    medians: tuple[float, ...]
    unsteady: frozenset[int] = frozenset()


@debug_mode(False)
def strip(arms: Sequence[Arm], unit: str, name: str, title: str, description: str) -> Markup:
    """Each invocation's median as a dot, blocks from top to bottom; a stroke at the geometric mean.

    One that reached no steady state is hollow. Needs an arm or more, each with a median or more.
    """
    values = [value for arm in arms for value in arm.medians]
    positive = min(values) > 0
    scale, expression = unit_axis(max(values), unit)
    height = len(arms) * ROW
    dots, means = [], []
    for index, arm in enumerate(arms):
        top = index * ROW
        if positive:
            means.append({"value": geometric_mean(arm.medians) / scale, "y": top + 3, "end": top + ROW - 3})
        dots += [
            {
                "value": v / scale,
                "y": top + 6 + at * (ROW - 12),
                "style": arm.hue.style,
                "hollow": place in arm.unsteady,
            }
            for place, at, v in thinned(arm.medians)
        ]
    names = [{"label": clipped(arm.name, LETTERS), "y": (i + 0.5) * ROW} for i, arm in enumerate(arms)]
    axis = alt.Axis(title=None, tickCount=2, labelExpr=expression, labelFlush=False, labelOverlap=True)
    logarithmic = positive and max(values) / min(values) > FAR
    x = alt.X("value:Q", scale=alt.Scale(type="log" if logarithmic else "linear", zero=False, nice=True), axis=axis)
    y = pixels("y", height)
    hues = list({arm.hue.style: arm.hue for arm in arms}.values())
    colours = alt.Scale(domain=[hue.style for hue in hues], range=[f"var(--{hue.style})" for hue in hues])
    solid, hollow = ([dot for dot in dots if dot["hollow"] is wanted] for wanted in (False, True))
    layers = [
        chart(means).mark_rule(strokeWidth=2, color="currentColor").encode(x=x, y=y, y2=alt.Y2("end:Q")),
        chart(solid)
        .mark_circle(size=36, opacity=0.7)
        .encode(x=x, y=y, color=alt.Color("style:N", legend=None, scale=colours)),
        chart(hollow).mark_point(size=36).encode(x=x, y=y, stroke=alt.Stroke("style:N", legend=None, scale=colours)),
        text(names, "label", 2 - LEFT, y),
    ]
    padding = {"left": LEFT, "right": RIGHT, "top": 2, "bottom": 26}
    drawing = layered(layers, width=WIDTH, height=height, padding=padding)
    return inline(drawing, name, title, description)


def thinned(medians: Sequence[float]) -> list[tuple[int, float, float]]:
    """Medians with their place and the same from 0 to 1; of many, evenly spaced ranks with both extremes."""
    placed = [(index, index / max(len(medians) - 1, 1), value) for index, value in enumerate(medians)]
    if len(placed) <= POINTS:
        return placed
    ranked = sorted(placed, key=lambda item: item[2])
    return [ranked[round(index * (len(ranked) - 1) / (POINTS - 1))] for index in range(POINTS)]
