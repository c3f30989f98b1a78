"""The agreement table: a probe and an independent tool, measured in turn; one row for each metric that both give.

A comparison yields pairs: what the harness and what the tool gave, by metric, measured one right after the other, in
random order within a pair (`alternated`). A row is the geometric mean of harness / tool and its 95% interval (paired t
on the logarithms). It agrees when the whole interval lies within 5% of 1, and differs when the whole interval lies
beyond; what reaches over the edge is unclear: the machine was too noisy for so few pairs. The ratio of the best values
stands beside, since other programs make a run slower and never faster: where that lies beyond 5%, an unclear row needs
a reason too. A difference must have its reason: what the two
do differently, and between which ratios that puts them. A ratio outside these is unexplained, too.
"""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np

from harness.analysis.estimate import Estimate, paired

TOLERANCE = 0.05
HEADINGS = ("probe", "metric", "tool", "harness / tool", "95% interval", "of the best", "within 5%?", "reason")
WIDTHS = (19, 25, 38, 14, 16, 11, 20, 0)

Values = Mapping[str, float]  # by metric, with what tells it from others of its name: `spawn_seconds fork`
Pair = tuple[Values, Values]  # the harness's, the tool's
Agreement = Literal["yes", "unclear", "unclear: UNEXPLAINED", "no", "no: UNEXPLAINED", "-", "FAILED"]
FAULTS: tuple[Agreement, ...] = ("unclear: UNEXPLAINED", "no: UNEXPLAINED", "FAILED")


class NotMeasuredError(Exception):
    """One side can't be measured on this machine; the text says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why harness / tool is not 1 by construction, and between which values that puts the ratio."""

    text: str
    low: float
    high: float

    def covers(self, estimate: Estimate) -> bool:
        """Whether the ratio's interval reaches into the range."""
        low, high = _bounds(estimate)
        return self.low <= high and low <= self.high


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A probe and a tool.

    `measured` yields so many pairs. `missing` returns what this machine lacks, empty if nothing; a pair may raise
    NotMeasuredError all the same.
    """

    probe: str
    tool: str
    measured: Callable[[int, random.Random], Iterator[Pair]]
    missing: Callable[[], str]
    reasons: Mapping[str, Reason] = field(default_factory=dict)  # by metric
    pairs: int = 8


@dataclass(frozen=True, kw_only=True)
class Row:
    """One metric's agreement; without an estimate `reason` says why it was not measured."""

    probe: str
    metric: str
    tool: str
    agreement: Agreement
    estimate: Estimate | None = None
    best: float | None = None  # the harness's best value over the tool's
    reason: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the row as texts, in the order of HEADINGS."""
        ratio, interval = "-", "-"
        if self.estimate is not None:
            low, high = _bounds(self.estimate)
            ratio, interval = f"{self.estimate.ratio:.3f}", f"{low:.3f} to {high:.3f}"
        best = "-" if self.best is None else f"{self.best:.3f}"
        return (self.probe, self.metric, self.tool, ratio, interval, best, self.agreement, self.reason)


def alternated(
    harness: Callable[[], Values], by_tool: Callable[[], Values]
) -> Callable[[int, random.Random], Iterator[Pair]]:
    """Return what a comparison's `measured` is for two functions that each measure once."""

    def measured(pairs: int, order: random.Random) -> Iterator[Pair]:
        for _ in range(pairs):
            if order.random() < 0.5:
                ours = harness()
                yield ours, by_tool()
            else:
                theirs = by_tool()
                yield harness(), theirs

    return measured


def measure(comparison: Comparison, pairs: int, order: random.Random) -> Iterator[Row]:
    """Measure the pairs of one comparison, two or more, and yield its rows."""
    whole = Row(probe=comparison.probe, metric="*", tool=comparison.tool, agreement="-")
    if missing := comparison.missing():
        yield _without(whole, "-", missing)
        return
    try:
        measured = list(comparison.measured(pairs, order))
    except NotMeasuredError as error:
        yield _without(whole, "-", str(error))
    except subprocess.CalledProcessError as error:
        yield _without(whole, "FAILED", f"{error}: {_tail(error.stderr or error.stdout)}")
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        yield _without(whole, "FAILED", f"{type(error).__name__}: {error}")
    else:
        yield from _rows(comparison, measured)


def judge(estimate: Estimate, best: float, reason: Reason | None) -> Agreement:
    """Return whether the ratio agrees, as the module's text says."""
    low, high = _bounds(estimate)
    edges = (1 - TOLERANCE, 1 + TOLERANCE)
    if edges[0] <= low and high <= edges[1]:
        return "yes"
    if edges[0] <= high and low <= edges[1]:
        return "unclear" if reason is not None or edges[0] <= best <= edges[1] else "unclear: UNEXPLAINED"
    return "no" if reason is not None and reason.covers(estimate) else "no: UNEXPLAINED"


def selected(comparisons: Iterable[Comparison], globs: Iterable[str]) -> list[Comparison]:
    """Return the comparisons whose probe or tool matches one of the globs; all without any."""
    patterns = list(globs) or ["*"]
    return [
        each
        for each in comparisons
        if any(fnmatchcase(name, pattern) for pattern in patterns for name in (each.probe, each.tool))
    ]


def line(cells: Iterable[str]) -> str:
    """Return the cells as one line of the table."""
    return " | ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def programs(**packages: str) -> Callable[[], str]:
    """Return what a comparison's `missing` is for programs of Debian's packages, by program."""

    def missing() -> str:
        absent = sorted({package for program, package in packages.items() if not shutil.which(program)})
        return f"missing: apt-get install {' '.join(absent)}" if absent else ""

    return missing


def all_of(*checks: Callable[[], str]) -> Callable[[], str]:
    """Return what a comparison's `missing` is that has several: the first complaint."""
    return lambda: next((complaint for check in checks if (complaint := check())), "")


def _rows(comparison: Comparison, measured: list[Pair]) -> Iterator[Row]:
    ours, theirs = measured[0]
    common = [metric for metric in ours if metric in theirs]
    if not common:
        raise ValueError(f"no metric of both: {sorted(ours)} and {sorted(theirs)}")
    for metric in common:
        harness = np.array([ours[metric] for ours, _ in measured])
        tool = np.array([theirs[metric] for _, theirs in measured])
        estimate = paired(tool, harness)
        reason = comparison.reasons.get(metric)
        of_all = np.min if "_seconds" in metric else np.max  # the others are rates
        best = float(of_all(harness) / of_all(tool))
        yield Row(
            probe=comparison.probe,
            metric=metric,
            tool=comparison.tool,
            agreement=judge(estimate, best, reason),
            estimate=estimate,
            best=best,
            reason=f"{reason.text} (expected: {reason.low:g} to {reason.high:g})" if reason else "",
        )


def _without(row: Row, agreement: Agreement, reason: str) -> Row:
    return Row(probe=row.probe, metric=row.metric, tool=row.tool, agreement=agreement, reason=" ".join(reason.split()))


def _bounds(estimate: Estimate) -> tuple[float, float]:
    low, high = estimate.interval
    if low is None or high is None:
        raise ValueError("an interval needs two pairs or more")
    return low, high


def _tail(output: str | bytes | None) -> str:
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output or ""
    return text.strip()[-300:]
