"""What the templates see of pictures with the tables behind them, of claims, causes, tails and capabilities.

As `harness.report.context`, to which this belongs: plain text, numbers of report.json, nothing to compute.
"""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from harness.report.context import Finding, Forest
from harness.report.format import Estimate, Quantity, Share


@dataclass(frozen=True, kw_only=True)
class Key:
    """One entry of a picture's legend: a platform, its shape as text and its colour's class."""

    name: str
    glyph: str
    style: str


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One drawing of a picture."""

    title: str
    where: str
    drawing: Markup


@dataclass(frozen=True, kw_only=True)
class Line:
    """A row of the table behind a picture."""

    head: str
    cells: tuple[Quantity | Share | str | None, ...]


@dataclass(frozen=True, kw_only=True)
class Behind:
    """The table behind a picture: for those who cannot see it, and those who want the figures."""

    columns: tuple[str, ...]  # the first is that of the lines' heads
    lines: tuple[Line, ...]
    left_out: int


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a claim's data look like. Without panels there is nothing to show, and `otherwise` says what to run.

    `left_out` counts the series for which there was no room.
    """

    name: str
    title: str
    text: str  # how to read it
    keys: tuple[Key, ...]
    panels: tuple[Panel, ...]
    behind: Behind | None
    otherwise: str
    left_out: int = 0


@dataclass(frozen=True, kw_only=True)
class Cause:
    """What a mechanism adds to a step."""

    what: str
    seconds: Quantity
    low: Quantity | None
    high: Quantity | None
    unexplained: bool


@dataclass(frozen=True, kw_only=True)
class Causes:
    """The largest causes of a workload's gap."""

    gap: Quantity
    comparable: bool
    causes: tuple[Cause, ...]


@dataclass(frozen=True, kw_only=True)
class Point:
    """One of the things that a claim says."""

    name: str
    verdict: str
    style: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ClaimPart:
    """A statement on trial."""

    anchor: str
    statement: str
    verdict: str
    style: str
    reason: str  # of the verdict
    points: tuple[Point, ...]  # of a claim that says several things
    rule: str  # by which it is decided; empty where the report does not tell
    would_change: str
    decisive: Finding | None  # the comparison that decided
    decisive_platform: str
    bearing: Forest | None  # what bears on it
    evidence: tuple[str, ...]
    evidence_left_out: int
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, kw_only=True)
class Tail:
    """The slowdown of one percentile, or why there is none."""

    estimate: Estimate | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class TailRow:
    """A comparison of which a tail could be estimated: 95%, 99%."""

    platform: str
    finding: Finding
    tails: tuple[Tail, ...]


@dataclass(frozen=True, kw_only=True)
class Regression:
    """A comparison that is slower after the correction for many. `anchor` is empty where the table has no room."""

    platform: str
    finding: Finding
    p_holm: float | None
    anchor: str


@dataclass(frozen=True, kw_only=True)
class Excluded:
    """Invocations that are in no statistics, for one cause."""

    platform: str
    task: str
    cause: str
    blocks: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """What became of a task on a platform: a shape and a word."""

    word: str
    shape: str
    style: str


@dataclass(frozen=True, kw_only=True)
class GridRow:
    """A task on every platform, in the order of `Grid.platforms`."""

    what: str
    cells: tuple[GridCell, ...]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Which task ran on which platform."""

    platforms: tuple[str, ...]
    rows: tuple[GridRow, ...]
    left_out: int


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """A difference between a platform and its baseline, and what it means for their comparison."""

    platform: str
    baseline: str
    name: str
    rank: str
    style: str
    baseline_value: str
    platform_value: str
    why: str
