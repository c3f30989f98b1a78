"""The journal of a run: each attempt is on disk, whole and synced, before the next one starts."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shlex
import shutil
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from harness.agent.messages import CellResult, to_json, write_json
from harness.errors import ResultsError
from harness.exclusive import acquire
from harness.results.bundle import JOURNAL, JournalLine, invocation_name, read_journal
from harness.results.store import MANIFEST
from harness.runner.privacy import Privacy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO


FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows knows quotas by another name

MATRIX = "matrix.yaml"  # the file that is read where none is named


class Journal:
    """Appends to one bundle folder. A line is written after its invocation's file, both fsynced."""

    def __init__(self, folder: Path, privacy: Privacy = Privacy(), *, matrix: str = MATRIX) -> None:  # noqa: B008 - immutable
        """Open the bundle `folder` of a run of the file `matrix`; raise ResultsError if it can't be written."""
        self.folder = folder
        self.privacy = privacy
        self.matrix = matrix
        with explained(folder, matrix):
            (folder / "invocations").mkdir(parents=True, exist_ok=True)
            (folder / "logs").mkdir(exist_ok=True)
            self._lock = _lock(folder)
            try:
                self._cut_partial_line()
                self.lines = list(read_journal(folder))
            except BaseException:
                self._lock.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Let the bundle go; one in which nothing was measured is removed, which Windows refuses under the lock."""
        self._lock.close()
        if not self.lines and not (self.folder / MANIFEST).exists():
            shutil.rmtree(self.folder, ignore_errors=True)

    def log(self, cell: str, block: int, attempt: int) -> Path:
        """Return the file for what the invocation prints."""
        return self.folder / "logs" / f"{invocation_name(cell, block, attempt)}.log"

    def attempts(self, cell: str, block: int) -> list[JournalLine]:
        """Return what was tried of this invocation."""
        return [line for line in self.lines if line.cell == cell and line.block == block]

    def append(self, result: CellResult, *, started: str, seconds: float) -> JournalLine:
        """Store one attempt; raise ResultsError (with the way to go on) if the disk refuses.

        Reasons, warnings and parameters may name a person or a host, and bundles are handed on: `privacy`.
        """
        result = replace(
            result,
            reason=self.privacy.message(result.reason),
            warnings=tuple(map(self.privacy.message, result.warnings)),
            params=self.privacy.record(result.params),
        )
        name = f"invocations/{invocation_name(result.cell, result.block, result.attempt)}.json"
        path = self.folder / name
        with explained(self.folder, self.matrix):
            write_json(path, to_json(result))
            line = JournalLine(
                block=result.block,
                cell=result.cell,
                attempt=result.attempt,
                status=result.status,
                reason=result.reason,
                started=started,
                seconds=round(seconds, 6),
                file=name,
                sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
            )
            with (self.folder / JOURNAL).open("a", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps(line.model_dump(mode="json"), ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        self.lines.append(line)
        return line

    def _cut_partial_line(self) -> None:
        """Drop a last line without its newline: the run died while writing it, so it was never acknowledged."""
        path = self.folder / JOURNAL
        if not path.exists():
            return
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as file:
                file.truncate(whole)


def _lock(folder: Path) -> IO[bytes]:
    """Hold the bundle for this process: two runs in one bundle would run invocations twice."""
    file = (folder / ".lock").open("a+b")
    if not acquire(file.fileno()):
        file.close()
        raise ResultsError(f"{folder} is in use by another run", "Wait for it, or stop it with Ctrl-C")
    return file


def resume_command(folder: Path, matrix: str = MATRIX) -> str:
    """Return what a user types to go on with the run of the file `matrix` in this bundle."""
    named = "" if matrix in ("", MATRIX) else f" -m {shlex.quote(matrix)}"
    results = "" if folder.parent == Path("results") else f" --results {shlex.quote(str(folder.parent))}"
    return f"nox -s matrix -- --resume {folder.name}{named}{results}"


@contextmanager
def explained(folder: Path, matrix: str = MATRIX) -> Iterator[None]:
    """Turn what the file system says into a ResultsError that names the folder and what to do."""
    try:
        yield
    except OSError as error:
        problem = f"{folder} can't be written: {error.strerror or error}"
        if error.errno in FULL:
            remedy = f"Free some space there, then go on with: {resume_command(folder, matrix)}"
        else:
            remedy = "Name another folder with --results"
        raise ResultsError(problem, remedy) from error
