"""A run from its beginning or from where it stopped: the bundle's folder, its manifest, and its execution."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from pydantic import ValidationError

from harness import __version__, pack, platforms, stacks
from harness.agent import inspection
from harness.agent.task import find
from harness.cache import cache_dir
from harness.errors import BundleError, Interrupted, UsageError
from harness.gpu import gpus
from harness.matrix import hidden
from harness.matrix.cells import Cell
from harness.matrix.expand import Plan, expand
from harness.matrix.model import Matrix
from harness.results import bundle
from harness.results.bundle import JournalLine, Manifest, PlatformRecord
from harness.runner.conditions import SAME_AGENT, check_conditions, check_stacks
from harness.runner.execute import Execution, Reporter, Settled, interrupted
from harness.runner.journal import MATRIX, Journal, explained
from harness.runner.marks import check, marks
from harness.runner.prepare import Bench, Readiness, make_ready
from harness.runner.privacy import Privacy, privacy
from harness.runner.schedule import looks

NOTHING_YET = "interrupted before anything was measured"
LAUNCH_SECONDS = 1.0  # what starting a process or container adds to a task's own time, for the plan alone


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What of the matrix is asked for. `gpu` is whether the host has one, which decides devices and lock files."""

    profile: str | None
    platforms: tuple[str, ...] | None
    tasks: tuple[str, ...] | None
    gpu: bool
    matrix: str = ""  # the file, as it was named

    def plan(self, matrix: Matrix) -> Plan:
        """Expand the matrix to this selection's cells."""
        return expand(matrix, self.profile, platforms=self.platforms, tasks=self.tasks, gpu=self.gpu)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run that can be executed: new, or begun earlier."""

    run_id: str
    folder: Path
    matrix: Matrix
    root: Path  # of the matrix's relative paths
    selection: Selection
    plan: Plan
    seed: int
    manifest: Manifest | None  # of a run that was begun
    identifiers: bool = False  # whether paths, user and host names may stand in its bundle
    unchecked: tuple[str, ...] = ()  # places of values taken from today's file that may not be those it began with


def bench(matrix: Matrix, plan: Plan, *, root: Path, gpu: bool, environ: Mapping[str, str], label: str) -> Bench:
    """Create the platforms and resolve the stacks that the plan names."""
    cache = cache_dir()
    scratch = cache / "scratch" / label
    return Bench(
        platforms={
            name: platforms.create(name, matrix.platforms[name], gpu=gpu, scratch=scratch, run_id=label, root=root)
            for name in sorted({cell.platform for cell in plan.cells})
        },
        stacks={
            name: stacks.resolve(name, matrix.stacks[name], root=root, gpu=gpu)
            for name in sorted({cell.stack for cell in plan.cells})
        },
        environ=environ,
        cache=cache,
    )


def new(
    matrix: Matrix,
    *,
    root: Path,
    selection: Selection,
    results: Path,
    seed: int | None,
    identifiers: bool = False,
) -> Run:
    """Plan a new run; nothing is written yet."""
    run_id = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    return Run(
        run_id=run_id,
        folder=results / run_id,
        matrix=matrix,
        root=root,
        selection=selection,
        plan=selection.plan(matrix),
        seed=secrets.randbelow(2**31) if seed is None else seed,
        manifest=None,
        identifiers=identifiers,
    )


def resumed(run_id: str, *, file: Path | None, results: Path) -> Run:
    """Take up a run by its manifest, not by today's matrix.yaml; raise UsageError if it can't go on here.

    From `file`, today's matrix.yaml, come only the values that no bundle keeps (`harness.matrix.hidden`). None is the
    file that the run was begun with, where it is still there.
    """
    if Path(run_id).name != run_id:
        raise UsageError(f"--resume {run_id!r}: a run's id is asked for, not a path", "Name its folder with --results")
    folder = results / run_id
    if not (folder / "run.json").is_file():
        begun = ", ".join(sorted(path.parent.name for path in results.glob("*/run.json"))) or "none"
        raise UsageError(f"--resume {run_id}: no such run in {results}", f"There are: {begun}")
    manifest = bundle.read_manifest(folder)
    if manifest.run_id != run_id:
        problem = f"--resume {run_id}: the bundle in that folder is of run {manifest.run_id}"
        raise UsageError(problem, "Give the folder its own name again")
    if manifest.boots:
        raise UsageError(f"--resume {run_id}: that bundle was merged of several runs", "Name the run that was stopped")
    if manifest.boot_id != boot_id():
        problem = f"--resume {run_id}: it was begun in another boot of this machine, and a run is one boot"
        raise UsageError(problem, "Start a new run; both bundles can be reported")
    try:
        kept = Matrix.model_validate(manifest.matrix["definition"])
        chosen = manifest.matrix["selection"]
        file = file or _begun_with(str(chosen.get("matrix", "")))
        selection = Selection(
            profile=manifest.matrix["profile"],
            platforms=_names(chosen["platforms"]),
            tasks=_names(chosen["tasks"]),
            gpu=bool(chosen["gpu"]),
            matrix=file.as_posix(),
        )
    except (KeyError, TypeError, ValidationError) as error:
        problem = f"{folder / 'run.json'}: its matrix can't be read by this version ({type(error).__name__})"
        raise BundleError(problem, "Resume it with the version that began it") from error
    matrix = hidden.restored(kept, file, run_id)
    taken = hidden.values(matrix, kept.model_dump(mode="json", by_alias=True))
    return Run(
        run_id=run_id,
        folder=folder,
        matrix=matrix,
        root=file.resolve().parent,
        selection=selection,
        plan=selection.plan(matrix),
        seed=manifest.seed,
        manifest=manifest,
        identifiers=bool(manifest.matrix.get("identifiers")),
        unchecked=check(run_id, manifest.plan.hidden, taken, cache_dir()) if taken else (),
    )


def execute(run: Run, *, reporter: Reporter, settled: Settled, environ: Mapping[str, str]) -> tuple[JournalLine, ...]:
    """Make ready, write the manifest, run every block; return the journal.

    The bundle is held from the first moment: a second process that resumes the same run is refused before it touches
    anything. Raises Interrupted, ResultsError, StackError or UsageError; whatever was measured is in the bundle.
    """
    work = bench(run.matrix, run.plan, root=run.root, gpu=run.selection.gpu, environ=environ, label=run.run_id)
    scratch = work.cache / "scratch" / run.run_id
    private = privacy(run.matrix, identifiers=run.identifiers)
    with Journal(run.folder, private, matrix=run.selection.matrix) as journal:
        try:
            check_stacks(run, work)
            ready = make_ready(run.plan.cells, work, reporter.say)
            check_conditions(run, ready, journal.lines)
            if run.manifest is None:
                with explained(run.folder, journal.matrix):
                    bundle.write_manifest(run.folder, _manifest(run, work, ready, journal.privacy))
            _execution(run, work, ready, journal, scratch, reporter, settled).run()
            return tuple(journal.lines)
        except KeyboardInterrupt:
            raise (interrupted(journal) if journal.lines else Interrupted(NOTHING_YET)) from None
        finally:
            for platform in work.platforms.values():
                platform.close()
            shutil.rmtree(scratch, ignore_errors=True)


def expectation(lines: Sequence[JournalLine]) -> Callable[[Cell], float]:
    """Return what an invocation of a cell is expected to take: the mean of earlier ones, else its declaration."""

    def expected(cell: Cell) -> float:
        before = [line.seconds for line in lines if line.cell == cell.id and line.seconds > 0]
        task = find(cell.entry)
        return fmean(before) if before else LAUNCH_SECONDS + (task.expected(cell.params, cell.device) if task else 0.0)

    return expected


def boot_id() -> str:
    """Return what tells this boot of the host from others."""
    return str(inspection.boot_id())


def _begun_with(recorded: str) -> Path:
    return Path(recorded) if recorded and Path(recorded).is_file() else Path(MATRIX)


def _found_again(file: str) -> str:
    """Return a file's path in this folder, which is the project's; of one elsewhere the name: the rest is a place."""
    path, here = Path(os.path.abspath(file)), Path.cwd()  # noqa: PTH100 - links stay what they are called
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.name


def _names(value: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _execution(
    run: Run, work: Bench, ready: Readiness, journal: Journal, scratch: Path, reporter: Reporter, settled: Settled
) -> Execution:
    return Execution(
        run_id=run.run_id,
        cells=run.plan.cells,
        profile=run.plan.profile,
        seed=run.seed,
        platforms=work.platforms,
        refused=ready.refused,
        resources=ready.resources,
        journal=journal,
        scratch=scratch,
        reporter=reporter,
        settled=settled,
        expected=expectation(journal.lines),
    )


def _manifest(run: Run, work: Bench, ready: Readiness, private: Privacy) -> Manifest:
    record: dict[str, Any] = private.record(
        {
            "schema": 1,
            "run_id": run.run_id,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "tool_version": __version__,
            "seed": run.seed,
            SAME_AGENT: pack.agent_digest(pack.agent_archive()),
            "matrix": _matrix_record(run),
            "host": inspection.inspect(()),
            "boot_id": boot_id(),
            "gpus": gpus(),
            "platforms": {name: _platform_record(name, work, ready).dump() for name in work.platforms},
            "stacks": {
                name: {
                    "framework": stack.framework,
                    "python": stack.python,
                    "variant": stack.variant,
                    "lock_sha256": stack.lock_sha256,
                    "platforms": ready.provenance.get(name, {}),
                }
                for name, stack in work.stacks.items()
            },
        }
    )
    # Not through `private`: what is changed without a mark is not found again when the run is resumed.
    record["matrix"]["hidden"] = marks(hidden.values(run.matrix), work.cache).dump()
    record["matrix"]["definition"] = hidden.definition(run.matrix, identifiers=run.identifiers)
    return Manifest.model_validate(record)


def _matrix_record(run: Run) -> dict[str, Any]:
    profile = run.plan.profile
    return {
        "baseline": run.matrix.baseline,
        "profile": run.plan.profile_name,
        "blocks": {"min": profile.blocks.min, "max": profile.blocks.max},
        "precision": profile.precision,
        "budget": profile.budget,
        "looks": list(looks(profile.blocks.min, profile.blocks.max, profile.precision)),
        "cells": [
            {
                "id": cell.id,
                "platform": cell.platform,
                "arm": cell.arm,
                "stack": cell.stack,
                "task": cell.task,
                "entry": cell.entry,
                "params": dict(cell.params),
                "device": cell.device,
            }
            for cell in run.plan.cells
        ],
        "selection": {
            "matrix": run.selection.matrix if run.identifiers else _found_again(run.selection.matrix),
            "platforms": run.selection.platforms,
            "tasks": run.selection.tasks,
            "gpu": run.selection.gpu,
        },
        "identifiers": run.identifiers,
    }


def _platform_record(name: str, work: Bench, ready: Readiness) -> PlatformRecord:
    platform = work.platforms[name]
    here = platform.availability()
    return PlatformRecord(
        kind=platform.kind,
        available=here.runnable,
        reason=here.reason,
        inspection=dict(ready.inspections.get(name, {})),
    )
