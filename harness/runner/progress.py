"""Shows a run: a bar with the time left on a terminal, one plain line an invocation when piped."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, SpinnerColumn, Task, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

from harness.agent.messages import CellResult, Progress
from harness.matrix.cells import Cell

MARKS = {"ok": "✓", "limited": "✓", "interrupted": "–", "unavailable": "–", "unsupported": "–"}


def duration(seconds: float) -> str:
    """Return `42 s` or `3 min 05 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class _Left(ProgressColumn):
    """The time left, as the run reckoned it when the block began."""

    def render(self, task: Task) -> Text:
        until = task.fields["until"]
        return Text(f"at most {duration(max(0.0, until - time.monotonic()))} left" if until else "", style="cyan")


class RunProgress:
    """The reporter of a run (`harness.runner.execute.Reporter`); use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = console.is_terminal
        self._done = 0
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Left())
        self._bar = Bar(*columns, console=console, transient=True, disable=not self._live)
        self._task = self._bar.add_task("starting", total=None, until=0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def starting(self, cell: Cell, block: int, expected: float) -> None:
        """Name the invocation that runs."""
        self._bar.update(self._task, description=f"block {block} {cell.id} (about {duration(expected)})")

    def advanced(self, progress: Progress) -> None:
        """Show how far the invocation is."""
        if progress.note:
            self._bar.update(self._task, description=f"{progress.note} {progress.done}/{progress.total}")

    def finished(self, cell: Cell, result: CellResult, seconds: float) -> None:
        """Count the invocation and leave one line about it."""
        self._done += 1
        self._bar.update(self._task, completed=self._done)
        reason = f"  {result.reason}" if result.reason else ""
        mark = MARKS.get(result.status, "✗")
        self.say(f"{mark} block {result.block}  {cell.id}  {result.status}  {seconds:.1f} s{reason}")

    def planned(self, invocations: int, seconds: float) -> None:
        """Count the time left down from here."""
        self._bar.update(self._task, total=self._done + invocations, until=time.monotonic() + seconds)

    def say(self, text: str) -> None:
        """Print one line above the bar."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)
