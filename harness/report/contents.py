"""What the templates see: one `Page` and nothing else; `tests/report/test_context.py` holds that all of it is used."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report.context import (
    Assets,
    Banner,
    Environment,
    Finding,
    Forest,
    Gap,
    Mark,
    OneSide,
    Run,
    Subject,
    Table,
)
from harness.report.parts import Causes, ClaimPart, Excluded, Grid, Ranked, Regression, TailRow


@dataclass(frozen=True, kw_only=True)
class Headline:
    """A platform on the first screen. `main` is None where nothing was measured; `reason` then says why."""

    platform: str
    kind: str
    baseline: str
    main: Finding | None
    others: tuple[Finding, ...]  # further ones of the sentence: the largest that are certain
    forest: Forest | None
    causes: Causes | None
    mechanisms: tuple[Finding, ...]  # without `causes`: the largest slowdowns of probes
    reason: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """The whole report."""

    title: str
    subject: Subject
    baseline: str
    run: Run
    banners: tuple[Banner, ...]
    headlines: tuple[Headline, ...]
    not_measured: tuple[str, ...]
    claims: tuple[ClaimPart, ...]
    forest: Forest | None  # what the first screen has no room for
    legend: tuple[Mark, ...]
    tails: tuple[TailRow, ...]
    tails_left_out: int
    no_tails: tuple[str, ...]  # why there are none
    regressions: tuple[Regression, ...]
    regressions_left_out: int
    table: Table
    one_sided: tuple[OneSide, ...]
    grid: Grid | None
    gaps: tuple[Gap, ...]
    gaps_left_out: int
    excluded: tuple[Excluded, ...]
    excluded_left_out: int
    ranked: tuple[Ranked, ...]
    ranked_left_out: int
    environment: Environment
    warnings: tuple[str, ...]
    assets: Assets
