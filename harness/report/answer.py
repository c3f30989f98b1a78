"""The first screen: for each platform a sentence, its slowdowns drawn on one scale, and what makes it slower."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.document import ComparisonRecord, Document
from harness.analysis.primary import STEP
from harness.report.causes import causes
from harness.report.charts import BESIDE, NARROW, WIDE, ForestRow, forest
from harness.report.contents import Headline
from harness.report.context import Forest
from harness.report.parts import Causes
from harness.report.table import fair, finding, forest_row, forest_rows, lead, telling_dims
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
    told = {name: _told(document, name, main.get(name)) for name in names}
    labelling = {key: dims - {"cache"} for key, dims in telling.items()}  # `lead` has warm ones alone
    scale = [forest_row(record, labelling) for each in told.values() for record in each.drawn]
    for number, (name, each) in enumerate(told.items()):
        best, summary = each.best, document["platform_records"][name]
        if best is None and not summary["available"]:
            continue
        yield Headline(
            platform=clean(name, 60),
            kind=clean(summary["kind"], 20),
            baseline=clean(best["baseline"] if best else document["baseline"], 60),
            main=finding(best, telling) if best else None,
            others=tuple(finding(record, telling) for record in each.felt),
            forest=_forest(number, [forest_row(record, labelling) for record in each.drawn], scale),
            causes=each.causes,
            mechanisms=tuple(finding(record, telling) for record in each.mechanisms),
            reason=clean(summary["reason"]) or _no_headline(bool(each.drawn)),
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


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What is told of one platform: the records that its sentences cite, and those that are drawn beside them."""

    best: ComparisonRecord | None
    felt: Records
    mechanisms: Records
    causes: Causes | None
    drawn: Records


def _told(document: Document, platform: str, index: int | None) -> _Told:
    best = document["comparisons"][index] if index is not None else None
    leading = _leading(document, platform)
    others = [record for record in leading if record is not best]
    found = _causes(document, best)
    felt, mechanisms = _felt(others), () if found else _mechanisms(others)
    cited = [*([best] if best else []), *felt, *mechanisms]  # who reads the sentence looks for it in the drawing
    rest = [record for record in leading if not any(record is each for each in cited)]
    return _Told(
        best=best,
        felt=felt,
        mechanisms=mechanisms,
        causes=found,
        drawn=[*cited, *fair(rest, max(0, MOST_DRAWN - len(cited)))],
    )


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


def _mechanisms(others: Records) -> Records:
    """The mechanisms that are slower for certain, the worst first, each task once."""
    slower = [record for record in others if not _is_felt(record) and record["verdict"] == "slower"]
    return _worst_of_each(slower)[:MOST_MECHANISMS]


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
