"""The command line: parses and prints, decides nothing. `main` is the only place that turns an error into a status."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from harness import __version__
from harness.errors import HarnessError, Interrupted, UsageError

if TYPE_CHECKING:
    from harness.matrix.cells import Cell
    from harness.matrix.expand import Plan
    from harness.runner.prepare import Bench
    from harness.runner.run import Run, Selection

MATRIX = Path("matrix.yaml")
RESULTS = Path("results")
REPORTS = Path("reports")
FAILURES = frozenset({"failed", "crashed", "timeout", "oom", "throttled"})


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; print an error as one line on stderr and return its exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.command(arguments)
    except HarnessError as error:
        print(f"overhead-matrix: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        print("overhead-matrix: interrupted", file=sys.stderr)
        return Interrupted.exit_status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a path that cannot be read or written, wherever it was met
        where = f"{error.filename}: " if error.filename else ""
        print(f"overhead-matrix: {where}{error.strerror or error}", file=sys.stderr)
        return 1
    return status


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    top = argparse.ArgumentParser(prog="overhead-matrix", description="What does the platform cost you?")
    top.add_argument("--version", action="version", version=__version__)
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    plan = _command(commands, "plan", _plan, "every cell, runnable or why not, and the expected time")
    _selecting(plan)
    plan.add_argument("--json", action="store_true", help="as JSON")

    run = _command(commands, "run", _run, "execute the matrix, leave a bundle")
    _selecting(run)
    run.add_argument("--resume", metavar="RUN_ID", help="go on with a run that was stopped")
    run.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where bundles are kept")
    run.add_argument("--seed", type=int, metavar="N", help="of the random order (default: drawn, and recorded)")
    run.add_argument("--report", action="store_true", help="write the report afterwards, into reports/<run id>")

    report = _command(commands, "report", _report, "write index.html and report.json of a bundle")
    report.add_argument("bundles", nargs="*", type=Path, metavar="BUNDLE", help="default: the newest in results/")
    report.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: reports/<run id>")

    compare = _command(commands, "compare", _compare, "two bundles, or two platforms of one bundle")
    compare.add_argument("a", metavar="A", help="the baseline: a bundle, or a platform's name")
    compare.add_argument("b", metavar="B", help="what is compared with it")
    compare.add_argument("--bundle", type=Path, help="where the two platforms are (default: the newest in results/)")
    compare.add_argument("--metric", default="*", metavar="GLOB")
    compare.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    compare.add_argument(
        "--fail-above", type=_percent, metavar="5%", help="exit 1 if a slowdown's whole interval lies above this"
    )

    images = _command(commands, "images", _images, "build the container images that the matrix needs")
    _selecting(images)

    guests = commands.add_parser("vm", help="what the vm platform needs")
    guest = _command(guests.add_subparsers(metavar="COMMAND", required=True), "image", _vm_image, "make a guest image")
    guest.add_argument("-o", "--output", type=Path, default=Path("guest.qcow2"), metavar="FILE")
    guest.add_argument("--suite", default="bookworm", help="of Debian (default: bookworm)")
    guest.add_argument("--include", action="append", metavar="PACKAGE", help="one more; may be repeated")
    guest.add_argument("--mirror", default="", metavar="URL", help="default: Debian's own")
    guest.add_argument("--size", type=_size, default="16g", help="of the disk, which takes what is used (default: 16g)")

    schema = _command(commands, "schema", _schema, "write the JSON Schema of matrix.yaml, for editors")
    schema.add_argument("file", type=Path)
    return top


def _command(
    commands: Any,  # noqa: ANN401 - argparse's own class of subparsers is private
    name: str,
    function: Callable[[argparse.Namespace], int],
    summary: str,
) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=summary, description=summary)
    command.set_defaults(command=function)
    return command


def _selecting(command: argparse.ArgumentParser) -> None:
    command.add_argument("-m", "--matrix", type=Path, default=MATRIX, metavar="FILE")
    command.add_argument("--profile", metavar="P", help="default: the first in the file")
    command.add_argument("--platform", action="append", metavar="X", help="this platform only; may be repeated")
    command.add_argument("--task", action="append", metavar="GLOB", help="these tasks only; may be repeated")


def _percent(text: str) -> float:
    """Read `5%` or 0.05."""
    try:
        value = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf or (value >= 1 and not text.endswith("%")):
        message = f"{text!r} is no percentage; write 5%"
        raise argparse.ArgumentTypeError(message)
    return value


def _size(text: str) -> int:
    """Read `16g`."""
    from harness.matrix.units import size

    try:
        return size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from error


def _selection(arguments: argparse.Namespace) -> Selection:
    from harness.gpu import host_has_gpu
    from harness.runner.run import Selection

    return Selection(
        profile=arguments.profile,
        platforms=None if arguments.platform is None else tuple(arguments.platform),
        tasks=None if arguments.task is None else tuple(arguments.task),
        gpu=host_has_gpu(),
    )


def _planned(arguments: argparse.Namespace, label: str) -> tuple[Plan, Bench]:
    """Return the cells that the command line selects, and the platforms and stacks they name."""
    from harness.matrix.load import load
    from harness.runner.run import bench

    matrix = load(arguments.matrix)
    selection = _selection(arguments)
    plan = selection.plan(matrix)
    root = arguments.matrix.resolve().parent
    return plan, bench(matrix, plan, root=root, gpu=selection.gpu, environ=os.environ, label=label)


def _plan(arguments: argparse.Namespace) -> int:
    from harness.runner.prepare import assess
    from harness.runner.run import expectation

    plan, work = _planned(arguments, "plan")
    found = assess(plan.cells, work)
    expected = expectation(())
    runnable = [cell for cell in plan.cells if found[cell.id].runnable]
    least = plan.profile.blocks.min * sum(map(expected, runnable))
    most = plan.profile.blocks.max * sum(map(expected, runnable))
    if plan.profile.budget is not None:
        most = max(least, min(most, plan.profile.budget))
    rows = [
        {"cell": cell.id, "device": cell.device, "runnable": found[cell.id].runnable, "reason": found[cell.id].reason}
        for cell in plan.cells
    ]
    record = {"profile": plan.profile_name, "cells": rows, "expected_seconds": {"least": least, "most": most}}
    if arguments.json:
        print(json.dumps(record, indent=2, ensure_ascii=False))
    else:
        _print_plan(plan.profile_name, rows, least, most)
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
            table.add_row(row["cell"], row["device"], "runs")
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


def _recover() -> None:
    """Put right what killed runs left, before the host is asked what it has."""
    from harness.cache import cache_dir
    from harness.platforms.guest import recover
    from harness.platforms.vfio import SYSTEM

    for problem in recover(SYSTEM, cache_dir() / "scratch"):
        print(f"overhead-matrix: {problem}", file=sys.stderr)


def _begin(arguments: argparse.Namespace) -> Run:
    from harness.matrix.load import load
    from harness.runner import run as runs

    root = arguments.matrix.resolve().parent
    if arguments.resume is not None:
        given = [name for name in ("profile", "platform", "task", "seed") if getattr(arguments, name) is not None]
        if given:
            raise UsageError(f"--resume goes on as the run began, so --{given[0]} does not go with it", "Leave it out")
        return runs.resumed(arguments.resume, root=root, results=arguments.results)
    matrix = load(arguments.matrix)
    return runs.new(matrix, root=root, selection=_selection(arguments), results=arguments.results, seed=arguments.seed)


def _run(arguments: argparse.Namespace) -> int:
    from harness.runner.progress import RunProgress
    from harness.runner.run import execute

    _recover()
    run = _begin(arguments)
    console = Console(stderr=False)
    console.print(
        f"run {run.run_id}: profile {run.plan.profile_name}, {len(run.plan.cells)} cells, seed {run.seed}",
        highlight=False,
        soft_wrap=True,
    )
    with RunProgress(console, run.plan.profile.budget) as reporter:
        lines = execute(run, reporter=reporter, settled=_settled(run), environ=os.environ)
    last = {(line.cell, line.block): line.status for line in lines}
    failed = sorted({cell for (cell, _), status in last.items() if status in FAILURES})
    print(f"bundle: {run.folder}")
    if failed:
        print(f"{len(failed)} of {len(run.plan.cells)} cells failed: {', '.join(failed)}")
    if arguments.report:
        _write_report([run.folder], REPORTS / run.run_id)
    return 1 if failed else 0


def _settled(run: Run) -> Callable[[Sequence[Cell], int], bool]:
    """Return the stopping rule of the run: whether a task's intervals are as narrow as the profile wants."""

    def settled(cells: Sequence[Cell], block: int) -> bool:
        from harness.analysis.compare import settled_in

        precision = run.plan.profile.precision
        return precision is not None and settled_in(run.folder, [cell.id for cell in cells], precision, block)

    return settled


def _report(arguments: argparse.Namespace) -> int:
    from harness.results.bundle import read_manifest

    bundles = arguments.bundles or [_newest(RESULTS)]
    _write_report(bundles, arguments.output or REPORTS / read_manifest(bundles[0]).run_id)
    return 0


def _write_report(bundles: Sequence[Path], output: Path) -> None:
    from harness.report.build import build

    print(f"report: {build(bundles, output)}")


def _newest(results: Path) -> Path:
    begun = sorted(path.parent for path in results.glob("*/run.json"))
    if not begun:
        raise UsageError(f"{results}/ holds no bundle", "Run `nox -s matrix` first, or name a bundle")
    return begun[-1]


def _compare(arguments: argparse.Namespace) -> int:
    from harness.analysis.across import compare_bundles, compare_platforms, regressions
    from harness.report.terminal import show

    if Path(arguments.a).exists() and Path(arguments.b).exists():
        found = compare_bundles(Path(arguments.a), Path(arguments.b), metric=arguments.metric)
    else:
        bundle = arguments.bundle or _newest(RESULTS)
        found = compare_platforms(bundle, arguments.a, arguments.b, metric=arguments.metric)
    print(show(found, arguments.format))
    if arguments.fail_above is None:
        return 0
    if not any(each.comparable for each in found):
        raise UsageError("--fail-above: nothing that can be compared was measured on both sides", "See --metric")
    above = regressions(found, arguments.fail_above)
    for each in above:
        print(f"above {arguments.fail_above:.1%}: {each.task} {each.metric}", file=sys.stderr)
    return 1 if above else 0


def _images(arguments: argparse.Namespace) -> int:
    from harness.runner.prepare import build_images

    plan, work = _planned(arguments, "images")
    built = build_images(plan.cells, work, lambda line: print(line, flush=True))
    for image in built:
        print(
            f"{image['image']}  {image['digest']}  {image['size'] / 1e6:.0f} MB  {image.get('build_seconds', 0):.1f} s"
        )
    return 0


def _vm_image(arguments: argparse.Namespace) -> int:
    from harness.platforms.guest_recipe import Recipe, make

    recipe = Recipe(
        suite=arguments.suite,
        include=tuple(arguments.include or ()),
        mirror=arguments.mirror,
        size=arguments.size,
    )
    made = make(recipe, arguments.output, lambda line: print(line, flush=True))
    print(f"{made.image.disk}  {made.image.disk.stat().st_size / 1e6:.0f} MB  {made.seconds:.1f} s")
    return 0


def _schema(arguments: argparse.Namespace) -> int:
    from harness.matrix.schema import write_schema

    write_schema(arguments.file)
    print(f"schema: {arguments.file}")
    return 0
