"""Which medians are set against which: the same quantity, in the same blocks, on two platforms."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from harness.agent.messages import Better
from harness.agent.step_counts import NAMES, PREFIX
from harness.agent.uncompared import UNCOMPARED
from harness.analysis.estimate import Values, geometric_mean
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
BootOf = Mapping[int, str]  # block → what tells its boot from others; a block that is not there is of one common boot
ONE_BOOT: BootOf = {}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """The values of one quantity on two platforms, and on the baseline's two arms (A/A), as they are estimated.

    Interleaved platforms have the values of the blocks that both sides have; of several boots, one value a boot. Those
    that no boot reached together have one value a boot, and are not `paired`.
    """

    platform: str
    quantity: Quantity
    dims: Mapping[str, object]  # with `baseline_location` where the baseline's location is another
    baseline: Values
    values: Values
    first_arm: Values
    second_arm: Values
    blocks: int  # behind the values; of a pair that is not paired the smaller side's
    boots: tuple[int, int]  # the baseline's, the platform's
    paired: bool = True


def arms(medians: pd.DataFrame) -> Arms:
    """Arrange medians above 0 by arm, quantity and block; others have no place on a ratio scale.

    What a step consists of is left out, and so is what traced it: `harness.analysis.attribution` uses it. Metrics that
    are no cost (`harness.agent.uncompared`) are left out, too.
    """
    table: dict[str, dict[Quantity, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    usable = medians[_usable(medians) & ~_counted(medians)]
    quantities = zip(*(usable[name].astype(str) for name in Quantity._fields), strict=True)
    for platform, fields, block, median in zip(
        usable["platform"].astype(str), quantities, usable["block"], usable["median"], strict=True
    ):
        table[platform][Quantity(*fields)][int(block)] = float(median)
    return {platform: dict(series) for platform, series in table.items()}


def unusable(medians: pd.DataFrame) -> tuple[str, ...]:
    """Say which medians can't be part of a ratio."""
    left_out = medians[~_usable(medians) & ~_counted(medians)]
    counted = Counter(zip(*(left_out[name].astype(str) for name in ("task", "metric", "platform")), strict=True))
    return tuple(
        f"{task}, {metric} on {platform}: {count} medians are not above 0 and are in no ratio"
        for (task, metric, platform), count in counted.items()
    )


def pairs(table: Arms, baseline: str, boot_of: BootOf = ONE_BOOT) -> Iterator[Pair]:
    """Yield every quantity of every other platform for which the baseline has a block in common."""
    second = table.get(baseline + SECOND_ARM, {})
    first = table.get(baseline, {})
    for platform in others(table, baseline):
        for quantity, values in sorted(table[platform].items()):
            other = counterpart(quantity, first)
            common = sorted(values.keys() & first.get(other, {}).keys())
            if common:
                ours, theirs = shared(first[other], values, boot_of)
                first_arm, second_arm = shared(first[other], second.get(other, {}), boot_of)
                number = len({boot_of.get(block) for block in common})
                yield Pair(
                    platform=platform,
                    quantity=quantity,
                    dims=pair_dims(quantity, other),
                    baseline=ours,
                    values=theirs,
                    first_arm=first_arm,
                    second_arm=second_arm,
                    blocks=len(common),
                    boots=(number, number),
                )


def others(table: Arms, baseline: str) -> list[str]:
    """Return the platforms that are compared with the baseline; no second arm is one."""
    return sorted(name for name in table if name != baseline and not name.endswith(SECOND_ARM))


def shared(ours: Blocks, theirs: Blocks, boot_of: BootOf) -> tuple[Values, Values]:
    """Return both sides' values of the blocks that they share; where those are of several boots, one value a boot."""
    blocks = sorted(ours.keys() & theirs.keys())
    sides = [{block: side[block] for block in blocks} for side in (ours, theirs)]
    if len({boot_of.get(block) for block in blocks}) > 1:
        one, other = (by_boot(side, boot_of) for side in sides)
        return np.array(list(one.values())), np.array(list(other.values()))
    return np.array(list(sides[0].values())), np.array(list(sides[1].values()))


def by_boot(values: Blocks, boot_of: BootOf) -> dict[str, float]:
    """Return boot → geometric mean over its blocks, in the order of the blocks: the mean of logs, as a value."""
    groups: dict[str, list[float]] = defaultdict(list)
    for block in sorted(values):
        groups[boot_of.get(block, "")].append(values[block])
    return {boot: geometric_mean(np.array(group)) for boot, group in groups.items()}


def counterpart(quantity: Quantity, baseline: Mapping[Quantity, Blocks]) -> Quantity:
    """Return what a platform's quantity is compared with.

    A location is compared with the baseline's of the same name (tmpfs with tmpfs), where there is none with its
    `host` location: an overlay layer or a bind mount stands where a native program would use the host's disk.
    """
    dims = dims_of(quantity.dims)
    if quantity in baseline or "location" not in dims:
        return quantity
    return quantity._replace(dims=dims_text({**dims, "location": HOST_LOCATION}))


def pair_dims(quantity: Quantity, other: Quantity) -> Mapping[str, object]:
    """Return the dims of a comparison of a quantity with `other` of the baseline."""
    dims = dims_of(quantity.dims)
    return dims if quantity == other else {**dims, BASELINE_LOCATION: HOST_LOCATION}


def _usable(medians: pd.DataFrame) -> pd.Series[bool]:
    values = medians["median"]
    return cast("pd.Series[bool]", np.isfinite(values) & (values > 0))


def _counted(medians: pd.DataFrame) -> pd.Series[bool]:
    names, tasks = medians["metric"].astype(str), medians["task"].astype(str)
    return names.isin(NAMES | UNCOMPARED) | tasks.str.startswith(PREFIX)
