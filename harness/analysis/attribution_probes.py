"""Finds a probe's quantity on two platforms, and says what it costs on the one and how much more on the other."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.agent.fit import line
from harness.agent.messages import CellResult
from harness.analysis.attribution_sums import Stratum, Sum
from harness.analysis.frame import dims_of
from harness.analysis.pairing import Arms, Blocks, BootOf, Quantity

Dims = Mapping[str, Any]
Rank = Callable[[Dims], float]  # of dims that will do, the lowest is the best


class MissingError(Exception):
    """A cost that could not be had; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one of something costs: on the baseline, and how much more on the platform; in seconds."""

    baseline: float
    more: Sum
    probe: str  # task and metric

    def __add__(self, other: Cost) -> Cost:
        """Put two parts together that one probe measures."""
        return Cost(baseline=self.baseline + other.baseline, more=self.more + other.more, probe=self.probe)

    def __sub__(self, other: Cost) -> Cost:
        """Take a part out that a probe of its own measures."""
        return Cost(baseline=self.baseline - other.baseline, more=self.more - other.more, probe=self.probe)


def _any(dims: Dims) -> float:  # noqa: ARG001 - a Rank
    return 0.0


class Probes:
    """The probes of a pair of platforms. Whatever was not measured on both is a MissingError.

    Of several quantities, one that both platforms have is preferred, and one on the workload's own stack: most probes
    run on the stack `driver` alone.
    """

    def __init__(self, table: Arms, boot_of: BootOf, *, baseline: str, platform: str) -> None:
        """Arrange the baseline's quantities by task and metric."""
        self.baseline, self.platform = baseline, platform
        self._ours, self._theirs = table.get(baseline, {}), table.get(platform, {})
        self._boot_of = boot_of
        self._known: defaultdict[tuple[str, str, str], list[tuple[Quantity, Dims]]] = defaultdict(list)
        for quantity in sorted(self._ours):
            key = quantity.task.partition("[")[0], quantity.metric, quantity.device
            self._known[key].append((quantity, dims_of(quantity.dims)))

    def quantity(self, quantity: Quantity, probe: str = "") -> Cost:
        """Return the cost of one quantity that both platforms have."""
        return self._cost(quantity, self._ours.get(quantity, {}), self._theirs.get(quantity, {}), probe)

    def one(self, task: str, metric: str, stack: str, device: str, *, rank: Rank = _any, **dims: object) -> Cost:
        """Return the cost of the quantity with these dims, of several that of the best."""
        return self.quantity(self._best(task, metric, stack, device, rank, dims), f"{task} {metric}")

    def same_stack(self, task: str, metric: str, stack: str, device: str, **dims: object) -> Cost:
        """As `one`, of what costs something else on every stack."""
        found = self._best(task, metric, stack, device, _any, dims)
        if found.stack != stack:
            raise MissingError(f"{task} was not measured on the stack {stack}")
        return self.quantity(found, f"{task} {metric}")

    def located(self, task: str, metric: str, stack: str, places: tuple[str, str], **dims: object) -> Cost:
        """Return the cost of a quantity of storage on each side's own location; of a rate, that of one byte."""
        found = self._best(task, metric, stack, "cpu", _any, {**dims, "location": places[0]})
        wanted = dims_of(found.dims) | {"location": places[1]}
        same = (each for each in self._theirs if each._replace(dims="") == found._replace(dims=""))
        theirs = next((self._theirs[each] for each in same if dims_of(each.dims) == wanted), {})
        ours = self._ours[found]
        if found.better == "higher":
            ours, theirs = ({block: 1 / each for block, each in side.items()} for side in (ours, theirs))
        return self._cost(found, ours, theirs, f"{task} {metric}")

    def line(self, task: str, metric: str, stack: str, device: str, **dims: object) -> tuple[Cost, Cost]:
        """Return intercept and slope of the line over the bytes, through the sizes that both platforms have."""
        first = self._best(task, metric, stack, device, _any, dims)
        alike = self._known[task, metric, device]
        curve = [
            (quantity, float(own["bytes"]))
            for quantity, own in alike
            if quantity[:2] == first[:2]
            and quantity.stack == first.stack
            and dims.items() <= own.items()
            and own.get("loop") == dims_of(first.dims).get("loop")
            and quantity in self._theirs
        ]
        ours, theirs = (_fitted(curve, side) for side in (self._ours, self._theirs))
        intercept, slope = (
            self._cost(first, _part(ours, part), _part(theirs, part), f"{task} {metric}") for part in (0, 1)
        )
        return intercept, slope

    def _best(
        self, task: str, metric: str, stack: str, device: str, rank: Rank, dims: Mapping[str, object]
    ) -> Quantity:
        known = [pair for pair in self._known[task, metric, device] if dims.items() <= pair[1].items()]
        if not known:
            told = ", ".join(f"{name} {value}" for name, value in dims.items())
            raise MissingError(f"{task} was not measured on {self.baseline}{f' ({told})' if told else ''}")
        return min(known, key=lambda pair: (pair[0] not in self._theirs, pair[0].stack != stack, rank(pair[1])))[0]

    def _cost(self, quantity: Quantity, ours: Blocks, theirs: Blocks, probe: str) -> Cost:
        more = self._difference(quantity, ours, theirs)
        if more is None:
            raise MissingError(f"{quantity.task} was not measured alike on {self.baseline} and {self.platform}")
        return Cost(baseline=_mean(ours.values()), more=more, probe=probe)

    def _difference(self, quantity: Quantity, ours: Blocks, theirs: Blocks) -> Sum | None:
        """Return platform - baseline, over shared blocks or boots; or over the boots of each, which share none."""
        cell = quantity.task, quantity.stack, quantity.device
        common = sorted(ours.keys() & theirs.keys())
        if common:
            return Sum({Stratum(*cell): self._replicates({block: theirs[block] - ours[block] for block in common})})
        one, other = (self._by_boot(side) for side in (ours, theirs))
        if not one or not other or one.keys() & other.keys():
            return None
        return Sum(
            {Stratum(*cell, "baseline"): {key: -each for key, each in one.items()}, Stratum(*cell, "platform"): other}
        )

    def _replicates(self, differences: Blocks) -> dict[Hashable, float]:
        by_boot = self._by_boot(differences)
        return by_boot if len(by_boot) > 1 else dict(differences.items())

    def _by_boot(self, values: Blocks) -> dict[Hashable, float]:
        """Return boot → mean over its blocks."""
        groups: defaultdict[Hashable, list[float]] = defaultdict(list)
        for block in sorted(values):
            groups[self._boot_of.get(block, "")].append(values[block])
        return {boot: _mean(group) for boot, group in groups.items()}


def first_location(invocations: Iterable[CellResult], platform: str) -> str:
    """Return the platform's first location, which probes measure first; "" where none was measured."""
    for result in invocations:
        if result.platform == platform and result.task.startswith("storage."):
            for metric in result.metrics:
                if "location" in metric.dims:
                    return str(metric.dims["location"])
    return ""


def _fitted(curve: Iterable[tuple[Quantity, float]], side: Mapping[Quantity, Blocks]) -> dict[int, tuple[float, float]]:
    """Return block → intercept and slope of the line through that invocation's points."""
    points: defaultdict[int, dict[float, float]] = defaultdict(dict)
    for quantity, size in curve:
        for block, seconds in side.get(quantity, {}).items():
            points[block][size] = seconds
    lines = {block: line(each) for block, each in points.items() if len(each) > 1}
    return {block: (each.intercept, each.slope) for block, each in lines.items()}


def _part(lines: Mapping[int, tuple[float, float]], part: int) -> Blocks:
    return {block: each[part] for block, each in lines.items()}


def _mean(values: Iterable[float]) -> float:
    several = list(values)
    return math.fsum(several) / len(several)
