"""Tails: how much slower a platform's p95 and p99 are, by a hierarchical bootstrap of invocations, then samples.

Each invocation has its own percentile; the slowdown is the geometric mean over blocks of their ratios. One replicate
draws blocks, then within each of their invocations as many samples as it has. Drawing samples again adds their noise
to that which the invocations' percentiles already have, so plain quantiles of the replicates are too wide (in
simulation they cover with up to 100%). Therefore each replicate is divided by its own standard error, in which that
noise is, too: the bootstrap-t (Davison and Hinkley, Bootstrap Methods and their Application, 1997, sections 3.8 and
5.2), symmetric, because the sides of so few replicates are not worth telling apart (Hall, "On Symmetric Bootstrap
Confidence Intervals", Journal of the Royal Statistical Society B 50, 1988). In simulation it covers with 93 to 97%, and
with up to 99% where the percentile lies between usual and slow samples, now on this side and now on that.

The k-th smallest of n draws with replacement from n sorted samples is sample number ⌈n·u⌉, where u is the k-th
smallest of n uniform draws, a Beta(k, n - k + 1) variate: so no sample is ever copied, and a million cost no more than
a hundred.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.analysis.estimate import Values, exponential
from harness.analysis.frame import SERIES_COLUMNS, dims_text
from harness.analysis.model import Comparison, Percentile
from harness.analysis.pairing import BASELINE_LOCATION

PERCENTS = (95, 99)
LEAST_INVOCATIONS = 10  # of each side: a tail's spread between fewer processes is a guess
REPLICATES = 1000

Places = NDArray[np.signedinteger[Any]]
Key = tuple[str, ...]  # platform, task, metric, dims, stack, device
Tails = Mapping[Key, Mapping[int, Values]]  # → block → ascending logs of the samples' costs


def with_percentiles(
    found: Sequence[Comparison], samples: pd.DataFrame, *, fingerprint: str, level: float
) -> tuple[Comparison, ...]:
    """Return the comparisons with the percentiles of those whose invocations have samples enough for one.

    `samples` is the frame that they were made from. The draws depend on the bundle's fingerprint and on what is
    compared, on nothing else.
    """
    tails = _tails(samples)
    return tuple(replace(each, percentiles=tuple(_of(each, tails, fingerprint, level))) for each in found)


def bootstrapped(
    ours: Sequence[Values], theirs: Sequence[Values], *, percent: int, level: float, random: np.random.Generator
) -> tuple[float, float, float]:
    """Return the log ratio of a percentile, theirs over ours, and its interval; see the module's docstring.

    Each side holds one ascending array an invocation, both sides the same blocks.
    """
    count = len(ours)
    chosen = random.integers(0, count, (REPLICATES, count))
    drawn = _redrawn(theirs, chosen, percent, random) - _redrawn(ours, chosen, percent, random)
    seen = np.array([_order(y, percent) - _order(x, percent) for x, y in zip(ours, theirs, strict=True)])
    middle, error = float(seen.mean()), float(seen.std(ddof=1)) / math.sqrt(count)
    errors = drawn.std(axis=1, ddof=1) / math.sqrt(count)
    usable = errors > 0
    if error == 0.0 or not usable.any():
        return middle, middle, middle
    ratios = np.abs(drawn.mean(axis=1) - drawn.mean())[usable] / errors[usable]
    half = float(np.quantile(ratios, level)) * error
    return middle, middle - half, middle + half


def rank(samples: int, percent: int) -> int:
    """Return which of the ascending samples is the percentile, from 1."""
    return math.ceil(samples * percent / 100)


def _order(ascending: Values, percent: int) -> float:
    return float(ascending[rank(len(ascending), percent) - 1])


def _redrawn(side: Sequence[Values], chosen: Places, percent: int, random: np.random.Generator) -> Values:
    """Return the percentile of fresh draws from each chosen invocation."""
    lengths = np.array([len(each) for each in side])
    starts = np.cumsum(lengths) - lengths
    ranks = np.array([rank(length, percent) for length in lengths.tolist()])
    uniform = random.beta(ranks[chosen], lengths[chosen] - ranks[chosen] + 1)
    places = np.clip(np.ceil(uniform * lengths[chosen]).astype(int) - 1, 0, lengths[chosen] - 1)
    found: Values = np.concatenate(side)[starts[chosen] + places]
    return found


def _of(each: Comparison, tails: Tails, fingerprint: str, level: float) -> Iterator[Percentile]:
    keys = _keys(each)
    ours, theirs = (tails.get(key, {}) for key in keys)
    common = sorted(ours.keys() & theirs.keys())
    sides = [[side[block] for block in common] for side in (ours, theirs)]
    fewest = min((len(values) for side in sides for values in side), default=0)
    for percent in (each for each in PERCENTS if fewest >= _least_samples(each)):
        if why := _too_few(each, len(common)):
            yield Percentile(percent=percent, reason=why)
            continue
        random = np.random.default_rng([int(fingerprint[:16] or "0", 16), crc32(repr((keys, percent)).encode())])
        found = bootstrapped(sides[0], sides[1], percent=percent, level=level, random=random)
        middle, low, high = map(exponential, found)
        yield Percentile(percent=percent, slowdown=middle, ci95=(low, high))


def _keys(each: Comparison) -> tuple[Key, Key]:
    """Return the keys of the baseline's tail and of the platform's, which may be those of two locations."""
    theirs = {name: value for name, value in each.dims.items() if name != BASELINE_LOCATION}
    ours = {**theirs, "location": each.dims[BASELINE_LOCATION]} if BASELINE_LOCATION in each.dims else theirs
    sides = ((each.baseline, ours), (each.platform, theirs))
    one, other = ((name, each.task, each.metric, dims_text(dims), each.stack, each.device) for name, dims in sides)
    return one, other


def _least_samples(percent: int) -> int:
    """Of an invocation: of fewer the percentile is the largest one."""
    return 100 // (100 - percent)


def _too_few(each: Comparison, blocks: int) -> str:
    if not each.paired or each.boots != (1, 1):
        return "several boots: tails are estimated within one"
    if blocks < LEAST_INVOCATIONS:
        return f"too few invocations: {blocks}, {LEAST_INVOCATIONS} are needed"
    return ""


def _tails(samples: pd.DataFrame) -> Tails:
    """Return the sorted log costs of every series that could have a percentile; none where a value is not above 0."""
    found: dict[Key, dict[int, Values]] = defaultdict(dict)
    steady = samples.loc[~samples["warmup"], ["series", "value"]]
    if steady.empty:
        return found
    heads = samples.drop_duplicates("series").set_index("series")[list(SERIES_COLUMNS)]
    numbers, starts = np.unique(steady["series"].to_numpy(), return_index=True)
    chosen = heads.loc[numbers]
    columns = ("platform", "task", "metric", "dims", "stack", "device")
    keys = zip(*(chosen[name].astype(str) for name in columns), strict=True)
    values = np.split(steady["value"].to_numpy(), starts[1:])
    for key, block, better, part in zip(keys, chosen["block"], chosen["better"].astype(str), values, strict=True):
        if len(part) >= _least_samples(PERCENTS[0]) and part.min() > 0:
            found[key][int(block)] = np.sort((-1.0 if better == "higher" else 1.0) * np.log(part))
    return found
