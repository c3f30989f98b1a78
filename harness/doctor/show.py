"""The report for a terminal, as plain lines for a pipe, or as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.doctor.finding import ORDER, Finding, Matter
from harness.doctor.fix import Step
from harness.doctor.report import Report

SCHEMA = 1
STYLES: dict[Matter, str] = {"decisive": "bold red", "relevant": "yellow", "unknown": "magenta", "noted": "dim"}
FIXABLE = "`doctor --fix` can do it"


def as_json(report: Report) -> str:
    """Return `{"schema", "findings" (null where none were looked for), "steps"}`."""
    return json.dumps({"schema": SCHEMA, **asdict(report)}, indent=2, ensure_ascii=False)


def show(report: Report, console: Console) -> None:
    """Write what was done, then what was found: a table on a terminal, else one line each."""
    for line in _steps(report.steps):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if report.findings is None:
        if not report.steps:
            console.print("nothing to put back: `doctor --fix` has left no note here", highlight=False)
        return
    if console.is_terminal:
        console.print(_table(report.findings))
    else:
        for each in report.findings:
            console.print(_line(each), highlight=False, markup=False, soft_wrap=True)
    console.print(_summary(report.findings), highlight=False, soft_wrap=True)


def _steps(steps: Sequence[Step]) -> Iterator[str]:
    """Yield one line for each outcome: a machine has hundreds of processors, which all fare the same."""
    outcomes = Counter((each.finding, each.said) for each in steps)
    where = {(each.finding, each.said): each.where for each in steps}
    for (finding, said), count in outcomes.items():
        place = where[finding, said] if count == 1 else f"{count} settings"
        yield f"{finding}: {said}" + (f" ({place})" if place else "")


def _line(each: Finding) -> str:
    remedy = f" Mend: {_remedy(each)}." if each.remedy or each.fixable else ""
    return f"{each.matter:8}  {each.id}: {each.what} [{each.source}]; {each.why}.{remedy}"


def _remedy(each: Finding) -> str:
    return "; ".join(filter(None, (each.remedy, FIXABLE if each.fixable else "")))


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    table.add_column("")
    table.add_column("")
    table.add_column("what, where it was read, and why it matters", ratio=3)
    table.add_column("how to mend it", ratio=2, overflow="fold")
    for each in findings:
        what = Text.assemble(each.what, (f" [{each.source}]\n{each.why}", "dim"))
        table.add_row(Text(each.matter, style=STYLES[each.matter]), each.id, what, Text(_remedy(each)))
    return table


def _summary(findings: Sequence[Finding]) -> str:
    counts = Counter(each.matter for each in findings)
    told = ", ".join(f"{counts[matter]} {matter}" for matter in ORDER if counts[matter])
    return told or "nothing on this host would spoil a measurement"
