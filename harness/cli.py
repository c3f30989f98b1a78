"""The command line: parses and prints, decides nothing. `main` is the only place that turns an error into a status."""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from harness import __version__
from harness.errors import HarnessError, Interrupted, UsageError
from harness.planning import RESULTS, planned, run_plan, selection
from harness.share import add_export, add_publish, run_export, run_publish

if TYPE_CHECKING:
    from harness.matrix.cells import Cell
    from harness.runner.run import Run

MATRIX = Path("matrix.yaml")
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

    plan = _command(commands, "plan", run_plan, "every cell, runnable or why not, and the expected time")
    _selecting(plan)
    plan.add_argument("--json", action="store_true", help="as JSON")
    plan.add_argument(
        "--boots", nargs="*", type=Path, metavar="BUNDLE", help="which boots to make, from these or those in results/"
    )
    plan.add_argument("--precision", type=_percent, metavar="2%", help="of --boots; default: the profile's, else 2%%")
    _assuring(plan)

    run = _command(commands, "run", _run, "execute the matrix, leave a bundle")
    _selecting(run)
    run.add_argument("--resume", metavar="RUN_ID", help="go on with a run that was stopped")
    run.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where bundles are kept")
    run.add_argument("--seed", type=int, metavar="N", help="of the random order (default: drawn, and recorded)")
    run.add_argument(
        "--with-identifiers",
        action="store_true",
        default=None,
        help="keep paths, user and host names in the bundle",
    )
    run.add_argument("--report", action="store_true", help="write the report afterwards, into reports/<run id>")

    report = _command(commands, "report", _report, "write index.html and report.json of a bundle, or of several")
    report.add_argument(
        "bundles", nargs="*", type=Path, metavar="BUNDLE", help="boots of one machine are merged; default: the newest"
    )
    report.add_argument("-o", "--output", type=Path, metavar="DIR", help="default: reports/<run id>")
    _assuring(report)

    compare = _command(commands, "compare", _compare, "two bundles, or two platforms of one bundle")
    compare.add_argument("a", metavar="A", help="the baseline: a bundle, or a platform's name")
    compare.add_argument("b", metavar="B", help="what is compared with it")
    compare.add_argument("--bundle", type=Path, help="where the two platforms are (default: the newest in results/)")
    compare.add_argument("--metric", default="*", metavar="GLOB")
    compare.add_argument("--format", choices=("text", "markdown", "json"), default="text")
    compare.add_argument(
        "--fail-above", type=_percent, metavar="5%", help="exit 1 if a slowdown's whole interval lies above this"
    )

    merge = _command(commands, "merge", _merge, "several boots of one machine into one bundle")
    merge.add_argument("bundles", nargs="+", type=Path, metavar="BUNDLE", help="a run's folder or zip, or a merged one")
    merge.add_argument("-o", "--output", type=Path, required=True, metavar="BUNDLE", help="a zip where it ends in .zip")
    _assuring(merge)

    add_export(_command(commands, "export", run_export, "a bundle's samples or comparisons, for other tools"))
    add_publish(_command(commands, "publish", run_publish, "a static site of many reports"))

    images = _command(commands, "images", _images, "build the container images that the matrix needs")
    _selecting(images)

    doctor = _command(commands, "doctor", _doctor, "what on this host would spoil a measurement, and how to mend it")
    change = doctor.add_mutually_exclusive_group()
    change.add_argument("--fix", action="store_true", help="change what can be undone, after noting how it was")
    change.add_argument("--restore", action="store_true", help="put back what --fix or a killed run changed")
    doctor.add_argument("--json", action="store_true", help="as JSON")

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


def _assuring(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--same-machine", action="store_true", help="bundles without a GPU's UUID are of one machine: you know it"
    )


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


def _recover() -> None:
    """Put right what killed runs left, before the host is asked what it has."""
    from harness.cache import cache_dir
    from harness.platforms import domain, guest
    from harness.platforms.vfio import SYSTEM

    for problem in [*domain.recover(cache_dir()), *guest.recover(SYSTEM, cache_dir() / "scratch")]:
        print(f"overhead-matrix: {problem}", file=sys.stderr)


def _begin(arguments: argparse.Namespace) -> Run:
    from harness.matrix.load import load
    from harness.runner import run as runs

    if arguments.resume is not None:
        fixed = ("profile", "platform", "task", "seed", "with_identifiers")
        given = [name.replace("_", "-") for name in fixed if getattr(arguments, name) is not None]
        if given:
            raise UsageError(f"--resume goes on as the run began, so --{given[0]} does not go with it", "Leave it out")
        named = None if arguments.matrix is MATRIX else arguments.matrix
        return runs.resumed(arguments.resume, file=named, results=arguments.results)
    matrix, root = load(arguments.matrix), arguments.matrix.resolve().parent
    return runs.new(
        matrix,
        root=root,
        selection=selection(arguments),
        results=arguments.results,
        seed=arguments.seed,
        identifiers=bool(arguments.with_identifiers),
    )


def _run(arguments: argparse.Namespace) -> int:
    from harness.planning import print_parts
    from harness.platforms.reach import parts
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
    if run.unchecked:
        print(f"the bundle has no value of {', '.join(run.unchecked)}: today's is taken, as the matrix file has it")
    print_parts(parts(run.matrix.platforms, dict.fromkeys(cell.platform for cell in run.plan.cells)))
    with RunProgress(console) as reporter:
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
    from harness.report.build import name_of

    bundles = arguments.bundles or [_newest(RESULTS)]
    _write_report(bundles, arguments.output or REPORTS / name_of(bundles), same=arguments.same_machine)
    return 0


def _write_report(bundles: Sequence[Path], output: Path, *, same: bool = False) -> None:
    from harness.report.build import build

    print(f"report: {build(bundles, output, same=same)}")


def _newest(results: Path) -> Path:
    begun = sorted(path.parent for path in results.glob("*/run.json"))
    if not begun:
        raise UsageError(f"{results}/ holds no bundle", "Run `nox -s matrix` first, or name a bundle")
    return begun[-1]


def _compare(arguments: argparse.Namespace) -> int:
    from harness.analysis.across import compare_bundles, compare_platforms, gated, regressions
    from harness.report.terminal import show

    if Path(arguments.a).exists() and Path(arguments.b).exists():
        found = compare_bundles(Path(arguments.a), Path(arguments.b), metric=arguments.metric)
    else:
        bundle = arguments.bundle or _newest(RESULTS)
        found = compare_platforms(bundle, arguments.a, arguments.b, metric=arguments.metric)
    print(show(found, arguments.format))
    if arguments.fail_above is None:
        return 0
    judged = gated(found)
    if len(judged) < len(found):
        unjudged = len(found) - len(judged)
        print(f"--fail-above: {unjudged} of {len(found)} slowdowns don't compare or have no interval", file=sys.stderr)
    above = regressions(judged, arguments.fail_above)
    for each in above:
        print(f"above {arguments.fail_above:.1%}: {each.task} {each.metric}", file=sys.stderr)
    return 1 if above else 0


def _merge(arguments: argparse.Namespace) -> int:
    from harness.results.merge import merge

    print(f"bundle: {merge(arguments.bundles, arguments.output, same=arguments.same_machine)}")
    return 0


def _images(arguments: argparse.Namespace) -> int:
    from harness.runner.prepare import build_images

    plan, work = planned(arguments, "images")
    built = build_images(plan.cells, work, lambda line: print(line, flush=True))
    for image in built:
        print(
            f"{image['image']}  {image['digest']}  {image['size'] / 1e6:.0f} MB  {image.get('build_seconds', 0):.1f} s"
        )
    return 0


def _doctor(arguments: argparse.Namespace) -> int:
    from harness.cache import cache_dir
    from harness.doctor.report import diagnose, mend, undo
    from harness.doctor.show import as_json, show

    act = mend if arguments.fix else undo if arguments.restore else diagnose
    report = act(cache_dir())
    if arguments.json:
        print(as_json(report))
    else:
        show(report, Console())
    return 1 if arguments.restore and any(step.failed for step in report.steps) else 0


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
