"""Different machines on one page: each with its own headlines, never compared with one another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness import __version__
from harness.analysis.document import ComparisonRecord, Document
from harness.report.banners import alerts
from harness.report.context import Assets, Banner, Finding, Subject
from harness.report.page import subject_of
from harness.report.table import finding, telling_dims
from harness.report.words import clean

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One platform of a machine: its headline and the record behind it."""

    platform: str
    finding: Finding
    record: ComparisonRecord


@dataclass(frozen=True, kw_only=True)
class MachineEntry:
    """One machine: where its report lies, what it is, and its platforms' headlines."""

    folder: str
    subject: Subject
    baseline: str
    boots: int
    banners: tuple[Banner, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """The page."""

    title: str
    tool_version: str
    proven: bool  # that no two of them are one machine
    machines: tuple[MachineEntry, ...]
    assets: Assets


def side_by_side(documents: Mapping[str, Document], *, proven: bool, assets: Assets) -> SideBySide:
    """Compose the page from report.json's documents, by the folder in which each lies."""
    machines = tuple(_machine(folder, document) for folder, document in documents.items())
    return SideBySide(
        title=f"Overhead Matrix: {len(machines)} machines",
        tool_version=__version__,
        proven=proven,
        machines=machines,
        assets=assets,
    )


def machines_json(page: SideBySide) -> dict[str, Any]:
    """Return the report.json beside that page: every number on it; all else is in the machines' own."""
    return {
        "schema": SCHEMA,
        "machines": [
            {
                "folder": machine.folder,
                "cpu": machine.subject.cpu,
                "gpus": list(machine.subject.gpus),
                "system": machine.subject.system,
                "baseline": machine.baseline,
                "boots": machine.boots,
                "headlines": [entry.record for entry in machine.entries],
            }
            for machine in page.machines
        ],
    }


def _machine(folder: str, document: Document) -> MachineEntry:
    telling = telling_dims(document["comparisons"])
    records = [document["comparisons"][h["comparison"]] for h in document["headlines"] if h["comparison"] is not None]
    return MachineEntry(
        folder=folder,
        subject=subject_of(document),
        baseline=clean(document["baseline"], 60),
        boots=len({boot["boot_id"] for boot in document["run"]["boots"]}),
        banners=alerts(document),
        entries=tuple(
            Entry(platform=clean(each["platform"], 60), finding=finding(each, telling), record=each) for each in records
        ),
    )
