"""Which files a workload reads in its steps: opens by Python code, and bytes as the kernel counts them.

An open is one that Python's audit hook reports, in this process and in those forked from it (a DataLoader's workers);
opens by a framework's C++ code are not seen. Bytes are `rchar` of /proc/PID/io, of this process and its children:
what read system calls returned, from the page cache too, without memory-mapped files; Linux alone tells.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from pathlib import Path

from harness.agent.messages import Metric
from harness.agent.step_counts import FILES, READ_BYTES, per_step

WRITING = os.O_WRONLY | os.O_RDWR
QUIET = 0.5  # seconds without an open, after which workers that read ahead are taken as having read enough


class Opens:
    """Counts the files opened for reading. A hook can't be taken back, so make one a process, before others fork."""

    def __init__(self) -> None:
        self._shared = multiprocessing.Value("q", 0)
        self._strangers = frozenset(_children())  # the telemetry's sampler
        sys.addaudithook(self._heard)

    @property
    def number(self) -> int:
        """How many there were so far."""
        return int(self._shared.value)

    def settled(self) -> int:
        """Wait until nobody opens files any more, and return how many there were: workers have read ahead by then."""
        before = -1
        while before != self.number:
            before = self.number
            time.sleep(QUIET)
        return before

    def readers(self) -> list[str]:
        """Return the processes that were started since."""
        return [process for process in _children() if process not in self._strangers]

    def _heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and not arguments[2] & WRITING:
            with self._shared.get_lock():
                self._shared.value += 1


class Reads:
    """What is opened and read from now on; without `opens`, what this process alone reads."""

    def __init__(self, opens: Opens | None = None) -> None:
        self._opens = opens
        self._opened = opens.settled() if opens else 0
        first, self._bytes = self._read(), self._read()
        self._cost = None if first is None or self._bytes is None else self._bytes - first  # of asking
        self._asked = opens.number - self._opened if opens else 0  # opens by asking

    def per_step(self, steps: int) -> list[Metric]:
        """Return the counts of a step, of so many steps since."""
        opened = self._opens.settled() - self._opened - self._asked if self._opens else None
        now = self._read()
        found = [] if opened is None else [per_step(FILES, opened / steps)]
        if now is not None and self._bytes is not None and self._cost is not None:
            found.append(per_step(READ_BYTES, max(0, now - self._bytes - self._cost) / steps))
        return found

    def _read(self) -> int | None:
        """Return the bytes read so far; None where no system tells."""
        own = _read_bytes("self")
        readers = self._opens.readers() if self._opens else ()
        return None if own is None else own + sum(_read_bytes(process) or 0 for process in readers)


def _read_bytes(process: str) -> int | None:
    try:
        text = Path("/proc", process, "io").read_text(encoding="ascii")
        return int(text.partition("rchar:")[2].split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _children() -> list[str]:
    """Return the processes that this one's threads have started and that live; none where no system tells."""
    found: list[str] = []
    tasks = Path("/proc/self/task")
    for task in tasks.iterdir() if tasks.is_dir() else ():
        try:
            found += (task / "children").read_text(encoding="ascii").split()
        except OSError:
            continue  # a thread that has just ended, or a kernel that does not tell
    return found
