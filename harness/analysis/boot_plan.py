"""How many boots a side an interval of the wanted width takes, from the between-boot variance known so far.

With n boots a side whose values have the standard deviations s1 and s2, Welch's interval for the difference of their
means has the half width t(0.975, f) · √((s1² + s2²)/n) at f = (n - 1)(s1² + s2²)²/(s1⁴ + s2⁴) degrees of freedom
(Welch, Biometrika 34, 1947); the smallest n whose half width is within the precision is found by trying (Meeker, Hahn
and Escobar, Statistical Intervals, 2017, on sample sizes for intervals).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from harness.analysis.boots import boots
from harness.analysis.compare import DESCRIPTIVE, ONCE_AN_INVOCATION
from harness.analysis.estimate import LEVEL
from harness.analysis.frame import dims_of, frame, medians
from harness.analysis.pairing import Arms, BootOf, Quantity, arms, by_boot, counterpart
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle

LEAST = 3  # boots a side: of fewer no variance is worth having
MOST = 12  # boots a side: more reboots than anybody makes

Sides = tuple[dict[str, float], dict[str, float]]  # boot → value, of the baseline and of the platform


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one quantity of a platform asks for. The spreads are standard deviations between boots, of logs.

    `boots` is None where more than MOST a side would be needed.
    """

    platform: str
    task: str
    metric: str
    dims: Mapping[str, object]
    stack: str
    device: str
    spreads: tuple[float, float]  # of the baseline, of the platform
    boots: int | None


def needs(bundle: Bundle, precision: float) -> tuple[Need, ...]:
    """Return what every quantity measured apart from the baseline needs for ±precision (half a log interval's width).

    A side with one boot is taken to vary as the other does. Before any other system was booted, the baseline's own
    boots stand for both sides. Quantities of which no side has two boots are left out.
    """
    table, boot_of = arms(medians(frame([bundle]))), boots(bundle)
    found = []
    for platform, quantity, sides in _sides(table, bundle.manifest.plan.baseline, boot_of):
        known = [_spread(side) for side in sides]
        spreads = tuple(each for each in known if each is not None)
        if spreads:
            found.append(_need(platform, quantity, (spreads[0], spreads[-1]), precision))
    return tuple(found)


def _need(platform: str, quantity: Quantity, spreads: tuple[float, float], precision: float) -> Need:
    return Need(
        platform=platform,
        task=quantity.task,
        metric=quantity.metric,
        dims=dims_of(quantity.dims),
        stack=quantity.stack,
        device=quantity.device,
        spreads=spreads,
        boots=boots_needed(*spreads, precision=precision),
    )


def boots_needed(one: float, other: float, *, precision: float, level: float = LEVEL) -> int | None:
    """Return the boots a side for a half width of at most `precision`, None above MOST; see the module's docstring."""
    return next((n for n in range(LEAST, MOST + 1) if half_width(one, other, n, level=level) <= precision), None)


def half_width(one: float, other: float, boots: int, *, level: float = LEVEL) -> float:
    """Return half the width, on the log scale, of Welch's interval with so many boots a side."""
    first, second = one**2, other**2
    if first + second == 0:
        return 0.0
    freedom = (boots - 1) * (first + second) ** 2 / (first**2 + second**2)
    return float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt((first + second) / boots)


def _sides(table: Arms, baseline: str, boot_of: BootOf) -> Iterator[tuple[str, Quantity, Sides]]:
    """Yield platform, quantity and both sides' values by boot."""
    first = table.get(baseline, {})
    own = {boot_of[block] for values in first.values() for block in values}
    apart = [
        name
        for name, series in table.items()
        if not name.endswith(SECOND_ARM) and not own & {boot_of[b] for values in series.values() for b in values}
    ]
    for platform in sorted(apart) or [baseline]:
        for quantity, values in sorted(table.get(platform, {}).items()):
            steers = quantity.metric not in DESCRIPTIVE | ONCE_AN_INVOCATION
            other = counterpart(quantity, first)
            if steers and other in first and not quantity.task.startswith("control."):
                yield platform, quantity, (by_boot(first[other], boot_of), by_boot(values, boot_of))


def _spread(values: dict[str, float]) -> float | None:
    return float(np.std(np.log(list(values.values())), ddof=1)) if len(values) > 1 else None
