"""What became of a launch: the agent's own result, or what its ending tells."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.agent.exit_status import crash
from harness.agent.messages import CellResult, CellSpec, MessageError, read_json

if TYPE_CHECKING:
    from harness.platforms.base import Ending, Job


def judge(job: Job, ending: Ending) -> CellResult:
    """Return the result of a launch that ended so.

    A result that the agent wrote counts, unless it ran out of time or memory; an ending by signal after it was
    written (a driver that crashes on exit) is added as a warning, since the measurement had been taken.
    """
    written = _written(job)
    if isinstance(written, CellResult) and not (ending.timed_out or ending.oom):
        note = _crash_note(ending)
        return replace(written, warnings=(*written.warnings, note)) if note else written
    return _from_ending(job, ending, written if isinstance(written, str) else "")


def _written(job: Job) -> CellResult | str:
    """Return the agent's result, or why there is none."""
    try:
        result = CellResult.from_json(read_json(job.result))
    except FileNotFoundError:
        return "it left no result"
    except (MessageError, OSError) as error:
        return f"its result can't be read ({error})"
    if (result.cell, result.block, result.attempt) != (job.spec.cell, job.spec.block, job.spec.attempt):
        return f"its result is of another invocation ({result.cell}, block {result.block})"
    return result


def _from_ending(job: Job, ending: Ending, problem: str) -> CellResult:
    spec: CellSpec = job.spec
    look = f"see logs/{job.log.name}"
    if ending.timed_out:
        return CellResult.of(
            spec,
            "timeout",
            f"still running after {job.timeout:g} s; raise `timeout` in the profile or make the task smaller; {look}",
        )
    if ending.oom:
        return CellResult.of(
            spec, "oom", f"ended for lack of memory; give the platform more or lower the batch; {look}"
        )
    if ending.signal is not None:
        return CellResult.of(spec, "crashed", f"ended by {_signal_name(ending.signal)}; {look}")
    if cause := crash(ending.exit_code or 0):
        return CellResult.of(spec, "crashed", f"ended by {cause}; {look}")
    last = ending.detail or _last_line(job.log)
    said = f": {last}" if last else ""
    return CellResult.of(spec, "failed", f"ended with status {ending.exit_code}, {problem}{said}; {look}")


def _crash_note(ending: Ending) -> str:
    if ending.signal is not None:
        return f"ended by {_signal_name(ending.signal)} after the result was written"
    if ending.exit_code:
        return f"ended with status {ending.exit_code} after the result was written"
    return ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(log: Path, most: int = 300) -> str:
    """Return the last line that says something of what the process printed, cut to `most` characters."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:most] for line in reversed(lines) if line.strip()), "")
