"""Which medians are set against which: the same quantity, in the same blocks, on two platforms."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from harness.agent.messages import Better
from harness.analysis.estimate import Values
from harness.analysis.frame import dims_of, dims_text
from harness.matrix.cells import SECOND_ARM

HOST_LOCATION = "host"
BASELINE_LOCATION = "baseline_location"  # the dim that tells when a location was compared with another


class Quantity(NamedTuple):
    """What a median is of; `dims` is the text of `dims_text`."""

    task: str
    metric: str
    dims: str
    unit: str
    better: Better
    stack: str
    device: str


Blocks = Mapping[int, float]  # block → median
Arms = Mapping[str, Mapping[Quantity, Blocks]]  # arm's name → …


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The values of one quantity in the blocks that both sides have, and of the baseline's two arms (A/A)."""

    platform: str
    quantity: Quantity
    dims: Mapping[str, object]  # with `baseline_location` where the baseline's location is another
    baseline: Values
    values: Values
    first_arm: Values
    second_arm: Values


def arms(medians: pd.DataFrame) -> Arms:
    """Arrange medians above 0 by arm, quantity and block; others have no place on a ratio scale."""
    table: dict[str, dict[Quantity, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    usable = medians[_usable(medians)]
    quantities = zip(*(usable[name].astype(str) for name in Quantity._fields), strict=True)
    for platform, fields, block, median in zip(
        usable["platform"].astype(str), quantities, usable["block"], usable["median"], strict=True
    ):
        table[platform][Quantity(*fields)][int(block)] = float(median)
    return {platform: dict(series) for platform, series in table.items()}


def unusable(medians: pd.DataFrame) -> tuple[str, ...]:
    """Say which medians can't be part of a ratio."""
    left_out = medians[~_usable(medians)]
    counted = Counter(zip(*(left_out[name].astype(str) for name in ("task", "metric", "platform")), strict=True))
    return tuple(
        f"{task}, {metric} on {platform}: {count} medians are not above 0 and are in no ratio"
        for (task, metric, platform), count in counted.items()
    )


def pairs(table: Arms, baseline: str) -> Iterator[Pair]:
    """Yield every quantity of every other platform for which the baseline has a block in common."""
    second = table.get(baseline + SECOND_ARM, {})
    first = table.get(baseline, {})
    for platform in others(table, baseline):
        for quantity, values in sorted(table[platform].items()):
            other = counterpart(quantity, first)
            common = sorted(values.keys() & first.get(other, {}).keys())
            if common:
                aa = sorted(first[other].keys() & second.get(other, {}).keys())
                yield Pair(
                    platform=platform,
                    quantity=quantity,
                    dims=_dims(quantity, other),
                    baseline=_pick(first[other], common),
                    values=_pick(values, common),
                    first_arm=_pick(first[other], aa),
                    second_arm=_pick(second.get(other, {}), aa),
                )


def others(table: Arms, baseline: str) -> list[str]:
    """Return the platforms that are compared with the baseline."""
    return sorted(set(table) - {baseline, baseline + SECOND_ARM})


def counterpart(quantity: Quantity, baseline: Mapping[Quantity, Blocks]) -> Quantity:
    """Return what a platform's quantity is compared with.

    A location is compared with the baseline's of the same name (tmpfs with tmpfs), where there is none with its
    `host` location: an overlay layer or a bind mount stands where a native program would use the host's disk.
    """
    dims = dims_of(quantity.dims)
    if quantity in baseline or "location" not in dims:
        return quantity
    return quantity._replace(dims=dims_text({**dims, "location": HOST_LOCATION}))


def _dims(quantity: Quantity, other: Quantity) -> Mapping[str, object]:
    dims = dims_of(quantity.dims)
    return dims if quantity == other else {**dims, BASELINE_LOCATION: HOST_LOCATION}


def _pick(values: Blocks, blocks: list[int]) -> Values:
    return np.array([values[block] for block in blocks])


def _usable(medians: pd.DataFrame) -> pd.Series[bool]:
    values = medians["median"]
    return cast("pd.Series[bool]", np.isfinite(values) & (values > 0))
