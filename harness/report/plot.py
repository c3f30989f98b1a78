"""What all drawings share: placed text, scales in pixels, round values for axes, and text made safe to draw.

Every position is computed here rather than left to the layout engine, because labels are set in the reader's fonts,
which the engine cannot measure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import altair as alt

from harness.report.format import NARROW_SPACE, prefix, takes_prefix

_PLAIN_BRACKETS = str.maketrans("\u27e6\u27e7", "[]")
_STEPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_DIGITS = ((1,), (1, 3), (1, 2, 5), (2, 4, 6, 8), (1, 2, 3, 5, 7), tuple(range(1, 10)))
NOTHING = "[]"  # the rows of an empty chart
ROOM = 4  # letters of a unit beside an axis' values
_BYTES = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def chart(rows: Iterable[dict[str, Any]]) -> alt.Chart:
    """A chart of rows that are given in place: as a text, which altair copies at once rather than cell by cell."""
    return alt.Chart(alt.InlineData(values=json.dumps(list(rows)), format=alt.JsonDataFormat(type="json")))


def layered(layers: Iterable[alt.Chart], **size: Any) -> alt.LayerChart:  # noqa: ANN401 - altair's own properties
    """The layers on top of one another, without those that have no rows; `size` is width, height and padding.

    Made at once: each further call on a chart copies all of it.
    """
    return alt.LayerChart(layer=[layer for layer in layers if layer.data.values != NOTHING], **size)


def pixels(field: str, height: float) -> alt.Y:
    """A vertical position that is already in pixels."""
    return alt.Y(f"{field}:Q", axis=None, scale=alt.Scale(domain=[0, height], range=[0, height], nice=False))


def text(
    rows: Iterable[dict[str, Any]],
    field: str,
    left: float,
    y: alt.Y,
    *,
    align: Literal["left", "right"] = "left",
    weight: Literal[400, 700] = 400,
) -> alt.Chart:
    """The rows' text in one column that begins, or ends, `left` pixels from the plot's edge."""
    marks = chart(rows).mark_text(align=align, baseline="middle", fontSize=13, fontWeight=weight, color="currentColor")
    x = alt.XValue(left)  # type: ignore[no-untyped-call]
    placed: alt.Chart = marks.encode(x=x, y=y, text=alt.Text(f"{field}:N"))
    return placed


def clipped(label: str, letters: int) -> str:
    """A label: bounded, and without the brackets that mark figures."""
    label = label.translate(_PLAIN_BRACKETS)
    return label if len(label) <= letters else label[: letters - 1] + "…"


def fitting(labels: Sequence[str], letters: int) -> list[str]:
    """Tasks' labels: all without their family if one is too long with it and none needs it, then clipped."""
    short = [label.partition(".")[2] or label for label in labels]
    if any(len(label) > letters for label in labels) and len(set(short)) == len(set(labels)):
        labels = short
    return [clipped(label, letters) for label in labels]


def ticks(low: float, high: float) -> list[float]:
    """Round values in a logarithmic range: even steps where it is short, 1-2-5 where it is long."""
    if high / low < 10:
        step = next((step for step in _STEPS if (high - low) / step <= 7), 1.0)
        return [round(n * step, 6) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if high / low < 1000 else (1,)  # of 1000 on there are three powers of ten at least
    return [value for n in decades for digit in digits if low <= (value := digit * 10.0**n) <= high]


def decades(low: float, high: float, most: int) -> list[float]:
    """Round values of a logarithmic axis, as many as there is room for; empty where the range is too short for two."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)

    def within(digits: Iterable[int]) -> list[float]:
        return [value for n in powers for digit in digits if low <= (value := digit * 10.0**n) <= high]

    fitting = [values for digits in _DIGITS if len(values := within(digits)) <= most]
    longest = max(fitting, key=len, default=[])
    if len(longest) < 2:
        longest = few(within((1,)) if high / low > 1e3 else within(range(1, 10)), most)
    return longest if len(longest) > 1 else []


def few(values: Sequence[float], most: int) -> list[float]:
    """Evenly spaced ones of many values, the first among them."""
    stride = max(1, math.ceil(len(values) / most))
    return list(values[::stride])


def unit_axis(greatest: float, unit: str) -> tuple[float, str]:
    """The SI prefix's factor for values of a unit up to `greatest`, and the axis' expression that writes one with it.

    The unit comes from a bundle: it is a literal of the expression, whatever it is.
    """
    scale, letter = prefix(greatest, unit)
    shown = "" if is_apart(unit) else f"{NARROW_SPACE}{letter}{unit}"
    return scale, f"format(datum.value, '~r') + {json.dumps(shown)}"


def is_apart(unit: str) -> bool:
    """Whether an axis has no room for the unit, or there is none: then it is told beside the drawing."""
    return unit in ("", "ratio", "count") or len(unit) > ROOM


def prefixed_expression(unit: str) -> str:
    """The axis' expression that gives each value the prefix that suits it: `10 GB/s` beside `100 kB/s`."""
    if not takes_prefix(unit):
        return unit_axis(1.0, unit)[1]
    number = f"replace(format(datum.value, '~s'), regexp('([a-zµA-Z]?)$'), '{NARROW_SPACE}$1')"
    return f"{number} + {json.dumps(unit)}"


def bytes_expression() -> str:
    """The axis' expression that writes a size in binary units: `64 KiB`."""
    steps = "".join(
        f"datum.value >= {factor} ? format(datum.value / {factor}, '~r') + '{NARROW_SPACE}{name}' : "
        for factor, name in _BYTES
    )
    return f"{steps}format(datum.value, '~r') + '{NARROW_SPACE}B'"


def geometric_mean(values: Sequence[float]) -> float:
    """Of positive values."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))
