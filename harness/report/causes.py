"""Where a step's gap comes from: the attribution as causes on the first screen and as a waterfall."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from harness.analysis.document import Document
from harness.report.charts_bars import Bar, bars
from harness.report.format import Quantity, quantity
from harness.report.parts import Behind, Cause, Causes, Line, Panel, Picture
from harness.report.picture import MOST_LINES, MOST_PANELS, picture, records
from harness.report.svg import FIGURE
from harness.report.words import clean

MOST_CAUSES = 3
MOST_CHECKS = 8  # lines of launches over several workloads
COLUMNS = (
    "Workload", "Platform", "Cause", "Adds", "From", "To", "At least", "At most", "Times a step", "Dearer by", "Remark"
)  # fmt: skip
UNITS = ("s", "s", "s", "s", "s", "count", "s")  # of the numbers in between
AGREEMENT = {
    True: "agrees with the probe's difference, beside it",
    False: "does not agree with the probe's difference, beside it: hidden launches make it smaller",
}
UNEXPLAINED = "unexplained"
WORDS = {
    "launch": "kernel launches",
    "sync": "synchronizations",
    "copy_latency": "starting copies",
    "copy_bandwidth": "copies' bandwidth",
    "allocation": "allocations",
    "file": "opening files",
    "file_bandwidth": "reading files",
    "clock": "the clock",
    UNEXPLAINED: "unexplained",
}
_OTHERWISE = (
    "nox -s matrix -- --task 'counts.*' --task 'driver.*' --task 'copies.*' and the workload, on a machine with an "
    "NVIDIA GPU"
)

Record = dict[str, Any]


def causes(document: Document, platform: str, task: str, stack: str, device: str) -> Causes | None:
    """The largest causes of one workload's gap; None where it was not taken apart."""
    for record in records(document, "attribution"):
        if (record["platform"], record["task"], record["stack"], record["device"]) == (platform, task, stack, device):
            known = [each for each in record["causes"] if each["seconds"]]
            largest = sorted(known, key=lambda each: -abs(each["seconds"]))[:MOST_CAUSES]
            return Causes(
                gap=Quantity(record["gap_seconds"], "s"),
                comparable=record["comparable"],
                causes=tuple(map(_cause, largest)),
            )
    return None


def waterfall(document: Document) -> Picture:
    """Each workload's gap taken apart, one drawing a workload and platform; what is left unexplained is a bar too."""
    found = [record for record in records(document, "attribution") if record["causes"]]
    return picture(
        "waterfall",
        "Where the gap of a step comes from",
        "Each bar is what a mechanism adds to a step: how often the step uses it, times how much dearer one use is by "
        "its probe. They begin where the one before ended; what they leave of the whole gap is unexplained. Work of a "
        "GPU may hide launches: they are drawn as if none were, and the figures give both bounds, all and none.",
        otherwise=_OTHERWISE,
        panels=[_panel(number, record) for number, record in enumerate(found[:MOST_PANELS])],
        table=_behind(found, records(document, "dose_response")),
        left_out=max(len(found) - MOST_PANELS, 0),
    )


def _cause(record: Record) -> Cause:
    low, high = record["ci95"]
    return Cause(
        what=_words(record["cause"]),
        seconds=Quantity(record["seconds"], "s"),
        low=None if low is None else Quantity(low, "s"),
        high=None if high is None else Quantity(high, "s"),
        unexplained=record["cause"] == UNEXPLAINED,
    )


def _words(cause: str) -> str:
    return WORDS.get(cause) or clean(cause, 40).replace("_", " ")


def _panel(number: int, record: Record) -> Panel:
    platform, task = clean(record["platform"], 60), clean(record["task"], 80)
    where = " · ".join(clean(record[name], 40) for name in ("stack", "device"))
    title = f"{task}: {platform} against {clean(record['baseline'], 60)}"
    spoken = f"What adds to a step of {title}"
    return Panel(
        title=title,
        where=where if record["comparable"] else f"{where} · not comparable",
        drawing=bars(_bars(record), "s", name=f"waterfall-{number}", title=spoken),
    )


def _bars(record: Record) -> list[Bar]:
    """The causes one after the other, and the whole gap last."""
    rows, at = [], 0.0
    for each in record["causes"]:
        seconds = each["seconds"]
        if seconds is None:
            rows.append(Bar(label=_words(each["cause"]), numbers="not known", style="soft"))
            continue
        style = "incomparable" if each["cause"] == UNEXPLAINED else "slower" if seconds >= 0 else "faster"
        rows.append(_bar(_words(each["cause"]), seconds, each["ci95"], style, at))
        at += seconds
    return [*rows, _bar("the whole gap", record["gap_seconds"], record["gap_ci95"], "ink", 0.0)]


def _bar(label: str, seconds: float, interval: Sequence[float | None], style: str, start: float) -> Bar:
    low, high = interval
    return Bar(
        label=label,
        numbers=FIGURE.format(raw=seconds, text=quantity(seconds, "s")),
        style=style,
        start=start,
        end=start + seconds,
        low=None if low is None else start + low,
        high=None if high is None else start + high,
    )


def _behind(found: Sequence[Record], doses: Sequence[Record]) -> Behind:
    """Each part with its bounds, what is to be known of it, and the check of the launches over several tasks."""
    lines = [line for record in found for line in (*(_line(record, each) for each in record["causes"]), *_told(record))]
    checks = [_check(each) for each in doses[:MOST_CHECKS]]
    room = MOST_LINES - len(checks)
    return Behind(columns=COLUMNS, lines=(*lines[:room], *checks), left_out=max(len(lines) - room, 0))


def _line(record: Record, each: Record) -> Line:
    numbers = (each["seconds"], *each["ci95"], *(each.get("bounds") or (None, None)), each.get("count"))
    cells = _cells((*numbers, each.get("cost_seconds")))
    remark = clean(each["reason"] or each.get("probe", ""), 200) or "–"
    return Line(
        head=clean(record["task"], 80), cells=(clean(record["platform"], 60), _words(each["cause"]), *cells, remark)
    )


def _told(record: Record) -> Iterator[Line]:
    for remark in records(record, "remarks"):
        named = (clean(record["platform"], 60), "to be known")
        yield Line(head=clean(record["task"], 80), cells=(*named, *_cells((None,) * len(UNITS)), clean(remark, 300)))


def _check(dose: Record) -> Line:
    """What one launch more adds to the gap, by the tasks' gaps; beside it what the probe says."""
    where = " · ".join(clean(dose[name], 40) for name in ("stack", "device"))
    numbers = (dose["slope_seconds"], *dose["ci95"], None, None, None, dose["probe_seconds"])
    said = clean(dose["reason"], 200) or AGREEMENT.get(dose["agrees"], "whether it agrees with the probe is not known")
    what = f"one launch, by the gaps of {len(dose['points'])} workloads"
    return Line(head=where, cells=(clean(dose["platform"], 60), what, *_cells(numbers), said))


def _cells(numbers: Sequence[float | None]) -> tuple[Quantity | None, ...]:
    return tuple(None if value is None else Quantity(value, unit) for value, unit in zip(numbers, UNITS, strict=True))
