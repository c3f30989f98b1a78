"""Comparisons as the page shows them: findings for the first screen, forest rows, the table and its notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from harness.analysis.document import ComparisonRecord
from harness.analysis.estimate import margin
from harness.report.charts import ForestRow
from harness.report.context import Finding, Row, Table
from harness.report.format import Estimate, Quantity
from harness.report.words import LEGEND, NOT_COMPARABLE, clean, dims_words, finding_words, mark, metric_words

MOST_ROWS = 600
MOST_NOTES = 60
MOST_FORESTS = 6
MOST_FOREST_ROWS = 20  # of one platform
PRIMARY = {  # where it is not the first metric that a task reports, in the order of their names
    "copies.bandwidth": "copy_bandwidth",
    "driver.launch": "launch_slope_seconds",
    "driver.graph": "graph_slope_seconds",
    "storage.prefetch": "read_bandwidth",
    "storage.random": "read_iops",
    "storage.sequential": "read_bandwidth",
    "storage.small_files": "open_read_seconds",
}
STEP = "step_seconds"

Telling = Mapping[tuple[str, str], set[str]]  # (task, metric) → names of dims


def estimate(record: ComparisonRecord) -> Estimate:
    """The slowdown with its interval."""
    low, high = record["ci95"]
    return Estimate(record["slowdown"], low, high)


def entry(record: ComparisonRecord) -> str:
    """`storage.small_files` of `storage.small_files[files=2000]`."""
    return record["task"].partition("[")[0]


def primary(records: Iterable[ComparisonRecord]) -> list[ComparisonRecord]:
    """One metric a task: `step_seconds` of workloads, PRIMARY or the first of probes. Workloads first, control last."""
    chosen: dict[tuple[str, str, str], str] = {}
    listed = list(records)
    for record in listed:
        key = (record["platform"], record["stack"], record["task"])
        chosen.setdefault(key, record["metric"])
        if record["metric"] in (STEP, PRIMARY.get(entry(record))):
            chosen[key] = record["metric"]
    kept = [r for r in listed if chosen[r["platform"], r["stack"], r["task"]] == r["metric"]]
    return sorted(kept, key=_importance)


def _importance(record: ComparisonRecord) -> int:
    if record["metric"] == STEP:
        return 0
    return {"storage": 1, "control": 3}.get(record["task"].partition(".")[0], 2)


def finding(record: ComparisonRecord, telling: Telling) -> Finding:
    """A comparison as a sentence of the first screen."""
    place = [clean(record["task"], 80), clean(record["stack"], 40), clean(record["device"], 20)]
    dims = short_dims(record, telling)
    return Finding(
        what=finding_words(record["task"], record["metric"]),
        where=" · ".join([*place, dims] if dims else place),
        detail=", ".join(part for part in (place[0] if record["metric"] == STEP else "", dims) if part),
        estimate=estimate(record),
        mark=mark(record["verdict"]),
        comparable=record["comparable"],
        mde=record["mde"] if record["verdict"] == "inconclusive" else None,
        blocks=record["blocks"],
    )


def telling_dims(records: Iterable[ComparisonRecord]) -> Telling:
    """For each task and metric the dims that tell its comparisons apart: not those of one value in all."""
    seen: dict[tuple[str, str], dict[str, set[str]]] = {}
    for record in records:
        dims = seen.setdefault((record["task"], record["metric"]), {})
        for name, value in record["dims"].items():
            dims.setdefault(name, set()).add(str(value))
    return {key: {name for name, values in dims.items() if len(values) > 1} for key, dims in seen.items()}


def short_dims(record: ComparisonRecord, telling: Telling) -> str:
    """The dims that tell this comparison from its like, and where it was measured."""
    wanted = telling[record["task"], record["metric"]]
    return dims_words({n: v for n, v in record["dims"].items() if n in wanted or n.endswith("location")})


def lead(records: Iterable[ComparisonRecord]) -> list[ComparisonRecord]:
    """What the first screen has room for: no control, and of cold and warm caches the warm, free of the disk."""
    shown = [record for record in primary(records) if not record["task"].startswith("control.")]
    return [record for record in shown if record["dims"].get("cache", "warm") == "warm"]


def fair(records: Sequence[ComparisonRecord], most: int) -> list[ComparisonRecord]:
    """So many of the records in their order: a task's first before any task's second."""
    seen: Counter[tuple[str, str, str]] = Counter()
    ranks = []
    for record in records:
        key = (record["platform"], record["stack"], record["task"])
        ranks.append(seen[key])
        seen[key] += 1
    chosen = sorted(range(len(records)), key=ranks.__getitem__)[:most]
    return [records[index] for index in sorted(chosen)]


def forest_rows(records: Sequence[ComparisonRecord], platforms: Sequence[str]) -> dict[str, list[ForestRow]]:
    """The primary metrics by platform: of many, the first platforms and each one's most important rows."""
    shown, telling = primary(records), telling_dims(records)
    groups = {name: [record for record in shown if record["platform"] == name] for name in platforms}
    drawn = [(name, group) for name, group in groups.items() if group][:MOST_FORESTS]
    return {
        clean(name, 60): [_forest_row(each, telling) for each in fair(group, MOST_FOREST_ROWS)] for name, group in drawn
    }


def _forest_row(record: ComparisonRecord, telling: Telling) -> ForestRow:
    dims = short_dims(record, telling)
    return ForestRow(
        label=clean(record["task"], 60) + (f" · {dims}" if dims else ""),
        estimate=estimate(record),
        mark=mark(record["verdict"]) if record["comparable"] else NOT_COMPARABLE,
        margin=margin(record["noise_floor"]),
    )


def _boots(record: ComparisonRecord) -> tuple[int, int]:
    ours, theirs = record["boots"]
    return ours, theirs


def table(records: Sequence[ComparisonRecord], platforms: Sequence[str]) -> Table:
    """Every comparison, primary ones first, and the confounders as numbered notes."""
    first = primary(records)
    known = {id(record) for record in first}
    ordered = [*first, *(record for record in records if id(record) not in known)]
    ordered.sort(key=lambda record: platforms.index(record["platform"]))
    shown = ordered[:MOST_ROWS]
    notes = list(dict.fromkeys(note for record in shown for note in record["confounders"]))[:MOST_NOTES]
    rows = tuple(_row(record, notes) for record in shown)
    return Table(
        rows=rows,
        left_out=len(records) - len(shown),
        notes=tuple(clean(note) for note in notes),
        platforms=tuple(dict.fromkeys(row.platform for row in rows)),
        marks=tuple(each for each in LEGEND if any(each in (row.mark, row.comparability) for row in rows)),
    )


def _row(record: ComparisonRecord, notes: Sequence[str]) -> Row:
    low, high = record["noise_ci95"]
    return Row(
        task=clean(record["task"], 120),
        metric=metric_words(record["metric"]),
        dims=dims_words(record["dims"]),
        stack=clean(record["stack"], 60),
        device=clean(record["device"], 30),
        platform=clean(record["platform"], 60),
        baseline=clean(record["baseline"], 60),
        baseline_value=Quantity(record["baseline_value"], clean(record["unit"], 20)),
        platform_value=Quantity(record["platform_value"], clean(record["unit"], 20)),
        estimate=estimate(record),
        mark=mark(record["verdict"]),
        comparability=None if record["comparable"] else NOT_COMPARABLE,
        blocks=record["blocks"],
        boots=_boots(record),
        paired=record["paired"],
        noise_floor=record["noise_floor"],
        noise_suspect=low is not None and high is not None and not low <= 1 <= high,
        mde=record["mde"],
        notes=tuple(number for number, note in enumerate(notes, 1) if note in record["confounders"]),
    )
