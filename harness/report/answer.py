"""The first screen: for each platform a sentence, its slowdowns drawn on one scale, and what makes it slower."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.document import ComparisonRecord, Document
from harness.analysis.primary import STEP
from harness.report.causes import causes
from harness.report.charts import BESIDE, NARROW, WIDE, ForestRow, forest
from harness.report.contents import Headline
from harness.report.context import Finding, Forest
from harness.report.parts import Causes
from harness.report.table import Telling, fair, finding, forest_row, forest_rows, lead, telling_dims
from harness.report.words import clean

MOST_PLATFORMS = 12
MOST_DRAWN = 7  # slowdowns beside a sentence
MOST_FURTHER = 2  # in the sentence, beside the headline
MOST_MECHANISMS = 3
CERTAIN = ("slower", "faster")
FELT = ("storage.", "tooling.")  # what a user meets without looking; the other probes are of mechanisms

Records = Sequence[ComparisonRecord]


def headlines(document: Document) -> Iterable[Headline]:
    """One for each platform that was there or was to be compared, in the order of the document."""
    telling = telling_dims(document["comparisons"])
    main = {entry["platform"]: entry["comparison"] for entry in document["headlines"]}
    names = [name for name in document["platforms"] if name != document["baseline"]][:MOST_PLATFORMS]
    drawn = {name: _drawn(document, name) for name in names}
    scale = [forest_row(record, telling) for group in drawn.values() for record in group]
    for number, name in enumerate(names):
        index = main.get(name)
        best = document["comparisons"][index] if index is not None else None
        summary = document["platform_records"][name]
        if best is None and not summary["available"]:
            continue
        others = [record for record in _leading(document, name) if record is not best]
        found = _causes(document, best)
        yield Headline(
            platform=clean(name, 60),
            kind=clean(summary["kind"], 20),
            baseline=clean(best["baseline"] if best else document["baseline"], 60),
            main=finding(best, telling) if best else None,
            others=tuple(finding(each, telling) for each in _felt(others)),
            forest=_forest(number, [forest_row(each, telling) for each in drawn[name]], scale),
            causes=found,
            mechanisms=() if found else _mechanisms(others, telling),
            reason=clean(summary["reason"]) or _no_headline(bool(others)),
        )


def whole_forest(document: Document) -> Forest | None:
    """Every task's slowdown, each platform on its own scale; None where the first screen shows them all."""
    groups = forest_rows(document["comparisons"], document["platforms"])
    if max(map(len, groups.values()), default=0) <= MOST_DRAWN:
        return None
    wide, narrow = (
        tuple(
            forest(platform, rows, layout, f"forest-{number}", f"All slowdowns of {platform} with their intervals")
            for number, (platform, rows) in enumerate(groups.items())
        )
        for layout in (WIDE, NARROW)
    )
    return Forest(wide=wide, narrow=narrow, left_out=len(document["comparisons"]) - sum(map(len, groups.values())))


def _leading(document: Document, platform: str) -> list[ComparisonRecord]:
    return lead(record for record in document["comparisons"] if record["platform"] == platform)


def _drawn(document: Document, platform: str) -> Records:
    return fair(_leading(document, platform), MOST_DRAWN)


def _forest(number: int, rows: Sequence[ForestRow], scale: Sequence[ForestRow]) -> Forest | None:
    if not rows:
        return None
    wide, narrow = (
        (forest("", rows, layout, f"answer-{number}", "Slowdowns with their intervals", scale),)
        for layout in (BESIDE, NARROW)
    )
    return Forest(wide=wide, narrow=narrow, left_out=0)


def _causes(document: Document, best: ComparisonRecord | None) -> Causes | None:
    """What makes the headline's gap, if there is one for certain."""
    if best is None or best["verdict"] not in CERTAIN:
        return None
    return causes(document, best["platform"], best["task"], best["stack"], best["device"])


def _mechanisms(others: Records, telling: Telling) -> tuple[Finding, ...]:
    """The mechanisms that are slower for certain, the worst first, each task once."""
    slower = [record for record in others if not _is_felt(record) and record["verdict"] == "slower"]
    return tuple(finding(record, telling) for record in _worst_of_each(slower)[:MOST_MECHANISMS])


def _felt(others: Records) -> Records:
    """What a user meets, beside the headline: further workloads, files, tools."""
    return _worst_of_each([record for record in others if _is_felt(record)])[:MOST_FURTHER]


def _is_felt(record: ComparisonRecord) -> bool:
    return record["metric"] == STEP or record["task"].startswith(FELT)


def _worst_of_each(found: Records) -> Records:
    """The certain ones, of each task the one that is furthest from 1."""
    worst: dict[str, ComparisonRecord] = {}
    for record in _largest(found):
        worst.setdefault(record["task"], record)
    return list(worst.values())


def _largest(found: Records) -> Records:
    """Those that are certain, by how far they are from 1."""
    certain = [record for record in found if record["verdict"] in CERTAIN and record["comparable"]]
    return sorted(certain, key=lambda each: -max(each["slowdown"], 1 / each["slowdown"]))


def _no_headline(probes: bool) -> str:
    return "No workload ran on both sides; the probes:" if probes else "No task ended well on both sides."
