"""The command `plan`, and what other commands plan alike: which cells a command line selects, and what they need."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.matrix.expand import Plan
    from harness.runner.prepare import Bench
    from harness.runner.run import Selection

RESULTS = Path("results")


def selection(arguments: argparse.Namespace) -> Selection:
    """Return what the command line picks out of the matrix."""
    from harness.gpu import host_has_gpu
    from harness.runner.run import Selection

    return Selection(
        profile=arguments.profile,
        platforms=None if arguments.platform is None else tuple(arguments.platform),
        tasks=None if arguments.task is None else tuple(arguments.task),
        gpu=host_has_gpu(),
        matrix=arguments.matrix.as_posix(),
    )


def planned(arguments: argparse.Namespace, label: str) -> tuple[Plan, Bench]:
    """Return the cells that the command line selects, and the platforms and stacks they name."""
    from harness.matrix.load import load
    from harness.runner.run import bench

    matrix = load(arguments.matrix)
    chosen = selection(arguments)
    plan = chosen.plan(matrix)
    root = arguments.matrix.resolve().parent
    return plan, bench(matrix, plan, root=root, gpu=chosen.gpu, environ=os.environ, label=label)


def run_plan(arguments: argparse.Namespace) -> int:
    """Show the cells that would run, why the others can't, and how long it takes; or propose boots."""
    from harness.runner.prepare import assess
    from harness.runner.run import expectation

    if arguments.boots is not None:
        return _plan_boots(arguments)
    plan, work = planned(arguments, "plan")
    found = assess(plan.cells, work)
    expected = expectation(())
    runnable = [cell for cell in plan.cells if found[cell.id].runnable]
    once = sum(expected(cell) for cell in runnable if cell.once)
    block = sum(expected(cell) for cell in runnable if not cell.once)
    least, most = (once + number * block for number in (plan.profile.blocks.min, plan.profile.blocks.max))
    if plan.profile.budget is not None:
        most = max(least, min(most, plan.profile.budget))
    rows = [
        {
            "cell": cell.id,
            "device": cell.device,
            "once": cell.once,
            "runnable": found[cell.id].runnable,
            "status": "" if found[cell.id].runnable else found[cell.id].status,
            "reason": found[cell.id].reason,
        }
        for cell in plan.cells
    ]
    parts = _parts(arguments)
    seconds = {"least": least, "most": most}
    record = {"profile": plan.profile_name, "cells": rows, "expected_seconds": seconds, "boots": parts}
    if arguments.json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        _print_plan(plan.profile_name, rows, least, most)
        print_parts(parts)
        if parts:
            print("`plan --boots` proposes how often to boot each; `report` takes all their bundles together")
    return 0


def _parts(arguments: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """Return system → the selected platforms that its boots measure, where the matrix needs several systems."""
    from harness.matrix.load import load
    from harness.platforms.reach import parts

    matrix = load(arguments.matrix)
    cells = selection(arguments).plan(matrix).cells
    return parts(matrix.platforms, dict.fromkeys(cell.platform for cell in cells))


def print_parts(parts: Mapping[str, Sequence[str]]) -> None:
    """Say which platforms this boot measures and which are for boots of another system."""
    here = {"win32": "windows"}.get(sys.platform, sys.platform)
    for system, names in parts.items():
        print(f"{'this boot, of' if system == here else 'a boot of'} {system}, is for: {', '.join(names)}")


def _plan_boots(arguments: argparse.Namespace) -> int:
    from random import SystemRandom

    from harness.boots import known_boots, propose
    from harness.matrix.load import load

    parts = _parts(arguments)
    if not parts:
        raise UsageError("plan --boots: one system reaches all the platforms selected", "There is nothing to boot")
    profile = selection(arguments).plan(load(arguments.matrix)).profile
    precision = arguments.precision or profile.precision or 0.02
    with known_boots(arguments.boots, RESULTS, same=arguments.same_machine) as bundle:
        proposal = propose(parts, bundle, precision, SystemRandom())
    print(json.dumps(asdict(proposal), indent=2, ensure_ascii=False) if arguments.json else "\n".join(proposal.lines()))
    return 0


def _print_plan(profile: str, rows: list[dict[str, Any]], least: float, most: float) -> None:
    from harness.runner.progress import duration

    console = Console(width=None if sys.stdout.isatty() else 200)
    table = Table(title=f"profile {profile}", title_justify="left", box=None, pad_edge=False)
    table.add_column("cell", overflow="fold")
    table.add_column("device")
    table.add_column("")
    for row in rows:
        if row["runnable"]:
            table.add_row(row["cell"], row["device"], "runs once: what a step consists of" if row["once"] else "runs")
    console.print(table, highlight=False, markup=False) if any(row["runnable"] for row in rows) else None
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if not row["runnable"]:
            reasons.setdefault(row["reason"], []).append(row["cell"])
    for reason, cells in reasons.items():
        console.print(f"\nCan't run: {reason}", highlight=False, markup=False, soft_wrap=True)
        for cell in cells:
            console.print(f"  {cell}", highlight=False, markup=False, soft_wrap=True)
    count = sum(row["runnable"] for row in rows)
    console.print(
        f"\n{count} of {len(rows)} cells can run; measuring takes {duration(least)} to {duration(most)},"
        " after what has to be fetched and installed",
        highlight=False,
        soft_wrap=True,
    )
