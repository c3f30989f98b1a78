"""What ext4 does without a journal: for minutes after a file's end, new files pass over its inode, one by one.

So creating files takes the longer the more were deleted lately, by whomever (recently_deleted() in fs/ext4/ialloc.c of
Linux: 60 s, 360 s while the inode is not yet on the disk). Virtual machines for short work are often set up so.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

DEVICES = Path("/sys/dev/block")
MOUNTED = Path("/sys/fs/ext4")


def without_journal(directory: str | os.PathLike[str]) -> bool:
    """Whether a directory lies on an ext4 that keeps no journal; False where the kernel does not say.

    It does not say on what an overlay (a container's writable layer) lies.
    """
    if sys.platform == "win32":
        return False
    try:
        number = Path(directory).stat().st_dev
        device = (DEVICES / f"{os.major(number)}:{os.minor(number)}").resolve(strict=True).name
        return (MOUNTED / device / "journal_task").read_text().strip() == "<none>"
    except OSError:
        return False


def warning(name: str, directory: str | os.PathLike[str], metric: str) -> str:
    """Return the warning about a location's metric that depends on what was deleted lately; empty where it does not."""
    if not without_journal(directory):
        return ""
    return (
        f"location {name}: an ext4 without a journal: {metric} grows with the files deleted there in the last minutes,"
        f" by whomever; compare {metric} only on a file system with a journal"
    )
