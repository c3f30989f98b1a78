"""What every picture is put together from: a document's distributions, their legend and the table behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median_low
from typing import Any

from harness.analysis.document import DistributionRecord, Document
from harness.matrix.cells import SECOND_ARM
from harness.report.format import Quantity
from harness.report.palette import hue
from harness.report.parts import Behind, Key, Line, Panel, Picture
from harness.report.words import clean

MOST_PANELS = 6
MOST_LINES = 40  # of a table behind a picture

Chosen = Sequence[DistributionRecord]


def records(holder: Mapping[str, Any], name: str) -> list[Any]:
    """A list of a document, or of a record in it, that older ones do not have."""
    found = holder.get(name)
    return found if isinstance(found, list) else []


def of_task(document: Document, task: str, metric: str) -> list[DistributionRecord]:
    """The distributions of one metric of a task, whatever its parameters, that have a value."""
    return [
        record
        for record in document["distributions"]
        if record["medians"] and record["metric"] == metric and record["task"].partition("[")[0] == task
    ]


def ordered(chosen: Iterable[DistributionRecord], platforms: Sequence[str]) -> list[DistributionRecord]:
    """In the order of the platforms, the baseline first, a second arm after its first."""
    places = {name: place for place, name in enumerate(platforms)}
    return sorted(chosen, key=lambda record: (places.get(_platform(record), len(places)), record["platform"]))


def first_arms(chosen: Iterable[DistributionRecord]) -> list[DistributionRecord]:
    """Without the baseline's second arm."""
    return [record for record in chosen if not record["platform"].endswith(SECOND_ARM)]


def by_panel(chosen: Chosen, title: Callable[[DistributionRecord], str | None]) -> dict[str, list[DistributionRecord]]:
    """The records by the title of the panel that shows them; those without a title are left out."""
    panels: dict[str, list[DistributionRecord]] = {}
    for record in chosen:
        if (named := title(record)) is not None:
            panels.setdefault(named, []).append(record)
    return panels


def keys(names: Iterable[str], platforms: Sequence[str]) -> tuple[Key, ...]:
    """The legend of these platforms, in their order on the page."""
    shown = {name.removesuffix(SECOND_ARM) for name in names}
    found = [(clean(name, 60), hue(name, platforms)) for name in platforms if name in shown]
    return tuple(Key(name=name, glyph=each.glyph, style=each.style) for name, each in found)


def behind(chosen: Chosen, describe: Callable[[DistributionRecord], str], most: int = MOST_LINES) -> Behind:
    """The middle, the lowest and the highest median of each distribution, and of how many samples."""
    lines = tuple(
        Line(head=clean(describe(record), 160), cells=(clean(record["platform"], 60), *_spread(record)))
        for record in chosen[:most]
    )
    columns = ("What", "Platform", "Middle of the processes", "Lowest", "Highest", "Warm-up left out", "Not steady")
    return Behind(columns=columns, lines=lines, left_out=max(len(chosen) - most, 0))


def _spread(record: DistributionRecord) -> tuple[Quantity | str, ...]:
    unit = clean(record["unit"], 20)
    medians = record["medians"]
    values = (Quantity(value, unit) for value in (median_low(medians), min(medians), max(medians)))
    return (*values, _range(record["warmup"]), _steadiness(record))


def _steadiness(record: DistributionRecord) -> str:
    """`block 3, block 5`, the blocks that reached no steady state, or that there were too few steps to tell."""
    blocks = ", ".join(f"block {number}" for number in record["unsteady"][:6])
    if len(record.get("unchecked", ())) == len(record["blocks"]):
        return "not checked: too few steps"
    return blocks or "–"


def _range(warmup: Sequence[int]) -> str:
    """`5 samples`, `5 to 12 samples`."""
    if not warmup or not max(warmup):
        return "–"
    low, high = min(warmup), max(warmup)
    return f"{low} to {high} samples" if low < high else f"{high} {'sample' if high == 1 else 'samples'}"


def picture(
    name: str,
    title: str,
    text: str,
    *,
    otherwise: str,
    panels: Sequence[Panel] = (),
    legend: tuple[Key, ...] = (),
    table: Behind | None = None,
    left_out: int = 0,
) -> Picture:
    """A picture with data, or without any and then with what to run."""
    return Picture(
        name=name,
        title=title,
        text=text,
        keys=legend,
        panels=tuple(panels[:MOST_PANELS]),
        behind=table if panels else None,
        otherwise="" if panels else otherwise,
        left_out=left_out,
    )


def run_task(glob: str, *, gpu: bool = False) -> str:
    """The command that measures a task."""
    where = " on a machine with an NVIDIA GPU" if gpu else ""
    return f"nox -s matrix -- --task '{glob}'{where}"


def _platform(record: DistributionRecord) -> str:
    return record["platform"].removesuffix(SECOND_ARM)
