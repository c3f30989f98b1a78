"""The most memory that this process and its children held: the sum of each one's own peak.

Of a process that is what the kernel calls its resident set (on Windows its working set). Pages that processes share
count for each, and peaks need not coincide, so the sum is an upper bound; it is the same bound on every platform. A
control group's own peak would be smaller, but counts the page cache too, and there is none for a native process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def children() -> frozenset[int]:
    """Return the processes that descend from this one now; none where no system tells."""
    return frozenset(_descendants(os.getpid())) if sys.platform == "linux" else frozenset()


def of_tree(but: Collection[int] = ()) -> int | None:
    """Return the bytes of this process and its living descendants but for some; None where no system tells.

    On Windows it is this process alone.
    """
    if sys.platform == "win32":
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        with suppress(OSError):
            return win32.peak_working_set()
        return None
    peaks = [_peak(pid) for pid in {os.getpid(), *children()} - set(but)]
    return sum(peaks) or None


def _descendants(root: int) -> set[int]:
    parents = {int(folder.name): _parent(folder) for folder in PROC.glob("[0-9]*")}
    found: set[int] = set()
    wave = {root}
    while wave := {pid for pid, parent in parents.items() if parent in wave} - found:
        found |= wave
    return found


def _parent(folder: Path) -> int:
    """Return the parent's number, 0 of a process that has ended meanwhile (field 4, see proc(5))."""
    try:
        return int((folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _peak(pid: int) -> int:
    """Return the bytes of `VmHWM:  123 kB`, 0 of a process that has ended meanwhile."""
    with suppress(OSError, ValueError, IndexError):
        status = (PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return 0
