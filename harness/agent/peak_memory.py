"""The most memory that this process and its children held: the sum of each one's own peak.

Of a process that is what the kernel calls its resident set (on Windows its working set). Pages that processes share
count for each, and peaks need not coincide, so the sum is an upper bound; it is the same bound on every platform. A
control group's own peak would be smaller, but counts the page cache too, and there is none for a native process.

All processes that can be seen are looked through, which takes the longer the more there are: nothing that is compared
between platforms may have this on its clock.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")


def of_tree(but: int | None = None) -> int | None:
    """Return the bytes of this process and its living descendants; None where no system tells.

    `but` is a process to leave out, with its own descendants.
    """
    with suppress(OSError):
        parents = {pid: parent for pid, parent in _parents().items() if pid != but}
        return sum(map(_peak, {os.getpid(), *_descendants(parents)})) or None
    return None


def _descendants(parents: Mapping[int, int]) -> set[int]:
    found: set[int] = set()
    wave = {os.getpid()}
    while wave := {pid for pid, parent in parents.items() if parent in wave} - found:
        found |= wave
    return found


def _parents() -> Mapping[int, int]:
    """Return each visible process's parent. Raises OSError on Windows as it does."""
    if sys.platform == "win32":
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        return win32.parents()
    return {int(folder.name): _parent(folder) for folder in PROC.glob("[0-9]*")}


def _parent(folder: Path) -> int:
    """Return the parent's number, 0 of a process that has ended meanwhile (field 4, see proc(5))."""
    try:
        return int((folder / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def _peak(pid: int) -> int:
    """Return the bytes of `VmHWM:  123 kB`, 0 of a process that has ended meanwhile."""
    with suppress(OSError, ValueError, IndexError):
        if sys.platform == "win32":
            from harness.agent import win32  # noqa: PLC0415 - Windows only

            return win32.peak_working_set(pid)
        status = (PROC / str(pid) / "status").read_text(encoding="ascii", errors="replace")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return 0
