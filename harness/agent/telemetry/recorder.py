"""The parent's side: starts the sampler, takes the snapshots, and puts together what a result says.

Whatever becomes of the sampler, the task's result stays as it is; `samples` then says `error`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from harness.agent.telemetry.marks import marks
from harness.agent.telemetry.sampler import READY
from harness.agent.telemetry.snapshots import change, snapshot
from harness.agent.telemetry.summary import recorded

READY_SECONDS = 10.0  # the driver of an idle GPU without persistence mode takes seconds to wake up
STOP_SECONDS = 5.0
END_SECONDS = 1.0  # from the end of its output or a kill to its end
# The folder or archive that this package lies in.
IMPORT_ROOT = Path(__file__).parents[3]
PROGRAM = (
    "import sys; root = sys.argv.pop(1); sys.path.insert(0, root);"
    "from harness.agent.telemetry import sampler;"
    "sys.exit(sampler.main(sys.argv[1:]))"
)  # fmt: skip
Pipes = subprocess.Popen[bytes]


class Recorder:
    """What happened while a task ran: two snapshots and, once `watch` was called, samples in between.

    In order: `watch` starts the sampler (it gets ready beside what this process still has to do), `begin` waits for it
    and takes the first snapshot, `end` takes the last one and returns the record.
    """

    def __init__(self) -> None:
        self._before = snapshot()
        self._child: Pipes | None = None
        self._error = "not sampled: the task is declared to be short"
        self._record: dict[str, Any] = {}

    def watch(self, *, gpu: bool) -> None:
        """Start the sampler. Without a GPU it does without installed packages, whose search costs time."""
        self._error = "the sampler was cut off"
        options = [] if gpu else ["-S"]
        arguments = ["gpu"] if gpu else []
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-I", *options, "-c", PROGRAM, str(IMPORT_ROOT), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as error:
            self._error = f"no child process could be started: {error.strerror}"

    def begin(self) -> None:
        """Let sampling start, at the latest when the sampler has been waited for long enough."""
        if self._child is not None and not _ready(self._child, READY_SECONDS):
            self._give_up(self._child, f"the sampler was not ready within {READY_SECONDS:.0f} s")
        self._before = snapshot()
        if self._child is not None:
            _tell(self._child)

    def end(self) -> dict[str, Any]:
        """Return the record; again the same when asked again."""
        if not self._record:
            # Before the sampler is waited for: its memory and switches would count as the task's.
            record = change(self._before, snapshot())
            samples = self._samples()
            self._record = {**record, "samples": samples, "marks": marks(record, samples)}
        return self._record

    def _samples(self) -> dict[str, Any]:
        child, self._child = self._child, None
        if child is None:
            return {"error": self._error}
        try:
            output, said = child.communicate(b"\n", timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._give_up(child, f"the sampler did not stop within {STOP_SECONDS:.0f} s")
            return {"error": self._error}
        try:
            return recorded(json.loads(output, parse_constant=_refuse))
        except (ValueError, LookupError, TypeError):
            return {"error": _ending(child.returncode, said)}

    def _give_up(self, child: Pipes, error: str) -> None:
        """Say why there are no samples, and end the child; one that hangs in the kernel is left behind."""
        self._child = None
        try:
            _, said = child.communicate(timeout=END_SECONDS)
            self._error = _ending(child.returncode, said)
        except subprocess.TimeoutExpired:
            self._error = error
            child.kill()
            with suppress(subprocess.TimeoutExpired):
                child.communicate(timeout=END_SECONDS)


def _ready(child: Pipes, limit: float) -> bool:
    """Wait for the child's word. A thread reads, which pipes of Windows need; it is gone before the task starts."""
    said: list[bytes] = []

    def listen() -> None:
        assert child.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        said.append(child.stdout.readline())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    listener.join(limit)
    return said == [READY]


def _tell(child: Pipes) -> None:
    with suppress(OSError):  # it has died: `end` finds out
        assert child.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
        child.stdin.write(b"\n")


def _ending(status: int, said: bytes) -> str:
    """Say how the sampler ended; of a traceback the last line."""
    if status < 0:
        return f"the sampler crashed (signal {-status})"
    last = (said.decode("utf-8", "replace").strip().splitlines() or [f"exit status {status}"])[-1]
    return f"the sampler ended early: {last}"


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
