"""The environments side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.analysis.document import Document
from harness.report.context import Environment, Fact
from harness.report.parts import Ranked
from harness.report.picture import records
from harness.report.words import clean

MOST_FACTS = 300
MOST_PLATFORMS = 12
RANKS = {"decisive": "slower", "relevant": "inconclusive", "noted": "incomparable"}  # rank → style


def environment(
    environments: Mapping[str, Mapping[str, str]], differences: Mapping[str, object], baseline: str
) -> Environment:
    """Every recorded property by platform; what differs is marked and listed first."""
    known = {name: values(found) for name, found in environments.items() if found}
    names = sorted(known, key=lambda name: name != baseline)[:MOST_PLATFORMS]  # stable: the baseline, then as given
    keys = sorted({key for name in names for key in known[name]})
    telling = {plain(key) for key in differences}
    facts = [_fact(key, [known[name].get(key, "") for name in names], telling) for key in keys]
    return Environment(
        platforms=tuple(clean(name, 60) for name in names),
        differing=tuple(fact for fact in facts if fact.differs)[:MOST_FACTS],
        facts=tuple(facts[:MOST_FACTS]),
        left_out=max(len(facts) - MOST_FACTS, 0),
    )


def ranked(document: Document) -> tuple[Ranked, ...]:
    """The differences between each pair, as the analysis ranks them; none where it does not."""
    return tuple(
        Ranked(
            platform=clean(record["platform"], 60),
            baseline=clean(record["baseline"], 60),
            name=clean(plain(record["key"]), 100),
            rank=clean(record["rank"], 20),
            style=RANKS.get(record["rank"], "incomparable"),
            baseline_value=clean(record["baseline_value"], 200),
            platform_value=clean(record["platform_value"], 200),
            why=clean(record["why"], 300),
        )
        for record in records(document, "comparability")
    )


def values(found: Mapping[str, str]) -> dict[str, str]:
    """Name → value of a flat inspection.

    Where a property comes with its source (`cpu.model.value`, `cpu.model.source`), the name is the property's; the
    source is left to report.json.
    """
    sourced = {key.removesuffix(".source") for key in found if key.endswith(".source")}
    beside = {f"{name}{suffix}" for name in sourced for suffix in (".source", ".error")}
    return {plain(key): value for key, value in found.items() if key not in beside}


def plain(key: str) -> str:
    """`cpu.model` of `cpu.model.value`."""
    return ".".join(part for part in key.split(".") if part != "value")


def _fact(key: str, row: Sequence[str], telling: set[str]) -> Fact:
    differs = key in telling and len(set(row)) > 1
    return Fact(
        name=clean(key, 100),
        values=tuple(clean(value, 200) for value in row),
        changed=tuple(differs and value != row[0] for value in row),
        differs=differs,
    )
