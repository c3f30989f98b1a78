"""What the site's pages show: every report with its machine and headline figures, and rows to read side by side.

Nothing here compares one report with another. Numbers are those of the reports; site.json holds them all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness import __version__
from harness.analysis.document import ComparisonRecord, Document
from harness.publish.read import name_of
from harness.report.banners import alerts
from harness.report.context import Assets, Banner, Finding, Subject
from harness.report.page import subject_of
from harness.report.table import fair, finding, lead, telling_dims
from harness.report.words import clean, dims_words

SCHEMA = 1
TITLE = "Overhead Matrix: published reports"
PAGES = "reports"  # the folder of the reports' own
MOST_FINDINGS = 12  # of a platform
MOST_PLATFORMS = 12

RowName = tuple[str, str, str, str]  # platform, stack/task, metric, dims


@dataclass(frozen=True, kw_only=True)
class PlatformEntry:
    """One platform of a report: its headline, or the first finding where it has none."""

    name: str
    kind: str
    finding: Finding | None
    record: ComparisonRecord | None


@dataclass(frozen=True, kw_only=True)
class ReportEntry:
    """One report on the index. `name` is the anchor and the stable part of its URL."""

    name: str
    url: str  # relative to the site
    fingerprint: str
    subject: Subject
    machine: str  # CPU and GPUs in a line: what reports are filtered by
    created: str  # RFC 3339
    profile: str
    baseline: str
    blocks: int
    platforms: tuple[PlatformEntry, ...]
    absent: tuple[str, ...]  # platforms that were planned and could not be measured
    banners: tuple[Banner, ...]
    rows: Mapping[RowName, tuple[Finding, ComparisonRecord]]


@dataclass(frozen=True, kw_only=True)
class BesideRow:
    """One metric of one platform, in each report that has it."""

    platform: str
    what: str
    where: str
    cells: tuple[Finding | None, ...]  # in the order of the site's reports


@dataclass(frozen=True, kw_only=True)
class Site:
    """The index, and the page that sets reports side by side."""

    title: str
    tool_version: str
    reports: tuple[ReportEntry, ...]  # the newest first
    machines: tuple[str, ...]
    platforms: tuple[str, ...]
    rows: tuple[BesideRow, ...]
    assets: Assets


def site(documents: Sequence[Document], assets: Assets) -> Site:
    """Compose the site of these reports."""
    ordered = sorted(documents, key=lambda each: (when(each), each["run"]["fingerprint"]), reverse=True)
    reports = tuple(map(_report, ordered))
    return Site(
        title=TITLE,
        tool_version=__version__,
        reports=reports,
        machines=tuple(sorted({report.machine for report in reports})),
        platforms=tuple(sorted({entry.name for report in reports for entry in report.platforms})),
        rows=_rows(reports),
        assets=assets,
    )


def site_json(page: Site) -> dict[str, Any]:
    """Return the data behind the site's own pages: every number on them."""
    return {
        "schema": SCHEMA,
        "tool_version": page.tool_version,
        "reports": [
            {
                "url": report.url,
                "fingerprint": report.fingerprint,
                "cpu": report.subject.cpu,
                "gpus": list(report.subject.gpus),
                "system": report.subject.system,
                "created": report.created,
                "profile": report.profile,
                "baseline": report.baseline,
                "blocks": report.blocks,
                "platforms": [{"name": entry.name, "headline": entry.record} for entry in report.platforms],
                "findings": [record for _, record in report.rows.values()],
            }
            for report in page.reports
        ],
    }


def when(document: Document) -> datetime:
    """When a report's run began, in UTC."""
    return datetime.fromisoformat(document["run"]["created"]).astimezone(UTC)


def _report(document: Document) -> ReportEntry:
    subject = subject_of(document)
    return ReportEntry(
        name=name_of(document),
        url=f"{PAGES}/{name_of(document)}/index.html",
        fingerprint=document["run"]["fingerprint"],
        subject=subject,
        machine=" + ".join((subject.cpu, *subject.gpus)),
        created=when(document).isoformat().replace("+00:00", "Z"),
        profile=clean(document["run"]["profile"], 60),
        baseline=clean(document["baseline"], 60),
        blocks=document["run"]["blocks"],
        platforms=tuple(_platforms(document)[:MOST_PLATFORMS]),
        absent=tuple(clean(name, 60) for name, each in document["platform_records"].items() if not each["available"])[
            :MOST_PLATFORMS
        ],
        banners=alerts(document),
        rows=_findings(document),
    )


def _platforms(document: Document) -> list[PlatformEntry]:
    """The platforms that were compared, each with what stands for it."""
    telling = telling_dims(document["comparisons"])
    main = {each["platform"]: each["comparison"] for each in document["headlines"]}
    entries = []
    for name in document["platforms"]:
        records = [each for each in document["comparisons"] if each["platform"] == name]
        index = main.get(name)
        best = document["comparisons"][index] if index is not None else next(iter(lead(records)), None)
        if records:
            entries.append(
                PlatformEntry(
                    name=clean(name, 60),
                    kind=clean(document["platform_records"][name]["kind"], 20),
                    finding=finding(best, telling) if best else None,
                    record=best,
                )
            )
    return entries


def _findings(document: Document) -> dict[RowName, tuple[Finding, ComparisonRecord]]:
    telling = telling_dims(document["comparisons"])
    found = {}
    for name in document["platforms"][: MOST_PLATFORMS + 1]:
        records = lead(each for each in document["comparisons"] if each["platform"] == name)
        for each in fair(records, MOST_FINDINGS):
            found[_row_name(each)] = finding(each, telling), each
    return found


def _row_name(record: ComparisonRecord) -> RowName:
    where = f"{clean(record['stack'], 40)}/{clean(record['task'], 80)} on {clean(record['device'], 20)}"
    return clean(record["platform"], 60), where, clean(record["metric"], 80), dims_words(record["dims"])


def _rows(reports: Sequence[ReportEntry]) -> tuple[BesideRow, ...]:
    """What any report leads with, by platform; a report that does not have a row has a gap there."""
    names = dict.fromkeys(name for report in reports for name in report.rows)
    return tuple(
        BesideRow(
            platform=name[0],
            what=next(report.rows[name][0].what for report in reports if name in report.rows),
            where=" · ".join(part for part in (name[1], name[3]) if part),
            cells=tuple(report.rows[name][0] if name in report.rows else None for report in reports),
        )
        for name in sorted(names, key=lambda name: name[0])  # stable: a platform's most important first
    )
