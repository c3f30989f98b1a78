"""What one step of a workload consists of, as a trace or the workload itself has counted it on the baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import pandas as pd

from harness.agent.step_counts import DIRECTIONS, NAMES, PREFIX
from harness.analysis.frame import dims_of

Cell = tuple[str, str, str]  # task, stack, device
DEFAULT_MEMORY = {"h2d": "pageable", "d2h": "pageable", "d2d": "device"}  # what a framework copies unless it is told to


@dataclass(frozen=True, kw_only=True)
class Count:
    """So many a step of what the dims say."""

    value: float
    dims: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The counts of one workload's step, by name; a name that is not there was not counted."""

    named: Mapping[str, tuple[Count, ...]]

    def of(self, name: str) -> tuple[Count, ...]:
        """Return every count of that name."""
        return self.named.get(name, ())

    def total(self, name: str) -> float | None:
        """Return the sum over all dims; None where it was not counted."""
        found = self.of(name)
        return sum(each.value for each in found) if found else None

    def by_path(self, name: str) -> Mapping[tuple[str, str], float]:
        """Return (direction, memory) → count of copies, or of their bytes."""
        found: defaultdict[tuple[str, str], float] = defaultdict(float)
        for each in self.of(name):
            direction = str(each.dims.get("direction", DIRECTIONS[0]))
            found[direction, str(each.dims.get("memory", DEFAULT_MEMORY.get(direction, "pageable")))] += each.value
        return found

    def assumes_memory(self, name: str) -> bool:
        """Whether copies with the host do not tell its kind of memory."""
        return any(
            each.value and "memory" not in each.dims and each.dims.get("direction") != "d2d" for each in self.of(name)
        )


def counts(medians: pd.DataFrame, arm: str) -> dict[Cell, Counts]:
    """Return task, stack and device → what was counted there on one arm: by its own task, else by `counts.<task>`.

    `medians` are those of `harness.analysis.frame`; unlike in a ratio, 0 is a count.
    """
    chosen = medians[(medians["platform"].astype(str) == arm) & medians["metric"].isin(NAMES)]
    values: defaultdict[tuple[Cell, str, str], list[float]] = defaultdict(list)
    columns = (chosen[name].astype(str) for name in ("task", "stack", "device", "metric", "dims"))
    for task, stack, device, metric, dims, value in zip(*columns, chosen["median"], strict=True):
        values[(task, stack, device), metric, dims].append(float(value))
    found: defaultdict[Cell, defaultdict[str, list[Count]]] = defaultdict(lambda: defaultdict(list))
    for (cell, metric, dims), several in sorted(values.items()):
        found[cell][metric].append(Count(value=median(several), dims=dims_of(dims)))
    own = {cell: Counts(named={name: tuple(each) for name, each in named.items()}) for cell, named in found.items()}
    traced = {
        (task.removeprefix(PREFIX), *rest): each for (task, *rest), each in own.items() if task.startswith(PREFIX)
    }
    return {**traced, **{cell: each for cell, each in own.items() if not cell[0].startswith(PREFIX)}}  # type: ignore[dict-item]  # a cell again
