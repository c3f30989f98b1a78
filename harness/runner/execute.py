"""Executes a run: block after block, one fresh process an invocation, everything journalled."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from harness.agent.messages import CellResult, CellSpec, Progress
from harness.errors import Interrupted, PlatformError
from harness.matrix.cells import Cell
from harness.matrix.model import Profile
from harness.platforms.base import Availability, Job, Platform
from harness.results.bundle import invocation_name
from harness.runner.journal import Journal, resume_command
from harness.runner.outcome import judge
from harness.runner.schedule import block_order, looks, task_of, without

GIVE_UP_AFTER = 2  # failures in a row of one cell; what fails twice is a finding, not a fluke
FINAL = frozenset({"unsupported", "unavailable"})  # trying again in the next block changes nothing


class Reporter(Protocol):
    """Shows the user how the run goes."""

    def starting(self, cell: Cell, block: int, expected: float) -> None:
        """One invocation begins; `expected` seconds are what it took before, or its declaration says."""

    def advanced(self, progress: Progress) -> None:
        """The running invocation tells how far it is."""

    def finished(self, cell: Cell, result: CellResult, seconds: float) -> None:
        """The invocation is in the journal."""

    def planned(self, invocations: int, seconds: float) -> None:
        """So much is left of the run, at most."""

    def say(self, text: str) -> None:
        """One line about what is going on."""


# Whether the intervals of one task's cells are narrow enough after this block; later blocks must not be looked at.
Settled = Callable[[Sequence[Cell], int], bool]


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One run being executed. `expected` gives the seconds an invocation of a cell is thought to take."""

    run_id: str
    cells: Sequence[Cell]
    profile: Profile
    seed: int
    platforms: Mapping[str, Platform]
    refused: Mapping[str, Availability]
    resources: Mapping[str, Path]
    journal: Journal
    scratch: Path
    reporter: Reporter
    settled: Settled
    expected: Callable[[Cell], float]

    def run(self) -> None:
        """Run every block that is not in the journal yet.

        Raises Interrupted (with the command that resumes) on Ctrl-C and ResultsError when the journal can't be
        written. A cell's failure is a result, not an error.
        """
        self._record_refused()
        began = time.monotonic() - sum(line.seconds for line in self.journal.lines)  # a resumed run has spent some
        active = [cell for cell in self.cells if cell.id not in self.refused]
        try:
            for block in range(1, self.profile.blocks.max + 1):
                if not active or self._over_budget(block, began):
                    return
                self._block(block, active, began)
                active = [cell for cell in active if not cell.once]
                if block in looks(self.profile.blocks.min, self.profile.blocks.max, self.profile.precision):
                    active = self._unsettled(active, block)
        except KeyboardInterrupt:
            raise interrupted(self.journal) from None

    def _over_budget(self, block: int, began: float) -> bool:
        budget = self.profile.budget
        over = block > self.profile.blocks.min and budget is not None and time.monotonic() - began > budget
        if over:
            self.reporter.say(f"the budget of {budget:g} s is spent after {block - 1} blocks")
        return over

    def _unsettled(self, active: Sequence[Cell], block: int) -> list[Cell]:
        tasks = sorted({task_of(cell) for cell in active})
        settled = [task for task in tasks if self.settled([cell for cell in active if task_of(cell) == task], block)]
        if settled:
            self.reporter.say(f"precise enough, stopped: {', '.join(settled)}")
        return list(without(active, settled))

    def _block(self, block: int, active: Sequence[Cell], began: float) -> None:
        due = [cell for cell in block_order(active, seed=self.seed, block=block) if self._is_due(cell, block)]
        self.reporter.planned(*self._left(block, active, due, began))
        for cell in due:
            self._invoke(cell, block)

    def _left(self, block: int, active: Sequence[Cell], due: Sequence[Cell], began: float) -> tuple[int, float]:
        """Return how many invocations are left at most, and how long they may take.

        The budget ends no block that began within it, and none of the least number.
        """
        later, certain = (max(0, number - block) for number in (self.profile.blocks.max, self.profile.blocks.min))
        again = [cell for cell in active if not cell.once]
        this, each = sum(map(self.expected, due)), sum(map(self.expected, again))
        seconds = this + later * each
        if self.profile.budget is not None:
            left = self.profile.budget - (time.monotonic() - began)
            seconds = min(seconds, max(this + certain * each, left + each))
        return len(due) + later * len(again), seconds

    def _is_due(self, cell: Cell, block: int) -> bool:
        tried = self.journal.attempts(cell.id, block)
        return (not tried or tried[-1].status == "interrupted") and not self._given_up(cell)

    def _given_up(self, cell: Cell) -> bool:
        statuses = [line.status for line in self.journal.lines if line.cell == cell.id and line.status != "interrupted"]
        if statuses and statuses[-1] in FINAL:
            return True
        return len(statuses) >= GIVE_UP_AFTER and not {"ok", "limited"} & set(statuses[-GIVE_UP_AFTER:])

    def _record_refused(self) -> None:
        """Every planned cell leaves a record: those that can't run, with the reason, in block 1."""
        for cell in self.cells:
            found = self.refused.get(cell.id)
            if found and not self.journal.attempts(cell.id, 1):
                result = CellResult.of(self._spec(cell, 1), found.status, found.reason)
                self.journal.append(result, started=_now(), seconds=0.0)

    def _invoke(self, cell: Cell, block: int) -> None:
        spec = self._spec(cell, block)
        self.reporter.starting(cell, block, self.expected(cell))
        started, began = _now(), time.monotonic()
        try:
            result = self._launch(cell, spec)
        except KeyboardInterrupt:
            interrupted = CellResult.of(
                spec, "interrupted", f"stopped by the user; --resume {self.run_id} runs it again"
            )
            self.journal.append(interrupted, started=started, seconds=time.monotonic() - began)
            raise
        seconds = time.monotonic() - began
        self.journal.append(result, started=started, seconds=seconds)
        self.reporter.finished(cell, result, seconds)

    def _launch(self, cell: Cell, spec: CellSpec) -> CellResult:
        folder = self.scratch / invocation_name(cell.id, spec.block, spec.attempt)
        folder.mkdir(parents=True)
        log = self.journal.log(cell.id, spec.block, spec.attempt)
        job = Job(spec=spec, folder=folder, log=log, timeout=self.profile.timeout, on_line=self._on_line)
        try:
            ending = self.platforms[cell.platform].launch(job, resources=self.resources)
            return judge(job, ending)
        except PlatformError as error:
            return CellResult.of(spec, "failed", str(error))
        finally:
            self.journal.privacy.log(log)
            shutil.rmtree(folder, ignore_errors=True)

    def _on_line(self, line: str) -> None:
        progress = Progress.from_line(line)
        if progress:
            self.reporter.advanced(progress)

    def _spec(self, cell: Cell, block: int) -> CellSpec:
        platform = self.platforms[cell.platform]
        runnable = cell.id not in self.refused
        return CellSpec(
            cell=cell.id,
            platform=cell.arm_name,
            stack=cell.stack,
            task=cell.task,
            entry=cell.entry,
            params=cell.params,
            device=cell.device,
            block=block,
            attempt=len(self.journal.attempts(cell.id, block)) + 1,
            seed=self.seed,
            locations=platform.locations() if runnable else (),
            resources=platform.resources(self.resources) if runnable else {},
        )


def interrupted(journal: Journal) -> Interrupted:
    """Return the error that says how the run in this bundle goes on."""
    problem = f"run {journal.folder.name} was interrupted, what was measured is kept"
    return Interrupted(problem, f"Go on with: {resume_command(journal.folder, journal.matrix)}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
