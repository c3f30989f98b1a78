"""Programs that a task starts: timed from start to end, their output kept for the one that fails.

Output goes to a file, since a pipe would wake this process while it is on the clock. And the end is awaited without a
timeout, since Popen.wait polls with one, up to 50 ms apart: a timer ends what hangs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from harness.agent.exit_status import crash
from harness.agent.privacy import without_person
from harness.agent.sampling import NANOSECOND

LIMIT = 300.0  # seconds: no step of a task takes so long unless it hangs
TAIL = 600  # characters of a log that fit a reason


class StepError(Exception):
    """A program could not do its step; the text names the step, how it ended, and the end of what it printed."""


def timed(
    argv: Sequence[str | Path], step: str, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> float:
    """Run a program and return the seconds from its start to its end; `environ` is added to this process's.

    It starts in `folder`, or else in this process's. Raises StepError if it can't be started, fails or takes longer
    than LIMIT; its whole output is then on stderr.
    """
    with tempfile.TemporaryFile() as log:
        return _run(argv, step, environ or {}, log, folder)


def output(argv: Sequence[str | Path], step: str, environ: Mapping[str, str] | None = None) -> str:
    """Run a program and return what it printed. Raises StepError as `timed` does."""
    with tempfile.TemporaryFile() as log:
        _run(argv, step, environ or {}, log)
        return text(log)


def _run(
    argv: Sequence[str | Path], step: str, environ: Mapping[str, str], log: IO[bytes], folder: Path | None = None
) -> float:
    start = time.perf_counter_ns()
    process = _start([str(part) for part in argv], step, environ, log, folder)
    status = _await_end(process)
    seconds = (time.perf_counter_ns() - start) * NANOSECOND
    if status != 0:
        raise StepError(f"{step}: {_ending(status, seconds)}: {tail(log)}")
    return seconds


def _start(
    argv: Sequence[str], step: str, environ: Mapping[str, str], log: IO[bytes], folder: Path | None
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environ},
            cwd=folder,
        )
    except OSError as error:
        raise StepError(f"{step}: {without_person(argv[0])} can't be started: {error.strerror or error}") from error


def _await_end(process: subprocess.Popen[bytes]) -> int:
    timer = threading.Timer(LIMIT, process.kill)
    timer.start()
    try:
        return process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:  # an interrupted wait
            process.kill()
            process.wait()


def _ending(status: int, seconds: float) -> str:
    if seconds >= LIMIT:
        return f"no end after {LIMIT:g} s"
    cause = crash(status)
    return f"ended by {cause}" if cause else f"exit status {status}"


def text(log: IO[bytes]) -> str:
    """Return a log from its beginning."""
    log.seek(0)
    return log.read().decode("utf-8", "replace")


def tail(log: IO[bytes]) -> str:
    """Return the end of a log for a reason, after copying the whole to stderr; both name nobody."""
    said = without_person(text(log).strip())
    with suppress(OSError, ValueError):
        sys.stderr.write(said.encode("ascii", "backslashreplace").decode() + "\n")
    return ("…" + said[-TAIL:] if len(said) > TAIL else said) or "it printed nothing"


def isolation() -> tuple[str, ...]:
    """Return what keeps a child as apart from the user's packages as this interpreter is."""
    return ("-I",) if sys.flags.isolated else ()
