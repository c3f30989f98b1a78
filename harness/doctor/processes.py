"""Which processes run, and how much of a processor each took while doctor watched. Linux: /proc; Windows: tasklist."""

from __future__ import annotations

import csv
import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from harness.agent.inspection.facts import Fact, Files, fact
from harness.errors import PlatformError

LIST = "tasklist"
SECONDS = 10.0  # for Windows to list its processes
LEAST = 0.4  # seconds of watching: 40 clock ticks, so that a tick more or less is a few percent of a processor
# In /proc/<pid>/stat behind the name, which ends at the last parenthesis (proc(5)).
PARENT, USER, SYSTEM, START = 1, 11, 12, 19


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process; `share` of one processor is None where it was not measured."""

    pid: int
    name: str  # the kernel's: 15 characters on Linux
    share: float | None


@dataclass(frozen=True, kw_only=True)
class _Used:
    """A process at one moment: `ticks` of processor time since it started at `start`."""

    name: str
    parent: int
    ticks: int
    start: int


class Watch:
    """Watches from its making until `fact` is asked for."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._began = time.monotonic()
        self._before = {} if sys.platform == "win32" else _snapshot(files)

    def fact(self) -> Fact:
        """Return a list of Process, without this process and those that it started."""
        if sys.platform == "win32":
            return fact(LIST, _tasklist)
        time.sleep(max(0.0, self._began + LEAST - time.monotonic()))
        return fact("/proc/*/stat", self._shares)

    def _shares(self) -> list[Process]:
        after = _snapshot(self._files)
        if not after:
            msg = "no process is to be seen"
            raise LookupError(msg)
        ticks = (time.monotonic() - self._began) * _ticks_per_second()
        ours = _family(after, os.getpid())
        return [
            Process(pid=pid, name=now.name, share=_ticks(self._before.get(pid), now) / ticks)
            for pid, now in after.items()
            if pid not in ours
        ]


def _snapshot(files: Files) -> dict[int, _Used]:
    found: dict[int, _Used] = {}
    for folder in files.path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):  # it has ended since
            found[int(folder.name)] = _parse((folder / "stat").read_text(encoding="utf-8", errors="replace"))
    return found


def _parse(text: str) -> _Used:
    before, _, after = text.rpartition(")")
    words = after.split()
    ticks = int(words[USER]) + int(words[SYSTEM])
    return _Used(name=before.partition("(")[2], parent=int(words[PARENT]), ticks=ticks, start=int(words[START]))


def _ticks(before: _Used | None, now: _Used) -> int:
    """Return what a process used since; all of it where it is new (its number may have been another's)."""
    same = before is not None and before.start == now.start
    return now.ticks - before.ticks if before is not None and same else now.ticks


def _ticks_per_second() -> int:
    if sys.platform == "win32":
        raise NotImplementedError  # no /proc to read
    return os.sysconf("SC_CLK_TCK")


def _family(processes: Mapping[int, _Used], head: int) -> set[int]:
    """Return the process and all that descend from it."""
    found = {head}
    while grown := {pid for pid, each in processes.items() if each.parent in found and pid not in found}:
        found |= grown
    return found


def _tasklist() -> list[Process]:
    from harness.runner import process  # noqa: PLC0415 - Windows only

    try:
        answer = process.capture((LIST, "/FO", "CSV", "/NH"), timeout=SECONDS)
    except PlatformError as error:
        raise LookupError(str(error)) from error
    return parse_tasklist(answer.stdout)


def parse_tasklist(text: str) -> list[Process]:
    """Read lines like `"MsMpEng.exe","3180","Services","0","312,456 K"`. Raises ValueError if there is none."""
    rows = [row for row in csv.reader(text.splitlines()) if len(row) >= 2 and row[1].isdecimal()]
    if not rows:
        msg = "no list of processes"
        raise ValueError(msg)
    return [Process(pid=int(row[1]), name=row[0], share=None) for row in rows if int(row[1]) != os.getpid()]
