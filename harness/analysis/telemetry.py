"""What went on while workloads ran: a few columns of the telemetry over time, of one invocation a platform.

Bounded whatever the bundle holds: so many workloads, columns and points; extremes of a column over time are not kept.
Counters that count up (`…_seconds`) become shares: processors kept busy on average between two points.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any, TypeGuard

from typing_extensions import TypedDict

from harness.agent.messages import CellResult
from harness.analysis.exclusions import counts
from harness.analysis.primary import STEP
from harness.matrix.cells import SECOND_ARM

MOST_WORKLOADS = 6
MOST_PLATFORMS = 12
MOST_POINTS = 120  # of a column
MOST_MEDIANS = 100  # invocations
LEVELS = (
    "gpu.utilization_percent",
    "gpu.sm_clock_hz",
    "gpu.power_watts",
    "gpu.temperature_celsius",
    "cpu_frequency_hz",
)
COUNTERS = {"cpu_busy_seconds": "cpu_busy", "pressure_io_some_seconds": "io_pressure"}

Column = Sequence["float | None"]
Key = tuple[str, str, str, str]  # task, stack, device, platform


class TelemetryRecord(TypedDict):
    """One invocation of a workload over time, and the typical values of all of them.

    `columns` has one value a time, null where there was none: `gpu.utilization_percent`, `gpu.sm_clock_hz`,
    `gpu.power_watts`, `gpu.temperature_celsius`, `cpu_frequency_hz`, and as processors kept busy or waiting (1 = one of
    them all the time) `cpu_busy` and `io_pressure`. `medians` are those of each invocation's timed steps, in block
    order.
    """

    task: str
    stack: str
    device: str
    platform: str
    block: int  # of the invocation that is shown
    times: list[float]  # seconds from the task's begin
    columns: dict[str, list[float | None]]
    medians: dict[str, list[float]]


def telemetry(invocations: Iterable[CellResult]) -> list[TelemetryRecord]:
    """Return the records of the workloads that were sampled, in the order of their names."""
    groups: defaultdict[Key, list[CellResult]] = defaultdict(list)
    for result in invocations:
        if counts(result) and _is_sampled(result) and not result.platform.endswith(SECOND_ARM):
            groups[result.task, result.stack, result.device, result.platform].append(result)
    workloads = sorted({key[:3] for key in groups})[:MOST_WORKLOADS]
    kept = [key for key in sorted(groups) if key[:3] in workloads][: MOST_WORKLOADS * MOST_PLATFORMS]
    return [_record(key, sorted(groups[key], key=lambda result: result.block)) for key in kept]


def _is_sampled(result: CellResult) -> bool:
    """Whether a workload has samples; those of another form than the agent writes are none."""
    samples = result.telemetry.get("samples")
    if not isinstance(samples, Mapping) or all(metric.name != STEP for metric in result.metrics):
        return False
    times, columns = samples.get("times"), samples.get("columns")
    return _is_column(times) and len(times) > 1 and None not in times and isinstance(columns, Mapping)


def _is_column(column: object) -> TypeGuard[list[float | None]]:
    return isinstance(column, list) and all(value is None or isinstance(value, int | float) for value in column)


def _record(key: Key, results: Sequence[CellResult]) -> TelemetryRecord:
    """The last invocation is shown: caches are as warm on every platform as they get."""
    task, stack, device, platform = key
    columns: defaultdict[str, list[float]] = defaultdict(list)
    for result in results[:MOST_MEDIANS]:
        timed = _timed(result.telemetry)
        for name, column in _columns(result.telemetry["samples"]).items():
            if known := [value for value, inside in zip(column, timed, strict=True) if inside and value is not None]:
                columns[name].append(float(median(known)))
    shown = results[-1].telemetry["samples"]
    chosen = _spaced(len(shown["times"]))
    return {
        "task": task,
        "stack": stack,
        "device": device,
        "platform": platform,
        "block": results[-1].block,
        "times": [float(shown["times"][index]) for index in chosen],
        "columns": {name: [column[index] for index in chosen] for name, column in _columns(shown).items()},
        "medians": dict(columns),
    }


def _timed(record: Mapping[str, Any]) -> list[bool]:
    """Which samples lie within the timed steps; all of them where a bundle doesn't tell, or where none do."""
    times = record["samples"]["times"]
    span = record.get("timed")
    bounds = [bound for bound in span if bound is not None] if _is_column(span) else []
    inside = [min(bounds) <= time <= max(bounds) for time in times] if bounds else []
    return inside if any(inside) else [True] * len(times)


def _columns(samples: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """The columns that are shown, by the name they have here; a GPU's number says nothing across platforms."""
    times = samples["times"]
    right = {name: column for name, column in samples["columns"].items() if _is_column(column)}
    named = {_plain(name): column for name, column in right.items() if len(column) == len(times)}
    found = {name: list(named[name]) for name in LEVELS if name in named}
    found |= {shown: _rates(times, named[name]) for name, shown in COUNTERS.items() if name in named}
    return {name: column for name, column in found.items() if any(value is not None for value in column)}


def _plain(name: str) -> str:
    head, dot, rest = name.partition(".")
    return f"gpu.{rest}" if dot and head.startswith("gpu") else name


def _rates(times: Sequence[float], column: Column) -> list[float | None]:
    """What a counter gained a second between each point and the one before; the first has none."""
    steps = pairwise(zip(times, column, strict=True))
    return [
        None,
        *(
            (after - before) / (end - start) if before is not None and after is not None and end > start else None
            for (start, before), (end, after) in steps
        ),
    ]


def _spaced(number: int) -> list[int]:
    """Evenly spaced indices, first and last among them."""
    if number <= MOST_POINTS:
        return list(range(number))
    return [round(index * (number - 1) / (MOST_POINTS - 1)) for index in range(MOST_POINTS)]
