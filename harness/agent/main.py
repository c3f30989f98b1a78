"""The agent: executes one cell and writes down what it gave.

    python agent.pyz run SPEC RESULT        SPEC: a CellSpec; RESULT: a CellResult, written atomically
    python agent.pyz inspect SPEC RESULT    RESULT: what this platform is (harness.agent.inspection)

Exit status:

    0    RESULT was written, whatever its status
    2    wrong arguments
    64   this Python is too old (said by __main__.py)
    65   SPEC cannot be read
    74   RESULT cannot be written
    130  interrupted; a task that was running has left a result that says so

stdout carries progress lines among whatever the task prints; stderr carries a failure's traceback.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.agent.execute import execute
from harness.agent.messages import CellSpec, MessageError, read_json, to_json, write_json
from harness.agent.progress import ProgressLines

EXIT_WRITTEN = 0
EXIT_USAGE = 2
EXIT_SPEC = 65
EXIT_RESULT = 74
EXIT_INTERRUPTED = 130

USAGE = "usage: agent.pyz run|inspect SPEC RESULT"


def main(argv: Sequence[str]) -> int:
    """Run one verb and return the exit status."""
    if len(argv) != 3 or argv[0] not in _VERBS:
        return _complain(USAGE, EXIT_USAGE)
    verb, spec_path, result_path = argv
    _heed_termination()
    try:
        spec = CellSpec.from_json(read_json(spec_path))
    except (OSError, MessageError) as error:
        return _complain(f"cannot read {spec_path}: {error}", EXIT_SPEC)
    try:
        return _VERBS[verb](spec, Path(result_path))
    except OSError as error:
        return _complain(f"cannot write {result_path}: {error}", EXIT_RESULT)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _run(spec: CellSpec, path: Path) -> int:
    result = execute(spec, ProgressLines(sys.stdout))
    _ignore_signals()
    write_json(path, to_json(result))
    return EXIT_INTERRUPTED if result.status == "interrupted" else EXIT_WRITTEN


def _inspect(spec: CellSpec, path: Path) -> int:
    from harness.agent import inspection  # noqa: PLC0415 - `run` starts faster without it

    write_json(path, inspection.inspect(spec.locations))
    return EXIT_WRITTEN


_VERBS: Mapping[str, Callable[[CellSpec, Path], int]] = {"run": _run, "inspect": _inspect}


def _heed_termination() -> None:
    """Let SIGTERM end a task as Ctrl-C does; SIGINT too where the process was started with it ignored.

    On Windows a process of its own group is told by Ctrl-Break, since Ctrl-C is switched off there.
    """
    for number in _stops():
        signal.signal(number, signal.default_int_handler)


def _ignore_signals() -> None:
    """Keep an impatient second signal from cutting off the result."""
    for number in _stops():
        signal.signal(number, signal.SIG_IGN)


def _stops() -> tuple[signal.Signals, ...]:
    if sys.platform == "win32":
        return signal.SIGTERM, signal.SIGINT, signal.SIGBREAK
    return signal.SIGTERM, signal.SIGINT


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"overhead-matrix agent: {' '.join(text.split())}\n")
    return status
