"""How numbers look: text for every kind of figure, and the Jinja filters that mark them.

The text functions are pure. A filter wraps their text in `<data value="RAW">`, where RAW is the number as it stands in
report.json, so that a reader (and a test) can go from any figure on the page to its source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

NARROW_SPACE = "\u202f"  # between a number and its unit, and between thousands
MINUS = "\u2212"
SIDES = {"+": "slower", MINUS: "faster"}
RANGE = "\u2013"
NO_VALUE = "\u2013"
FAR = (0.01, 1000.0)  # an interval that reaches beyond is told apart no further

_SMALL = ((1e-9, "n"), (1e-6, "µ"), (1e-3, "m"), (1.0, ""))
_LARGE = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"), (1e12, "T"))
_PREFIXES = {"s": _SMALL, "B": _LARGE, "B/s": _LARGE, "Hz": _LARGE}


@dataclass(frozen=True)
class Estimate:
    """A ratio with its interval; a bound is None where there is none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Quantity:
    """A value in its base unit: `s`, `B/s`, `images/s`."""

    value: float
    unit: str


@dataclass(frozen=True)
class Share:
    """A part of a whole, 0.12 = 12%."""

    value: float


def decimals(estimate: Estimate) -> int:
    """Decimals of a ratio: those that the interval's half width warrants; without one, three digits of the value.

    The half width (the shorter side's) keeps two digits where the first is 1 or 2, else one, so that rounding moves it
    by a sixth at most; the value keeps two.
    """
    if estimate.low is None or estimate.high is None or estimate.high <= estimate.low:
        return _clamp(3 - _magnitude(estimate.value), 0, 3)
    sides = (estimate.value - estimate.low, estimate.high - estimate.value)
    half = min(sides) if min(sides) > 0 else estimate.high / 2 - estimate.low / 2
    digits = 2 if half < 3 * 10.0 ** _magnitude(half) else 1
    return _clamp(max(digits - 1 - _magnitude(half), 1 - _magnitude(estimate.value)), 0, 4)


def ratio(value: float, places: int) -> str:
    """`1.031`; three significant digits where decimals would hide or drown it."""
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.2e}"
    return f"{value:.{places}f}"


def limit(value: float, places: int) -> str:
    """One end of an interval as a ratio; of one that says next to nothing, only on which side it lies."""
    if value < FAR[0]:
        return f"<{FAR[0]:g}"
    if value > FAR[1]:
        return f">{FAR[1]:g}"
    if value >= 10:
        places = min(places, max(2 - _magnitude(value), 0))
    return ratio(value, max(places, -_magnitude(value)))


def percent(share: float, places: int) -> str:
    """`+3.1%` of 0.031, with a sign; zero has none."""
    text = f"{abs(share) * 100:.{places}f}%"
    if not text.strip("0.%"):
        return text
    return (MINUS if share < 0 else "+") + text


def change(estimate: Estimate) -> str:
    """`3.1% slower`, `0.4% faster`; beyond half as much again a factor, `2.00× the cost`."""
    places = decimals(estimate)
    if not _near_one(estimate.value):
        return f"{ratio(estimate.value, places)}× the cost"
    text = percent(estimate.value - 1, max(places - 2, 0))
    return f"{text[1:]} {SIDES[text[0]]}" if text[0] in SIDES else f"{text} difference"


def bound(value: float, estimate: Estimate) -> str:
    """One end of the interval of `change`: `+1.1%`, or `2.03×` where either end is far from 1."""
    places = decimals(estimate)
    ends = [end for end in (estimate.low, estimate.high) if end is not None]
    if all(map(_near_one, ends)):
        return percent(value - 1, max(places - 2, 0))
    return f"{limit(value, places)}×"


def reach(value: float, estimate: Estimate) -> str:
    """As `bound`, in words where it is a percentage: `16% faster`, `12% slower`."""
    text = bound(value, estimate)
    return f"{text[1:]} {SIDES[text[0]]}" if text[0] in SIDES else text


def share(value: float) -> str:
    """`0.43%` of 0.0043: two significant digits, unsigned."""
    places = _clamp(1 - _magnitude(value * 100), 1 if value == 0 else 0, 3)
    return f"{value * 100:.{places}f}%"


def probability(value: float) -> str:
    """`0.03`, `<0.001`."""
    return "<0.001" if value < 0.001 else f"{value:.2g}"


def level(value: float) -> str:
    """`98.75%` of 0.9875: a confidence level, as exact as it is."""
    return f"{round(value * 100, 3):g}%"


def significant(value: float, digits: int = 3) -> str:
    """`612`, `0.0123`, `12 300`: so many significant digits, thousands set apart, never an exponent within reason."""
    if value == 0:
        return "0"
    if not 1e-4 <= abs(value) < 1e12:
        return f"{value:.{digits - 1}e}"
    rounded = round(value, digits - 1 - _magnitude(value))
    places = max(digits - 1 - _magnitude(rounded), 0)
    return f"{rounded:,.{places}f}".replace(",", NARROW_SPACE).replace("-", MINUS)


def quantity(value: float, unit: str) -> str:
    """`10.1 ms`, `12.3 GB/s`, `612 images/s`: three significant digits with an SI prefix where the unit takes one."""
    scale, letter = prefix(value, unit)
    number = significant(value / scale)
    return f"{number}{NARROW_SPACE}{letter}{unit}" if unit not in ("", "ratio", "count") else number


def prefix(value: float, unit: str) -> tuple[float, str]:
    """The SI prefix that suits a value of this unit, and what it stands for: `(0.001, "m")` of 0.0101 s."""
    table = _PREFIXES.get(unit, ((1.0, ""),))
    fitting = [entry for entry in table if abs(value) >= entry[0] * 0.9995]  # 999.6 µs rounds to 1 ms
    return fitting[-1] if fitting else table[0]


def takes_prefix(unit: str) -> bool:
    """Whether values of the unit are told with an SI prefix."""
    return unit in _PREFIXES


def binary(size: int) -> str:
    """`4 KiB` of 4096: a size of memory, which comes in powers of two."""
    power = min(int(math.log2(size)) // 10, 4) if size > 0 else 0
    return f"{size / 1024**power:g}{NARROW_SPACE}{('', 'Ki', 'Mi', 'Gi', 'Ti')[power]}B"


def count(value: int) -> str:
    """`100 000`."""
    return f"{value:,}".replace(",", NARROW_SPACE)


def duration(seconds: float) -> str:
    """`15 min 13 s`, `2 h 5 min`, `8.2 s`."""
    if seconds < 60:
        return quantity(seconds, "s")
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = (hours, "h", minutes, "min") if hours else (minutes, "min", rest, "s")
    return f"{parts[0]}{NARROW_SPACE}{parts[1]} {parts[2]}{NARROW_SPACE}{parts[3]}"


def date(text: str) -> str:
    """`1 January 2026, 00:00 UTC` of an RFC 3339 time; anything else as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    zone = f" {when.tzname()}" if when.tzname() else ""
    return f"{when.day} {when:%B %Y, %H:%M}{zone}"


def fact(value: str, name: str) -> Markup | str:
    """A recorded property: `25.3 GB` of a number of bytes, `2.4 GHz` of hertz, anything else as it is."""
    unit = {"bytes": "B", "hz": "Hz"}.get(name.rpartition("_")[2])
    if unit is None or not value.isdecimal():
        return value
    return figure(int(value), quantity(int(value), unit))


def figure(raw: float, text: str) -> Markup:
    """The text of a number with the number itself, as a `data` element."""
    return Markup('<data value="{}">{}</data>').format(repr(raw), text)


def ends(estimate: Estimate, text: Callable[[float], str], between: str) -> Markup:
    """Both ends of an interval as figures; words where there is none."""
    if estimate.low is None or estimate.high is None:
        return Markup("no interval")
    return Markup("{}{}{}").format(
        figure(estimate.low, text(estimate.low)), between, figure(estimate.high, text(estimate.high))
    )


def _change(estimate: Estimate) -> Markup:
    return figure(estimate.value, change(estimate))


def _interval(estimate: Estimate) -> Markup:
    return ends(estimate, lambda value: bound(value, estimate), " to ")


def _reach(estimate: Estimate) -> Markup:
    return ends(estimate, lambda value: reach(value, estimate), " to ")


def _ratio(estimate: Estimate) -> Markup:
    return figure(estimate.value, ratio(estimate.value, decimals(estimate)))


def _ratio_interval(estimate: Estimate) -> Markup:
    places = decimals(estimate)
    return ends(estimate, lambda value: limit(value, places), RANGE)


def _quantity(item: Quantity) -> Markup:
    return figure(item.value, quantity(item.value, item.unit))


def _cell(item: Quantity | Share | str | None) -> Markup | str:
    """A cell of a table behind a picture."""
    if isinstance(item, Quantity):
        return _quantity(item)
    return figure(item.value, share(item.value)) if isinstance(item, Share) else item or NO_VALUE


def _optional(text: Callable[[float], str]) -> Callable[[float | None], Markup]:
    return lambda value: escape(NO_VALUE) if value is None else figure(value, text(value))


FILTERS: Mapping[str, Callable[..., Markup | str]] = {
    "change": _change,
    "interval": _interval,
    "reach": _reach,
    "ratio": _ratio,
    "ratio_interval": _ratio_interval,
    "quantity": _quantity,
    "cell": _cell,
    "probability": _optional(probability),
    "share": _optional(share),
    "level": _optional(level),
    "duration": _optional(duration),
    "count": lambda value: figure(value, count(value)),
    "more": count,  # how many were left out here: said, but no figure of report.json
    "date": date,
    "fact": fact,
}


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value))) if value else 0


def _near_one(value: float) -> bool:
    return 2 / 3 <= value <= 1.5


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))
