"""What the templates see: one `Page` (`harness.report.contents`) and nothing else; here is what it is made of.

Templates choose words and order; they compute nothing.

Text in here is plain (escaped by Jinja), free of control and direction characters, and of bounded length. Numbers are
those of report.json; the filters of `harness.report.format` give them their form. `tests/report/test_context.py` holds
that every field here is used by a template, and StrictUndefined that templates use nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from harness.report.format import Estimate, Quantity

Tone = Literal["alert", "caution", "note"]


@dataclass(frozen=True, kw_only=True)
class Assets:
    """What is inlined, and the sha256 sources by which the content security policy lets it through."""

    style: Markup
    script: Markup
    style_source: str
    script_source: str


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The machine, as the title names it."""

    cpu: str
    cores: str  # logical processors; empty where unknown
    gpus: tuple[str, ...]
    system: str


@dataclass(frozen=True, kw_only=True)
class Boot:
    """One run of those that a merged bundle holds."""

    number: int
    run_id: str
    boot_id: str
    created: str  # RFC 3339
    system: str
    seed: int
    blocks: int
    platforms: tuple[str, ...]
    run_command: str  # empty where it is not known


@dataclass(frozen=True, kw_only=True)
class Stopping:
    """What ended the run. `ends` is the case; the numbers that its words need are set."""

    ends: Literal["untold", "precision", "budget", "fixed"]
    least: int | None
    most: int | None
    budget: float | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """Where the numbers come from."""

    id: str
    created: str  # RFC 3339
    profile: str
    seed: int
    tool_version: str
    blocks: int
    invocations: int
    samples: int
    seconds: float
    looks: int
    interval_level: float
    precision: float | None
    stopping: Stopping
    fingerprint: str
    boot_id: str
    boots: tuple[Boot, ...]  # one of a run's own bundle
    run_command: str
    report_command: str


@dataclass(frozen=True, kw_only=True)
class Banner:
    """Something to know before any number is read."""

    tone: Tone
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A verdict as it is shown: a shape and a word, never a colour alone. `style` is the CSS class."""

    word: str
    shape: str
    style: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A comparison in a sentence: what, how much, how sure."""

    what: str
    where: str  # task, stack, device and dims: what tells this finding from its like
    detail: str  # the part of `where` that matters in a list
    estimate: Estimate
    mark: Mark
    comparable: bool
    mde: float | None  # set where the verdict is inconclusive
    blocks: int


@dataclass(frozen=True, kw_only=True)
class Forest:
    """The slowdowns: a drawing for each platform, in two widths of which CSS shows one."""

    wide: tuple[Markup, ...]
    narrow: tuple[Markup, ...]
    left_out: int  # comparisons that are only in the table


@dataclass(frozen=True, kw_only=True)
class Row:
    """A comparison in the table. `notes` number the confounders listed below it."""

    anchor: str  # by its place in report.json
    task: str
    metric: str
    dims: str
    stack: str
    device: str
    platform: str
    baseline: str
    baseline_value: Quantity
    platform_value: Quantity
    estimate: Estimate
    mark: Mark
    comparability: Mark | None  # "not comparable" where so
    blocks: int
    boots: tuple[int, int]
    paired: bool
    noise_floor: float | None
    noise_suspect: bool  # the A/A interval does not cover 1
    mde: float | None
    notes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Comparisons of a platform that the table has no room for."""

    platform: str
    rows: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """All comparisons, as far as a page can hold them."""

    rows: tuple[Row, ...]
    cuts: tuple[Cut, ...]
    notes: tuple[str, ...]
    platforms: tuple[str, ...]
    stacks: tuple[str, ...]
    tasks: tuple[str, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True, kw_only=True)
class Unpaired:
    """Metrics of a task that have no counterpart, and why."""

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class OneSide:
    """What a platform, or the baseline against it, measured alone."""

    platform: str
    lines: tuple[Unpaired, ...]
    left_out: int  # lines beyond those


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What did not run, or not wholly, for one reason. An empty `cells` is the whole platform."""

    platform: str
    status: str
    reason: str
    cells: tuple[str, ...]
    left_out: int  # cells beyond those named


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One recorded property on every available platform, in the order of `Environment.platforms`."""

    name: str
    values: tuple[str, ...]
    changed: tuple[bool, ...]  # differs from the baseline's
    differs: bool


@dataclass(frozen=True, kw_only=True)
class Environment:
    """The platforms side by side."""

    platforms: tuple[str, ...]
    differing: tuple[Fact, ...]
    facts: tuple[Fact, ...]
    left_out: int
