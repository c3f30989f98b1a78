"""Comparisons as the page shows them: findings for the first screen, forest rows, the table and its notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.analysis.document import ComparisonRecord
from harness.analysis.estimate import margin
from harness.analysis.primary import STEP, primary_of
from harness.report.charts import ForestRow
from harness.report.context import Cut, Finding, Row, Table
from harness.report.format import Estimate, Quantity
from harness.report.words import LEGEND, NOT_COMPARABLE, clean, dims_words, finding_words, mark, metric_words

MOST_ROWS = 600  # of all platforms; what one does not need is left to the others
MOST_NOTES = 60
MOST_FORESTS = 6
MOST_FOREST_ROWS = 20  # of one platform

Telling = Mapping[tuple[str, str], set[str]]  # (task, metric) → names of dims


def estimate(record: ComparisonRecord) -> Estimate:
    """The slowdown with its interval."""
    low, high = record["ci95"]
    return Estimate(record["slowdown"], low, high)


def primary(records: Iterable[ComparisonRecord]) -> list[ComparisonRecord]:
    """What speaks for each task on each platform (`harness.analysis.primary`). Workloads first, control last."""
    groups: dict[tuple[str, str, str], list[ComparisonRecord]] = {}
    for record in records:
        groups.setdefault((record["platform"], record["stack"], record["task"]), []).append(record)
    kept = [record for (_, _, task), group in groups.items() for record in primary_of(task, group, _described)]
    return sorted(kept, key=_importance)


def _described(record: ComparisonRecord) -> tuple[str, Mapping[str, Any]]:
    return record["metric"], record["dims"]


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
        clean(name, 60): [forest_row(each, telling) for each in fair(group, MOST_FOREST_ROWS)] for name, group in drawn
    }


def forest_row(record: ComparisonRecord, telling: Telling, *, with_platform: bool = False) -> ForestRow:
    """A comparison in a forest, named by its task and what tells it from its like."""
    parts = [clean(record["task"], 60), short_dims(record, telling)]
    if with_platform:
        parts.insert(0, clean(record["platform"], 40))
    return ForestRow(
        label=" · ".join(part for part in parts if part),
        estimate=estimate(record),
        mark=mark(record["verdict"]) if record["comparable"] else NOT_COMPARABLE,
        margin=margin(record["noise_floor"]),
    )


def at(records: Sequence[ComparisonRecord], indices: object) -> list[ComparisonRecord]:
    """The records of these indices, as far as there are such."""
    listed = indices if isinstance(indices, list) else []
    return [records[index] for index in listed if isinstance(index, int) and 0 <= index < len(records)]


def _boots(record: ComparisonRecord) -> tuple[int, int]:
    ours, theirs = record["boots"]
    return ours, theirs


def _shown(
    records: Sequence[ComparisonRecord], platforms: Sequence[str]
) -> tuple[list[ComparisonRecord], dict[str, int]]:
    """What the table has room for, primary ones first, and how many more each platform has."""
    first = primary(records)
    known = {id(record) for record in first}
    ordered = [*first, *(record for record in records if id(record) not in known)]
    groups = {name: [record for record in ordered if record["platform"] == name] for name in platforms}
    most = share(list(map(len, groups.values())), MOST_ROWS)
    cut = {name: len(group) - most for name, group in groups.items() if len(group) > most}
    return [record for group in groups.values() for record in group[:most]], cut


def anchors(records: Sequence[ComparisonRecord], platforms: Sequence[str]) -> dict[int, str]:
    """The table's rows by the identity of their record: what a link to one leads to."""
    places = {id(record): f"comparison-{index}" for index, record in enumerate(records)}
    return {id(record): places[id(record)] for record in _shown(records, platforms)[0]}


def table(records: Sequence[ComparisonRecord], platforms: Sequence[str]) -> Table:
    """Every comparison, primary ones first, and the confounders as numbered notes; each platform is cut by itself."""
    shown, cut = _shown(records, platforms)
    places = anchors(records, platforms)
    notes = list(dict.fromkeys(note for record in shown for note in record["confounders"]))[:MOST_NOTES]
    rows = tuple(_row(record, notes, places[id(record)]) for record in shown)
    return Table(
        rows=rows,
        cuts=tuple(Cut(platform=clean(name, 60), rows=left) for name, left in cut.items()),
        notes=tuple(clean(note) for note in notes),
        platforms=tuple(dict.fromkeys(row.platform for row in rows)),
        stacks=tuple(sorted({row.stack for row in rows})),
        tasks=tuple(sorted({row.task for row in rows})),
        marks=tuple(each for each in LEGEND if any(each in (row.mark, row.comparability) for row in rows)),
    )


def share(counts: Sequence[int], most: int) -> int:
    """Return how many of each group are kept so that all together are `most` at most; at least one."""
    for number, count in enumerate(ordered := sorted(counts)):
        left = most - sum(ordered[:number])
        if count * (len(ordered) - number) > left:
            return max(1, left // (len(ordered) - number))
    return max(counts, default=0)


def _row(record: ComparisonRecord, notes: Sequence[str], anchor: str) -> Row:
    low, high = record["noise_ci95"]
    return Row(
        anchor=anchor,
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
