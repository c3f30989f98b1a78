"""The level of an interval at which a run stopped because it had become narrow.

Whoever stops as soon as an interval is narrow stops more often where the spread was underestimated, and covers too
seldom: at 95% and looks after 5, 8, 12 and 20 blocks down to 92.3%. By how much is known exactly (Ray, "Sequential
Confidence Intervals for the Mean of a Normal Population with Unknown Variance", Journal of the Royal Statistical
Society B 19, 1957; Singham and Schruben, "Finite-Sample Performance of Absolute Precision Stopping Rules", INFORMS
Journal on Computing 24, 2012): the rule asks for the spread alone, of which the mean of normal values is independent.

So all intervals of such a run are drawn at the one level at which the worst case, over all ratios of the precision to
the true spread, still covers with 95%; every other case covers with more, up to that level. For the looks above it is
97.02%. Bonferroni's 98.75%, and the constants of Pocock, O'Brien and Fleming or Lan and DeMets, pay for something that
is not done here: stopping for what the mean is. They would cover with 97.7% or more.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

LEVEL = 0.95

_FIRST = 5  # blocks
_CELLS = 600  # of the grid of sums of squares
_REACH = 10.0  # standard deviations of the last sum of squares above its mean, where the grid ends

Array = NDArray[np.floating[Any]]


@lru_cache(maxsize=64)
def level(looks: tuple[int, ...]) -> float:
    """Return the level of each interval, 0.95 where there is but one look; a look at one block can't stop anything.

    It never exceeds Bonferroni's, which holds for whatever rule, and is that one where a look comes before the fifth
    block: so few sums of squares are too close to 0 for the grid.
    """
    counted = tuple(look for look in looks if look > 1)
    if len(counted) < 2:
        return LEVEL
    highest = 1 - (1 - LEVEL) / len(counted)
    if counted[0] < _FIRST or worst(counted, highest) < LEVEL:
        return highest
    found = float(optimize.brentq(lambda each: worst(counted, each) - LEVEL, LEVEL, highest, xtol=1e-5))
    return math.ceil(found * 1e4) / 1e4  # a level that can be said: 97.02%


def worst(looks: tuple[int, ...], level: float) -> float:
    """Return the lowest coverage of intervals of this level, over all precisions that may be asked for."""
    precisions = np.geomspace(1.5 / np.sqrt(looks[-1]), 6 / np.sqrt(looks[0]), 16)  # narrower never stop, wider always
    return min(coverage(looks, level, float(precision)) for precision in precisions)


def coverage(looks: tuple[int, ...], level: float, precision: float) -> float:
    """Return how often the interval covers that is found at the first look where its half width is below `precision`.

    `precision` is in standard deviations of one block's value; at the last look the interval is taken as it is. The
    sum of squares around the mean grows from look to look by independent chi-square draws, whose distribution is
    followed on a grid; at a look after n blocks with the sum w the interval covers with P(|z| < t·√(w / (n - 1))).
    """
    last = looks[-1] - 1
    step = (last + _REACH * np.sqrt(2 * last)) / _CELLS
    sums = step * np.arange(_CELLS)
    waiting, covered, before = np.array([1.0]), 0.0, 1
    for look in looks:
        waiting = np.convolve(waiting, _increments(look - before, float(step)))[:_CELLS]
        critical = float(stats.t.ppf(0.5 + level / 2, look - 1))
        narrow = (sums < precision**2 * look * (look - 1) / critical**2) | (look == looks[-1])
        hits = 2 * stats.norm.cdf(critical * np.sqrt(sums / (look - 1))) - 1
        covered += float(waiting[narrow] @ hits[narrow])
        waiting, before = np.where(narrow, 0.0, waiting), look
    return covered


@lru_cache(maxsize=32)
def _increments(freedom: int, step: float) -> Array:
    """Return the distribution of a chi-square draw, each draw rounded to a multiple of the step."""
    edges = step * (np.arange(_CELLS + 1) - 0.5)
    found: Array = np.diff(stats.chi2.cdf(edges, freedom))
    return found
