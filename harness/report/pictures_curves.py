"""The pictures of what is measured by size: launches by their number, copies by bytes, loads by working set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any

from harness.analysis.document import DistributionRecord, Document
from harness.report.charts_curves import Curve, Measure, Point, curves
from harness.report.format import binary
from harness.report.palette import hue
from harness.report.parts import Panel, Picture
from harness.report.picture import MOST_PANELS, behind, by_panel, first_arms, keys, of_task, ordered, picture, run_task
from harness.report.words import clean, dims_words

Dims = Mapping[str, Any]
MOST_CURVES = 8  # of a panel
MOST_POINTS = 40  # of a curve
MOST_LINES = 80  # of the table: a line a point


@dataclass(frozen=True, kw_only=True)
class _ByPlace:
    """A picture of a metric over one of its dims. `drawn` is what is drawn of a median and its place."""

    name: str
    title: str
    text: str
    drawn_words: str
    task: str
    metric: str
    place: str
    x: Measure
    y: Measure
    drawn: Callable[[float, float], float]
    panel: Callable[[Dims], str | None]
    gpu: bool


_LAUNCHES = _ByPlace(
    name="launch-curve",
    title="Kernel launches, by how many are in flight",
    text="Host time per launch of an empty kernel, until all of a batch are done: the fewer, the more the wait at the "
    "end weighs; steps are launches that the driver hands over in batches.",
    drawn_words="time per launch",
    task="driver.launch",
    metric="complete_seconds",
    place="launches",
    x=Measure(unit="count", title="launches"),
    y=Measure(unit="s"),
    drawn=lambda seconds, launches: seconds / launches,
    panel=lambda dims: "handed over one by one" if dims.get("flush") else "as the driver likes",
    gpu=True,
)
_COPIES = _ByPlace(
    name="copy-bandwidth",
    title="Copies between host and GPU, by size",
    text="Bytes over the time of one copy, from the call until the host knows that it is done: small copies show the "
    "latency, large ones the link.",
    drawn_words="bytes a second",
    task="copies.bandwidth",
    metric="copy_seconds",
    place="bytes",
    x=Measure(unit="B", sizes=True, title="size of the copy"),
    y=Measure(unit="B/s"),
    drawn=lambda seconds, size: size / seconds,
    panel=lambda dims: f"{clean(dims.get('direction', ''), 20)}, {clean(dims.get('memory', ''), 20)}",
    gpu=True,
)
_LOADS = _ByPlace(
    name="memory-latency",
    title="One load, by the memory that is walked through",
    text="Time of a load whose address the load before it gave, in random order: the steps are the caches, then the "
    "memory, and with small pages the walk through the page tables.",
    drawn_words="time of a load",
    task="memory.latency",
    metric="load_seconds",
    place="working_set",
    x=Measure(unit="B", sizes=True, title="working set"),
    y=Measure(unit="s"),
    drawn=lambda seconds, _: seconds,
    panel=lambda dims: None if "cpu_node" in dims else _pages(dims.get("page_bytes")),
    gpu=False,
)


def launch_curve(document: Document) -> Picture:
    """Time per launch, by the number of launches."""
    return _drawn(document, _LAUNCHES)


def copy_bandwidth(document: Document) -> Picture:
    """Bandwidth of copies, by bytes."""
    return _drawn(document, _COPIES)


def memory_latency(document: Document) -> Picture:
    """Time of a load, by working set."""
    return _drawn(document, _LOADS)


def _pages(size: object) -> str:
    return f"pages of {binary(size)}" if isinstance(size, int) else "pages of any size"


def _drawn(document: Document, what: _ByPlace) -> Picture:
    platforms = document["platforms"]
    found = first_arms(of_task(document, what.task, what.metric))
    chosen = [record for record in ordered(found, platforms) if _is_place(record["dims"].get(what.place), record)]
    panels = by_panel(chosen, lambda record: what.panel(record["dims"]))
    shown = dict(list(panels.items())[:MOST_PANELS])
    lines = [len({record["platform"] for record in group}) for group in panels.values()]
    return picture(
        what.name,
        what.title,
        what.text,
        otherwise=run_task(what.task, gpu=what.gpu),
        panels=[_panel(n, title, group, platforms, what) for n, (title, group) in enumerate(shown.items())],
        legend=keys((record["platform"] for record in chosen), platforms),
        table=behind(chosen, lambda record: dims_words(record["dims"]), MOST_LINES),
        left_out=sum(lines) - sum(min(each, MOST_CURVES) for each in lines[:MOST_PANELS]),
    )


def _is_place(place: object, record: DistributionRecord) -> bool:
    """Whether it can be drawn on logarithmic axes."""
    return isinstance(place, int | float) and place > 0 and min(record["medians"]) > 0


def _panel(number: int, title: str, group: Sequence[DistributionRecord], platforms: list[str], what: _ByPlace) -> Panel:
    lines: dict[str, list[Point]] = {}
    for record in group:
        lines.setdefault(record["platform"], []).append(_point(record, what))
    drawn = [
        Curve(
            name=clean(name, 60),
            hue=hue(name, platforms),
            points=tuple(sorted(points, key=lambda point: point.x)[:MOST_POINTS]),
        )
        for name, points in list(lines.items())[:MOST_CURVES]
    ]
    spoken = f"{what.title}: {title}"
    return Panel(
        title=title,
        where=what.drawn_words,
        drawing=curves(drawn, what.x, what.y, name=f"{what.name}-{number}", title=spoken),
    )


def _point(record: DistributionRecord, what: _ByPlace) -> Point:
    place = float(record["dims"][what.place])
    values = [what.drawn(median, place) for median in record["medians"]]
    middle = what.drawn(median_low(record["medians"]), place)
    return Point(x=place, low=min(values), value=middle, high=max(values))
