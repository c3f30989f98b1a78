"""Scores as Markdown, with the goals that each analysis misses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tests.truth.measure import Score, Scores, Share
from tests.truth.scenarios import Scenario

COLUMNS = (
    *("scenario", "data sets", "coverage", "of p95", "false alarms", "after Holm, of all bundles"),
    *("power at 2%", "at 5%", "at 10%", "blocks", "goals missed"),
)
Found = Mapping[Scenario, Scores]


def tables(found: Found) -> Iterator[str]:
    """Yield the lines of a document: the analysis, what stopping costs and saves, and the wrong analyses."""
    stopping = {scenario: scores for scenario, scores in found.items() if scenario.precision}
    yield from _table("The analysis", {each.name: scores.right for each, scores in found.items()})
    title = "The same data sets without stopping by precision: all blocks at 95%"
    yield from _table(title, {each.name: scores.unstopped for each, scores in stopping.items()})
    title = "Wrong on purpose: every step a replicate (pooled)"
    yield from _table(title, {each.name: scores.pooled for each, scores in found.items()})
    title = "Wrong on purpose: the looks ignored (95% intervals stop a task and are reported)"
    yield from _table(title, {each.name: scores.hasty for each, scores in stopping.items()})


def _table(title: str, rows: Mapping[str, Score]) -> Iterator[str]:
    if rows:
        yield from ("", f"### {title}", "", _line(COLUMNS), _line(["---"] * len(COLUMNS)))
        yield from (_line(_row(name, score)) for name, score in rows.items())


def _row(name: str, score: Score) -> Sequence[str]:
    low, high = score.coverage.interval
    return (
        name,
        str(score.coverage.of),
        f"{score.coverage.value:.3f} ({low:.3f}–{high:.3f})",
        f"{score.tail.value:.3f}" if score.tail.of else "–",
        _percent(score.alarms),
        f"{score.families.hits} of {score.families.of}",
        *map(_percent, score.power),
        f"{score.blocks.value:.1f}",
        ", ".join(score.misses) or "none",
    )


def _percent(share: Share) -> str:
    return f"{share.value:.1%}" if share.of else "–"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
