"""The pictures of how a GPU is kept busy: stall shares, utilization, and telemetry over time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median_low
from typing import Any

from harness.analysis.document import Document
from harness.report.charts_bars import Bar, bars
from harness.report.charts_curves import Curve, Measure, Point, curves
from harness.report.charts_strip import Arm, strip
from harness.report.format import Quantity, Share, share
from harness.report.palette import hue
from harness.report.parts import Behind, Line, Panel, Picture
from harness.report.picture import MOST_LINES, MOST_PANELS, keys, picture, records, run_task
from harness.report.svg import FIGURE
from harness.report.words import clean

MOST_ROWS = 10  # of a panel
_PERCENT = "format(datum.value, '.0%')"
_COLUMNS = {
    "gpu.utilization_percent": ("GPU busy", "%"),
    "gpu.sm_clock_hz": ("GPU clock", "Hz"),
    "gpu.power_watts": ("GPU power", "W"),
    "gpu.temperature_celsius": ("GPU temperature", "°C"),
    "cpu_busy": ("processors busy", "count"),
    "cpu_frequency_hz": ("CPU clock", "Hz"),
    "io_pressure": ("waiting for I/O", "count"),
}
_FROM_ZERO = ("gpu.utilization_percent", "cpu_busy", "io_pressure")
_BUSY = ("gpu.utilization_percent", "cpu_busy")

Record = Mapping[str, Any]


def stalls(document: Document) -> Picture:
    """The share of a step that waits for data, by platform."""
    found = records(document, "stalls")
    groups = _by_workload(found)
    return picture(
        "stalls",
        "Waiting for data: the share of a step",
        "What training with real data takes longer than with synthetic data, as a share of its step.",
        otherwise="nox -s matrix -- with a workload on real data (`data_dir`) beside the same on synthetic data",
        panels=[_stall_panel(number, task, group) for number, (task, group) in enumerate(groups.items())],
        table=_stalls_behind(found),
        left_out=_left_out(groups, MOST_ROWS),
    )


def utilization(document: Document) -> Picture:
    """How busy the GPU was kept, or without one the processors: every invocation's median."""
    platforms = document["platforms"]
    found = [record for record in records(document, "telemetry") if any(record["medians"].get(n) for n in _BUSY)]
    groups = _by_workload(found)
    return picture(
        "utilization",
        "Utilization: how busy the hardware was kept",
        "Each dot is the median over the timed steps of one process, of the GPU's own counter (share of the time in "
        "which a kernel ran) or, without a GPU, of how many processors were busy.",
        otherwise=f"{run_task('*cnn*')}: telemetry is recorded with every workload that lasts",
        panels=[_busy_panel(n, task, group, platforms) for n, (task, group) in enumerate(groups.items())],
        legend=keys((record["platform"] for record in found), platforms),
        table=_medians_behind(found),
        left_out=_left_out(groups, MOST_ROWS),
    )


def over_time(document: Document) -> Picture:
    """The telemetry of one invocation a platform, of the first workload that has any."""
    platforms = document["platforms"]
    groups = _by_workload(records(document, "telemetry"))
    group = next(iter(groups.values()), [])
    columns = [name for name in _COLUMNS if any(name in record["columns"] for record in group)]
    drawn = [(name, _lines(name, group, platforms)) for name in columns]
    task = clean(group[0]["task"], 80) if group else ""
    return picture(
        "telemetry",
        f"One process over time: {task}" if task else "One process over time",
        "The last process of each platform, start and warm-up included.",
        otherwise=f"{run_task('*cnn*')}: telemetry is recorded with every workload that lasts",
        panels=[_time_panel(number, name, lines) for number, (name, lines) in enumerate(drawn) if lines],
        legend=keys((record["platform"] for record in group), platforms),
        table=_series_behind(group),
        left_out=sum(map(len, groups.values())) - len(group[:MOST_ROWS]),
    )


def _by_workload(found: Sequence[Record]) -> dict[str, list[Record]]:
    groups: dict[str, list[Record]] = {}
    for record in found:
        title = " · ".join(clean(record[name], 80) for name in ("task", "stack", "device"))
        groups.setdefault(title, []).append(record)
    return groups


def _left_out(groups: Mapping[str, Sequence[Record]], most: int) -> int:
    """How many records no panel shows, where each shows so many at most."""
    drawn = sum(len(group[:most]) for group in list(groups.values())[:MOST_PANELS])
    return sum(map(len, groups.values())) - drawn


def _stall_panel(number: int, title: str, group: Sequence[Record]) -> Panel:
    rows = [
        Bar(
            label=clean(record["platform"], 60),
            numbers=FIGURE.format(raw=record["share"], text=share(record["share"])),
            style="accent",
            start=0.0,
            end=record["share"],
            low=record["ci95"][0],
            high=record["ci95"][1],
        )
        for record in group[:MOST_ROWS]
    ]
    task, _, where = title.partition(" · ")
    spoken = f"Share of a step of {task} that waits for data"
    return Panel(
        title=task, where=where, drawing=bars(rows, "", name=f"stalls-{number}", title=spoken, expression=_PERCENT)
    )


def _stalls_behind(found: Sequence[Record]) -> Behind:
    lines = [
        Line(
            head=clean(record["task"], 80),
            cells=(
                clean(record["platform"], 60),
                Share(record["share"]),
                *(None if end is None else Share(end) for end in record["ci95"]),
                Quantity(record["synthetic_seconds"], "s"),
                Quantity(record["real_seconds"], "s"),
            ),
        )
        for record in found[:MOST_LINES]
    ]
    columns = ("Workload", "Platform", "Waits for data", "From", "To", "Step, synthetic data", "Step, real data")
    return Behind(columns=columns, lines=tuple(lines), left_out=max(len(found) - MOST_LINES, 0))


def _busy_panel(number: int, title: str, group: Sequence[Record], platforms: list[str]) -> Panel:
    column = next(name for name in _BUSY if any(record["medians"].get(name) for record in group))
    words, unit = _COLUMNS[column]
    arms = [
        Arm(name=clean(r["platform"], 60), hue=hue(r["platform"], platforms), medians=tuple(r["medians"][column]))
        for r in group
        if r["medians"].get(column)
    ][:MOST_ROWS]
    task, _, where = title.partition(" · ")
    description = f"One row for each of {', '.join(arm.name for arm in arms)}."
    drawing = strip(arms, unit, f"utilization-{number}", f"{words} in {task}, one dot a process", description)
    return Panel(title=f"{task}: {words}", where=where, drawing=drawing)


def _medians_behind(found: Sequence[Record]) -> Behind:
    lines = [
        Line(
            head=clean(record["task"], 80),
            cells=(
                clean(record["platform"], 60),
                words,
                *(Quantity(pick(medians), unit) for pick in (median_low, min, max)),
            ),
        )
        for record in found
        for name, (words, unit) in _COLUMNS.items()
        if (medians := record["medians"].get(name))
    ]
    columns = ("Workload", "Platform", "What", "Middle of the processes", "Lowest", "Highest")
    return Behind(columns=columns, lines=tuple(lines[:MOST_LINES]), left_out=max(len(lines) - MOST_LINES, 0))


def _series_behind(group: Sequence[Record]) -> Behind:
    """What the drawn processes went through, from the first to the last value."""
    lines = [
        Line(
            head=words,
            cells=(
                clean(record["platform"], 60),
                *(Quantity(value, unit) for value in (seen[0], median_low(seen), min(seen), max(seen), seen[-1])),
            ),
        )
        for name, (words, unit) in _COLUMNS.items()
        for record in group[:MOST_ROWS]
        if len(seen := [value for value in record["columns"].get(name, ()) if value is not None]) > 1
    ]
    columns = ("What", "Platform", "First", "Middle", "Lowest", "Highest", "Last")
    return Behind(columns=columns, lines=tuple(lines[:MOST_LINES]), left_out=max(len(lines) - MOST_LINES, 0))


def _lines(name: str, group: Sequence[Record], platforms: list[str]) -> list[Curve]:
    found = []
    for record in group[:MOST_ROWS]:
        pairs = zip(record["times"], record["columns"].get(name, ()), strict=False)
        points = tuple(Point(x=time, low=v, value=v, high=v) for time, v in pairs if v is not None)
        if len(points) > 1:
            platform = record["platform"]
            found.append(Curve(name=clean(platform, 60), hue=hue(platform, platforms), points=points))
    return found


def _time_panel(number: int, name: str, lines: Sequence[Curve]) -> Panel:
    words, unit = _COLUMNS[name]
    x, y = (
        Measure(unit="s", log=False, title="since the task began"),
        Measure(unit=unit, log=False, zero=name in _FROM_ZERO),
    )
    drawing = curves(lines, x, y, name=f"telemetry-{number}", title=f"{words} over time", dots=False)
    return Panel(title=words, where="", drawing=drawing)
