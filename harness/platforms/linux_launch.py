"""One invocation in a Linux behind a door: started, followed live, its result fetched, ended if it must be."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.errors import PlatformError, ResultsError
from harness.platforms.agent_call import GPU_CHOICE, SPEC, write_spec
from harness.platforms.base import Ending, Job
from harness.platforms.linux_host import MARK, LinuxHost, content_digest, read_answer
from harness.platforms.native import BASICS
from harness.runner import process

END_SECONDS = 20.0
TAIL = 4096  # bytes of the log in which an explanation is looked for


def launch(host: LinuxHost, job: Job, argv: Sequence[str], environment: Mapping[str, str]) -> Ending:
    """Run a program on `job.spec` in a folder of its own there; its result comes to `job.result`.

    `environment` is what is set beyond what a native process keeps. However this is left, nothing of the program runs
    on. Raises PlatformError.
    """
    write_spec(job)
    name = secrets.token_hex(8)
    over = False
    try:
        end, answer = _follow(host, job, name, argv, environment)
        if end.timed_out:
            return Ending(timed_out=True, seconds=end.seconds)
        ended = _collect(host, job, name, answer)
        over = True
        return _ending(ended, end.seconds)
    finally:
        if not over:  # the end of the program that leads there is not the end of what it started
            with suppress(PlatformError):
                host.ask("end", timeout=END_SECONDS, job=name)


def _follow(
    host: LinuxHost, job: Job, name: str, argv: Sequence[str], environment: Mapping[str, str]
) -> tuple[process.Exit, Mapping[str, Any] | None]:
    """Start it and pass its lines on; return how the way there ended, and the answer if it could not be started."""
    answers: list[str] = []
    chosen = {each: os.environ[each] for each in GPU_CHOICE if each in os.environ}
    with host.request(
        "launch",
        job=name,
        argv=list(argv),
        kept=list(BASICS),
        set={**chosen, **environment},
        spec=(job.folder / SPEC).read_text(encoding="utf-8"),
    ) as stdin:
        end = process.run(
            host.command(),
            env=host.door.environment(),
            stdin=stdin,
            timeout=job.timeout,
            on_line=_without_answers(job.on_line, answers),
            log=job.log,
        )
    return end, read_answer(answers)


def _without_answers(on_line: Callable[[str], None], answers: list[str]) -> Callable[[str], None]:
    return lambda line: answers.append(line) if MARK in line else on_line(line)


def _collect(host: LinuxHost, job: Job, name: str, answer: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if answer is not None:
        host.accepted(answer)
    ended: Mapping[str, Any] = host.ask("collect", job=name)
    if ended["state"] == "stopped":
        raise host.door.stopped(_tail(job.log))
    if ended["state"] == "running":
        problem = f"{host.platform}: the way to {host.where} was closed while the task ran"
        raise PlatformError(problem, "The task has been ended; the next block runs it again.")
    if ended["state"] == "absent":
        raise host.door.failure(_tail(job.log))
    if ended["result"] is not None:
        _store(host, job, ended["result"], ended["sha256"])
    return ended


def _store(host: LinuxHost, job: Job, text: str, sha256: str) -> None:
    content = text.encode("utf-8")
    if content_digest(content) != sha256:
        raise PlatformError(f"{host.platform}: the result did not arrive as it was written", "Run the cell again.")
    try:
        job.result.write_bytes(content)
    except OSError as error:
        problem = f"{job.result} can't be written: {error.strerror or error}"
        raise ResultsError(problem, "Make room there.") from error


def _ending(ended: Mapping[str, Any], seconds: float) -> Ending:
    """Read how the program ended; a negative status is a signal."""
    if ended["oom"]:
        return Ending(oom=True, seconds=seconds)
    status = int(ended["status"])
    return Ending(signal=-status, seconds=seconds) if status < 0 else Ending(exit_code=status, seconds=seconds)


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-TAIL:].decode("utf-8", errors="replace")
    except OSError:
        return ""
