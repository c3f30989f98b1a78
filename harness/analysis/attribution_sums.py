"""Sums of mean differences between two platforms, and their intervals: what a bar of the attribution is.

A bar is a sum over probes of counts times mean differences, and the unexplained part is the gap less all bars. Each
term is the mean over the blocks (of several boots, over the boots) of platform - baseline, both from medians or fits of
single invocations. A *stratum* holds the differences of one cell (task, stack, device). Strata are measured by
processes of their own and taken as independent, since what drifts from block to block is in both sides and cancels.
What belongs to one stratum (a copy's latency and its bandwidth, fitted to the same points) is kept together, and a
stratum that stands in several bars (a launch, which a wait includes) is one and the same in all of them.

The intervals are by bootstrap of the invocations. The spread of their medians already holds the noise of the samples
behind them, so samples are not drawn again: that would count it twice (`harness.analysis.percentiles`, where only the
percentile of fresh draws tells how uncertain it is, does it and corrects for it). Each replicate draws every stratum's
blocks with replacement, the same for all bars, and divides the deviation of the sum by its own standard error: the
bootstrap-t (Davison and Hinkley, Bootstrap Methods and their Application, 1997, section 5.2), symmetric (Hall, Journal
of the Royal Statistical Society B 50, 1988), which holds its level at ten invocations where plain quantiles are too
narrow. So the unexplained part's interval has the gap's uncertainty in it and that of every bar.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from operator import add
from typing import NamedTuple

import numpy as np

from harness.analysis.percentiles import LEAST_INVOCATIONS, REPLICATES, Places

Interval = tuple[float | None, float | None]


class Stratum(NamedTuple):
    """Which processes were measured; `side` is empty where both platforms shared their blocks."""

    task: str
    stack: str
    device: str
    side: str = ""


@dataclass(frozen=True)
class Sum:
    """The sum over strata of the means over their replicates (blocks or boots)."""

    terms: Mapping[Stratum, Mapping[Hashable, float]] = field(default_factory=dict)

    def __add__(self, other: Sum) -> Sum:
        """Add replicate by replicate within a stratum, over those that both have."""
        shared = {
            stratum: {name: values[name] + more[name] for name in values if name in more}
            for stratum, values in self.terms.items()
            if (more := other.terms.get(stratum))
        }
        return Sum({**self.terms, **other.terms, **shared})

    def __mul__(self, factor: float) -> Sum:
        """Scale every value."""
        return Sum({key: {name: factor * each for name, each in row.items()} for key, row in self.terms.items()})

    def __sub__(self, other: Sum) -> Sum:
        """Add the negative."""
        return self + other * -1.0

    @cached_property
    def mean(self) -> float:
        """The sum, in the unit of its values."""
        return math.fsum(math.fsum(row.values()) / len(row) for row in self.terms.values())

    @property
    def scarce(self) -> Mapping[str, int]:
        """The tasks of which there are too few replicates for an interval, and how many there are."""
        return {key.task: len(row) for key, row in self.terms.items() if len(row) < LEAST_INVOCATIONS}


def total(sums: Iterable[Sum]) -> Sum:
    """Return the sum of sums."""
    return reduce(add, sums, Sum())


def intervals(sums: Sequence[Sum], *, level: float, random: np.random.Generator) -> tuple[Interval, ...]:
    """Return the interval of each sum, (None, None) where one of its strata has too few replicates."""
    numbered = sorted({(key, tuple(row)) for each in sums for key, row in each.terms.items()}, key=repr)
    drawn = {each: random.integers(0, len(each[1]), (REPLICATES, len(each[1]))) for each in numbered}
    return tuple((None, None) if each.scarce else _interval(each, drawn, level) for each in sums)


def _interval(whole: Sum, drawn: Mapping[tuple[Stratum, tuple[Hashable, ...]], Places], level: float) -> Interval:
    means, variances, variance = np.zeros(REPLICATES), np.zeros(REPLICATES), 0.0
    for key, row in whole.terms.items():
        values = np.array(list(row.values()))
        again = values[drawn[key, tuple(row)]]
        means += again.mean(axis=1)
        variances += again.var(axis=1, ddof=1) / len(values)
        variance += float(values.var(ddof=1)) / len(values)
    usable = variances > 0
    if variance == 0.0 or not usable.any():
        return whole.mean, whole.mean
    ratios = np.abs(means - whole.mean)[usable] / np.sqrt(variances[usable])
    half = float(np.quantile(ratios, level)) * math.sqrt(variance)
    return whole.mean - half, whole.mean + half
