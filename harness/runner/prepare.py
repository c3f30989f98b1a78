"""Which cells can run, and making ready what they need: checkouts, stacks on each platform, an inspection."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import sources
from harness.agent.inspection.facts import FAILED_INSPECTION
from harness.agent.messages import CellSpec, MessageError, read_json
from harness.agent.task import find
from harness.errors import HarnessError, PlatformError, StackError
from harness.matrix.cells import Cell
from harness.platforms.base import Availability, Job, Platform
from harness.stacks import Stack

INSPECTION_SECONDS = 60.0
TF_BENCHMARKS = "tf_benchmarks"  # the name of the resource that `harness.sources` fetches


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What a run works with: the platforms, the stacks, and where shared things come from."""

    platforms: Mapping[str, Platform]
    stacks: Mapping[str, Stack]
    environ: Mapping[str, str]
    cache: Path


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """What was made ready. `refused` holds the cells that can't run, by id."""

    refused: Mapping[str, Availability]
    resources: Mapping[str, Path]
    inspections: Mapping[str, Mapping[str, Any]]
    provenance: Mapping[str, Mapping[str, Any]]  # stack → platform → what `prepare` reported
    notes: tuple[str, ...] = field(default=())


def assess(cells: Iterable[Cell], bench: Bench) -> dict[str, Availability]:
    """Say of every cell, by id, whether it can run here. Quick and without side effects."""
    return {cell.id: _assess(cell, bench) for cell in cells}


def _assess(cell: Cell, bench: Bench) -> Availability:
    platform = bench.platforms[cell.platform]
    here = platform.availability()
    if not here.runnable:
        return here
    if refusal := _unsupported(cell):
        return Availability(runnable=False, reason=refusal, status="unsupported")
    for resource in needs(cell):
        missing = sources.quick_check(bench.environ, bench.cache) if resource == TF_BENCHMARKS else ""
        if missing:
            return Availability(runnable=False, reason=missing)
    return platform.offers(bench.stacks[cell.stack], cell.device)


def _unsupported(cell: Cell) -> str:
    """Return why the task can't run on the cell's device with its parameters, on any platform; '' if it can."""
    task = find(cell.entry)
    return task.unsupported(cell.device, {**task.params, **cell.params}) if task else ""


def needs(cell: Cell) -> tuple[str, ...]:
    """Return the names of the resources that this cell's task reads."""
    task = find(cell.entry)
    return task.resources if task else ()


def make_ready(cells: Sequence[Cell], bench: Bench, say: Callable[[str], None]) -> Readiness:
    """Fetch and install what the runnable cells need; a cell whose needs can't be met is refused, no more.

    A resource is fetched before any stack, so that no framework is downloaded for a workload without its sources.
    """
    refused = {name: found for name, found in assess(cells, bench).items() if not found.runnable}
    resources = _fetch(cells, bench, refused, say)
    provenance = _install(cells, bench, refused, say)
    inspections = _inspect(cells, bench, refused, say)
    return Readiness(refused=refused, resources=resources, inspections=inspections, provenance=provenance)


def _fetch(
    cells: Sequence[Cell], bench: Bench, refused: dict[str, Availability], say: Callable[[str], None]
) -> dict[str, Path]:
    wanting = [cell for cell in cells if cell.id not in refused and TF_BENCHMARKS in needs(cell)]
    if not wanting:
        return {}
    try:
        checkout = sources.tf_benchmarks(environ=bench.environ, cache=bench.cache, progress=say)
    except StackError as error:
        refused.update({cell.id: Availability(runnable=False, reason=str(error)) for cell in wanting})
        say(str(error))
        return {}
    return {TF_BENCHMARKS: checkout}


def _install(
    cells: Sequence[Cell], bench: Bench, refused: dict[str, Availability], say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    provenance: dict[str, dict[str, Any]] = {}
    for (platform, stack), users in _by_installation(cells, refused).items():
        try:
            prepared = bench.platforms[platform].prepare(bench.stacks[stack], say)
        except (PlatformError, StackError) as error:
            refused.update({cell.id: Availability(runnable=False, reason=str(error)) for cell in users})
            say(f"{platform}/{stack}: {error}")
        else:
            provenance.setdefault(stack, {})[platform] = dict(prepared.provenance)
    return provenance


def _by_installation(cells: Sequence[Cell], refused: Mapping[str, Availability]) -> dict[tuple[str, str], list[Cell]]:
    users: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.id not in refused:
            users.setdefault((cell.platform, cell.stack), []).append(cell)
    return users


def build_images(cells: Sequence[Cell], bench: Bench, say: Callable[[str], None]) -> list[Mapping[str, Any]]:
    """Build or find the image of every stack of which a cell can run, on every container platform.

    Returns what each platform says of its image; of a stack without such a cell it says why one can't run. Unlike a
    run, it stops at the first that can't be made: PlatformError or StackError.
    """
    wanted = [cell for cell in cells if bench.platforms[cell.platform].kind == "container"]
    assessed = assess(wanted, bench)
    found = []
    for (platform, stack), users in _by_installation(wanted, {}).items():
        if any(assessed[cell.id].runnable for cell in users):
            found.append(bench.platforms[platform].prepare(bench.stacks[stack], say).provenance)
        else:
            say(f"{platform}/{stack}: {assessed[users[0].id].reason}")
    return found


def _inspect(
    cells: Sequence[Cell], bench: Bench, refused: Mapping[str, Availability], say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Inspect each platform once, with the first stack that runs on it."""
    found: dict[str, dict[str, Any]] = {}
    for platform, stack in _by_installation(cells, refused):
        if platform not in found:
            say(f"inspecting {platform}")
            used = (cell.device for cell in cells if cell.platform == platform and cell.id not in refused)
            device = next((each for each in used if each != "cpu"), "cpu")
            found[platform] = inspect(bench.platforms[platform], stack, device)
            if failed := found[platform].get(FAILED_INSPECTION):
                say(f"{platform} could not be inspected: {failed['error']}")
    return found


def inspect(platform: Platform, stack: str, device: str) -> dict[str, Any]:
    """Return what the agent sees of the platform, its GPU too if `device` is one; failing says so, stops nothing."""
    with tempfile.TemporaryDirectory(prefix="overhead-matrix-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        spec = CellSpec(
            cell=f"{platform.name}/{stack}/inspection",
            platform=platform.name,
            stack=stack,
            task="inspection",
            entry="inspection",
            params={},
            device=device,
            block=1,
            attempt=1,
            seed=0,
            locations=platform.locations(),
        )
        work = folder / "work"
        work.mkdir()
        job = Job(spec=spec, folder=work, log=folder / "log", timeout=INSPECTION_SECONDS, on_line=lambda _line: None)
        try:
            platform.launch(job, verb="inspect")
            record: dict[str, Any] = read_json(job.result)
        except (HarnessError, MessageError, OSError) as error:
            record = {FAILED_INSPECTION: {"value": None, "source": "agent", "error": str(error)}}
        return {**record, **platform.facts()}
