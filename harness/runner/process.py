"""The one door to subprocesses: an own group each, a deadline, output passed on as it comes, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from harness.errors import PlatformError
from harness.runner.group import OPTIONS, Group
from harness.runner.output import CHUNK, Chunk, Collected, Pump, Sink, Stream, Tee, utf8

# How a process that must end is asked: by Ctrl-C, so that it may tidy up, then more firmly, then killed. Seconds.
INTERRUPT_GRACE = 1.0
TERMINATE_GRACE = 0.5
KILL_GRACE = 10.0  # what outlives this hangs in the kernel
QUIET = 0.5  # after the end, a pipe that somebody else holds open and that brings nothing for so long is left
DRAIN = 10.0  # and in any case after this


@dataclass(frozen=True, kw_only=True)
class Exit:
    """How a process ended: exactly one of the first four says it."""

    code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    oom: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Completed:
    """What a short program answered. `code` is negative when a signal ended it."""

    code: int
    stdout: str
    stderr: str


def run(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    on_line: Callable[[str], None],
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Path | None = None,
    on_start: Callable[[int], None] | None = None,
) -> Exit:
    """Run a program, the file `stdin` as its input; pass each line of its stdout on, and log stdout and stderr.

    The program leads a group of its own; when it ends, is out of time (`timeout` seconds) or this call is left by
    an exception (Ctrl-C), every process in that group is ended. `on_start` is told the process id.
    Raises PlatformError if the program can't be started and ResultsError if the log can't be written.
    """
    with Tee(log, on_line) as tee:
        before = _oom_kills()
        end = _supervise(_start(argv, cwd, env, stdin), tee, timeout, on_start)
        tee.finish()
    if end.signal == getattr(signal, "SIGKILL", None) and _oom_kills() > before:
        return Exit(oom=True, seconds=end.seconds)
    return end


def capture(
    argv: Sequence[str | Path],
    *,
    timeout: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: Path | None = None,
    decode: Callable[[bytes], str] = utf8,
) -> Completed:
    """Run a short program, the file `stdin` as its input, and return what it printed, made text by `decode`.

    Raises PlatformError if it can't be started or hangs.
    """
    collected = Collected()
    end = _supervise(_start(argv, cwd, env, stdin), collected, timeout, None)
    if end.timed_out:
        raise PlatformError(f"{argv[0]} did not answer within {timeout:g} s")
    code = end.code if end.code is not None else -(end.signal or 0)
    return Completed(code=code, stdout=decode(collected.data("stdout")), stderr=decode(collected.data("stderr")))


def _start(
    argv: Sequence[str | Path], cwd: Path | None, env: Mapping[str, str] | None, stdin: Path | None
) -> subprocess.Popen[bytes]:
    try:
        with (stdin or Path(os.devnull)).open("rb") as source:
            return subprocess.Popen(
                [str(part) for part in argv],
                cwd=cwd,
                env=None if env is None else dict(env),
                stdin=source,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                **OPTIONS,
            )
    except OSError as error:
        if stdin is not None and not stdin.is_file():
            raise PlatformError(f"{argv[0]} can't be started: its input {stdin} is not there") from error
        if cwd is not None and not cwd.is_dir():
            raise PlatformError(f"{argv[0]} can't be started: folder {cwd} is not there") from error
        if isinstance(error, FileNotFoundError):
            raise PlatformError(f"{argv[0]} is not there", "Install it, or put it on the PATH.") from error
        raise PlatformError(f"{argv[0]} can't be started: {error.strerror or error}") from error


def _supervise(
    process: subprocess.Popen[bytes], sink: Sink, timeout: float, on_start: Callable[[int], None] | None
) -> Exit:
    began = time.perf_counter()
    pump: Pump[None] = Pump(sink)
    group = _grouped(process)
    try:
        _connect(process, group, pump)
        if on_start:
            on_start(process.pid)
        in_time = pump.wait(timeout)
        seconds = time.perf_counter() - began
    finally:
        _shut_down(process, group, pump)
    pump.drain(quiet=QUIET, at_most=DRAIN)
    if not in_time:
        return Exit(timed_out=True, seconds=seconds)
    status = process.returncode
    return Exit(code=status, seconds=seconds) if status >= 0 else Exit(signal=-status, seconds=seconds)


def _grouped(process: subprocess.Popen[bytes]) -> Group:
    try:
        return Group(process)
    except OSError as error:
        raise PlatformError(f"process {process.pid} can't be put under control: {error}") from error


def _connect(process: subprocess.Popen[bytes], group: Group, pump: Pump[None]) -> None:
    pump.watch(group.await_end)
    if process.stdout and process.stderr:
        pump.read(_chunks("stdout", process.stdout))
        pump.read(_chunks("stderr", process.stderr))


def _chunks(stream: Stream, pipe: IO[bytes]) -> Iterator[Chunk]:
    with pipe:
        while data := pipe.read(CHUNK):
            yield stream, data


def _shut_down(process: subprocess.Popen[bytes], group: Group, pump: Pump[None]) -> None:
    """End whatever still runs of the process and its group, then reap it."""
    try:
        for ask, grace in ((group.interrupt, INTERRUPT_GRACE), (group.terminate, TERMINATE_GRACE)):
            if pump.ended.is_set():
                break
            ask()
            pump.ended.wait(grace)
    finally:  # a second Ctrl-C goes straight here
        group.kill()
        if not pump.ended.wait(KILL_GRACE):
            raise PlatformError(f"process {process.pid} can't be killed: it hangs in the kernel", "See `dmesg`.")
        process.wait()


def _oom_kills() -> int:
    """Return how many processes the kernel has ended for memory since boot, in any memory cgroup; 0 if unknown."""
    try:
        text = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("oom_kill ")), 0)
