"""Comparisons for the terminal, as Markdown for a pull request, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from typing import Literal

from rich.console import Console
from rich.table import Table

from harness.analysis.model import Comparison

Format = Literal["text", "markdown", "json"]
COLUMNS = ("task", "metric", "stack", "slowdown", "95% interval", "verdict", "blocks", "remarks")


def show(found: Sequence[Comparison], form: Format) -> str:
    """Return the comparisons as text; an empty list says so."""
    if form == "json":
        return json.dumps([asdict(each) for each in found], indent=2, ensure_ascii=False)
    if not found:
        return "nothing to compare: no metric was measured on both sides"
    rows = [_row(each) for each in found]
    return _markdown(rows) if form == "markdown" else _text(found[0], rows)


def _row(each: Comparison) -> tuple[str, ...]:
    dims = ", ".join(f"{name}={value}" for name, value in each.dims.items())
    low, high = each.ci95
    interval = f"{low:.3f}–{high:.3f}" if low is not None and high is not None else "none"
    verdict = each.verdict if each.comparable else f"{each.verdict} (not comparable)"
    metric = f"{each.metric} ({dims})" if dims else each.metric
    remarks = "; ".join(each.confounders)
    ours, theirs = each.boots
    blocks = str(each.blocks) if max(each.boots) == 1 else f"{each.blocks} in {ours} and {theirs} boots"
    return (each.task, metric, each.stack, f"{each.slowdown:.3f}", interval, verdict, blocks, remarks)


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [COLUMNS, ["---"] * len(COLUMNS), *([_cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def _text(first: Comparison, rows: Sequence[Sequence[str]]) -> str:
    table = Table(*COLUMNS[:-1], box=None, pad_edge=False, title_justify="left")
    table.title = f"{first.platform} against {first.baseline}: above 1 is worse"
    for row in rows:
        table.add_row(*row[:-1])
    out = StringIO()
    console = Console(file=out, width=160)
    console.print(table, highlight=False, markup=False)
    for remark in sorted({remark for row in rows for remark in row[-1].split("; ") if remark}):
        console.print(f"- {remark}", highlight=False, markup=False, soft_wrap=True)
    return out.getvalue().rstrip("\n")
