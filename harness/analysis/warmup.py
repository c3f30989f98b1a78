"""Where a workload's steps become steady: by change points, each invocation on its own.

The logs of the medians of up to 32 batches of steps are cut into segments of constant level, the cuts that minimize the
squared deviations plus a penalty for each (optimal partitioning: Jackson and others, "An Algorithm for Optimal
Partitioning of Data on an Interval", IEEE Signal Processing Letters 12, 2005, as PELT prunes it; used on benchmarks'
warm-up by Barrett and others, "Virtual Machine Warmup Blows Hot and Cold", OOPSLA 2017). The last segment and those
before it at about the same level are the steady state; what lies before is warm-up. Where that is more than half, no
steady state was reached: nothing more is left out, and the invocation is flagged. The batch behind a cut goes, too: up
to half of it may be warm.

Medians of batches do not mind single slow steps. A penalty three times that of the Bayesian information criterion, and
a level that differs by at least 2% and by three standard deviations of a batch, leave correlated noise alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

METRICS = frozenset({"step_seconds"})  # of workloads; probes say themselves what is warm-up
LEAST_STEPS = 40
BATCHES = 32  # at most
LEAST_BATCH = 5  # steps: so the median of a batch bears two that are slow
SHORTEST = 2  # batches of a segment
DIFFERENT = 0.02  # of level, on the log scale
PENALTY = 6.0

Array = NDArray[np.floating[Any]]
Counts = NDArray[np.int64]


def settled_after(steps: Array) -> tuple[Counts, NDArray[np.bool_]]:
    """Return for each invocation how many of its first steps are warm-up, and whether it reached a steady state.

    `steps` has a row an invocation. Too few steps (fewer than LEAST_STEPS: nothing is checked), or values that are not
    above 0, are taken as they are.
    """
    rows, count = steps.shape
    dropped, steady = np.zeros(rows, dtype=np.int64), np.ones(rows, dtype=bool)
    positive = (steps > 0).all(axis=1)
    if count < LEAST_STEPS or not positive.any():
        return dropped, steady
    size = max(-(-count // BATCHES), LEAST_BATCH)
    number = count // size
    batches = np.log(np.median(steps[positive, : number * size].reshape(-1, number, size), axis=2))
    first = _steady_from(batches)
    late = first > number / 2
    dropped[positive], steady[positive] = np.where(late, 0, (first + (first > 0)) * size), ~late
    return dropped, steady


def _steady_from(batches: Array) -> Counts:
    """Return the batch with which the steady state of each row begins."""
    noise = 1.4826 * np.median(np.abs(np.diff(batches, axis=1)), axis=1) / np.sqrt(2)
    cuts, sums = _cuts(batches, noise), _cumulated(batches)
    rows, end = np.arange(len(batches)), np.full(len(batches), batches.shape[1])
    first: Counts = cuts[rows, end]
    level = (sums[rows, end] - sums[rows, first]) / (end - first)
    tolerance = np.maximum(DIFFERENT, 3 * noise)
    going = first > 0
    while going.any():
        before = cuts[rows, first]
        mean = (sums[rows, first] - sums[rows, before]) / np.maximum(first - before, 1)
        going &= np.abs(mean - level) <= tolerance
        first = np.where(going, before, first)
        going &= first > 0
    return first


def _cuts(batches: Array, noise: Array) -> Counts:
    """Return for each row and each end where the last segment of the best partition up to that end begins."""
    rows, number = batches.shape
    sums, squares = _cumulated(batches), _cumulated(batches**2)
    penalty = PENALTY * np.log(number) * noise**2 + 1e-12
    best = np.full((rows, number + 1), np.inf)
    best[:, 0] = 0.0
    cuts = np.zeros((rows, number + 1), dtype=np.int64)
    for end in range(SHORTEST, number + 1):
        begins = np.arange(end - SHORTEST + 1)
        within = squares[:, [end]] - squares[:, begins] - (sums[:, [end]] - sums[:, begins]) ** 2 / (end - begins)
        costs = best[:, begins] + within + penalty[:, None]
        cuts[:, end] = costs.argmin(axis=1)
        best[:, end] = costs.min(axis=1)
    return cuts


def _cumulated(values: Array) -> Array:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)
