"""The sampler as the parent sees it: start the child, wait until it is ready, let it begin, take its answer.

Whatever becomes of it, nothing is raised but `SamplerError`, and nothing is waited for without a limit.
"""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import suppress
from typing import Any, NoReturn

from harness.agent.exit_status import crash
from harness.agent.own_process import ISOLATED, command
from harness.agent.telemetry.recorder import SamplerError
from harness.agent.telemetry.sampler import READY
from harness.agent.telemetry.summary import recorded

READY_SECONDS = 10.0  # the driver of an idle GPU without persistence mode takes seconds to wake up
STOP_SECONDS = 5.0
END_SECONDS = 1.0  # from the end of its output, or a kill, to its end
Pipes = subprocess.Popen[bytes]


class Sampler:
    """The child process. In order: made, `begin`, `answer`; after an error there is nothing more to call."""

    def __init__(self, device: str) -> None:
        """Start it for a task on a device: on `cpu` without installed packages, whose search costs time."""
        options, arguments = ((*ISOLATED, "-S"), ()) if device == "cpu" else (ISOLATED, (device,))
        try:
            self._child = subprocess.Popen(
                command("harness.agent.telemetry.sampler", *arguments, options=options),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
            )
        except OSError as error:
            msg = f"no child process could be started: {error.strerror}"
            raise SamplerError(msg) from error

    @property
    def pid(self) -> int:
        """The child's process number."""
        return self._child.pid

    def wait(self) -> None:
        """Wait until it has imported and read everything once. The thread that this needs is gone afterwards."""
        try:
            ready = _said_ready(self._child)
        except RuntimeError as error:  # a limit on processes counts threads too
            raise _given_up(self._child, f"the sampler could not be waited for: {error}") from None
        if not ready:
            raise _given_up(self._child, f"the sampler was not ready within {READY_SECONDS:.0f} s")

    def begin(self) -> None:
        """Let sampling start."""
        with suppress(OSError):  # it has died: `answer` finds out
            assert self._child.stdin is not None  # noqa: S101 - for the type checker: it is a pipe
            self._child.stdin.write(b"\n")

    def answer(self) -> dict[str, Any]:
        """Stop it and return the samples."""
        try:
            output, said = self._child.communicate(b"\n", timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise _given_up(self._child, f"the sampler did not stop within {STOP_SECONDS:.0f} s") from None
        try:
            return recorded(json.loads(output, parse_constant=_refuse))
        except (ValueError, LookupError, TypeError) as error:
            raise _ended(self._child.returncode, said) from error


def _said_ready(child: Pipes) -> bool:
    said: list[bytes] = []

    def listen() -> None:  # in a thread, since Windows has no other way to read from a pipe with a limit
        assert child.stdout is not None  # noqa: S101 - for the type checker: it is a pipe
        said.append(child.stdout.readline())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    listener.join(READY_SECONDS)
    return [line.rstrip() for line in said] == [READY.rstrip()]


def _given_up(child: Pipes, error: str) -> SamplerError:
    """Say how the child ended, or kill it; one that hangs in the kernel is left behind."""
    try:
        child.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        with suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=END_SECONDS)
        return SamplerError(error)
    _, said = child.communicate()
    return _ended(child.returncode, said)


def _ended(status: int, said: bytes) -> SamplerError:
    """Say how the sampler ended; of a traceback the last line."""
    if crash(status):
        return SamplerError(f"the sampler crashed ({crash(status)})")
    last = (said.decode("utf-8", "replace").strip().splitlines() or [f"exit status {status}"])[-1]
    return SamplerError(f"the sampler ended early: {last}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)
