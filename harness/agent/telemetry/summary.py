"""From what the sampler answers to what a result holds: columns over time and their summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

COUNTER = "_seconds"  # columns whose names end so count up

Column = Sequence["float | None"]


def recorded(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return `samples` of a result's telemetry. Raises LookupError or TypeError for an answer of another form.

    `times` and every list in `columns` are equally long; a value that was not to be had is null. `summary` gives
    minimum, median and maximum of a level (extremes over all samples, the median over those kept), and of a counter
    the total and the same of its rate per second.
    """
    times, columns = answer["times"], answer["columns"]
    return {
        "interval_seconds": answer["interval_seconds"],
        "times": times,
        "columns": columns,
        "missing": answer["missing"],
        "gpus": answer["gpus"],
        "summary": _summary(times, columns, answer["extremes"]),
        "clock_event_shares": answer["shares"],
        "sampler": {name: answer[name] for name in ("startup_cpu_seconds", "cpu_seconds", "cpu_share")},
    }


def _summary(times: Sequence[float], columns: Mapping[str, Column], extremes: Mapping[str, Any]) -> dict[str, Any]:
    summed: dict[str, Any] = {}
    for name, column in columns.items():
        if name.endswith(COUNTER):
            summed[name] = _counter(times, column)
        elif name in extremes:
            low, high = extremes[name]
            kept = [value for value in column if value is not None]
            summed[name] = {"min": low, "median": median(kept) if kept else None, "max": high}
    return {name: each for name, each in summed.items() if each}


def _counter(times: Sequence[float], column: Column) -> dict[str, float]:
    points = [(time, value) for time, value in zip(times, column, strict=True) if value is not None]
    rates = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in pairwise(points) if after > before]
    if not rates:
        return {}
    total = points[-1][1] - points[0][1]
    return {"total": total, "min": min(rates), "median": median(rates), "max": max(rates)}
