"""Drops single files from the page cache, and tells whether they are gone: no root needed, nobody else disturbed."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from harness.agent.task import Unsupported

NO_WAY = "this operating system has no way to drop a file's pages"
PATIENCE = 2.0  # seconds
# A page that is being read ahead cannot be dropped, and mincore(2) does not show it before it is there.
PAUSE = 0.02  # seconds: most disks have answered by then


def write_back(paths: Iterable[Path]) -> None:
    """Have the files' data written to the disk: pages that differ from it cannot be dropped.

    Raises Unsupported where they can't be dropped at all.
    """
    if sys.platform == "win32":
        raise Unsupported(NO_WAY)
    for path in paths:
        with path.open("rb") as file:
            os.fsync(file.fileno())


def drop(paths: Iterable[Path]) -> int:
    """Drop the files' pages until none is in memory twice in a row; return how many files have some all the same.

    Raises Unsupported where the operating system has no way to do it, OSError as the file system does.
    """
    if sys.platform == "win32":
        raise Unsupported(NO_WAY)
    files = list(paths)
    deadline = time.monotonic() + PATIENCE
    kept = sum(map(_drop, files))
    while time.monotonic() < deadline:
        time.sleep(PAUSE)
        before, kept = kept, sum(map(_drop, files))
        if before == kept == 0:
            break
    return kept


def holds(path: Path) -> bool:
    """Whether any page of the file is in memory. Raises Unsupported where the operating system does not say."""
    if sys.platform == "win32":
        raise Unsupported("this operating system does not say which pages of a file are in memory")
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            return False
        with mmap.mmap(file.fileno(), size) as memory:
            return _resident(memory, size)


def _drop(path: Path) -> bool:
    if sys.platform == "win32":
        return True
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return holds(path)


def _resident(memory: mmap.mmap, size: int) -> bool:
    """Whether any page of a mapped file is in memory (mincore(2)); mapping it has read none."""
    pages = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
    start = ctypes.c_char.from_buffer(memory)
    libc = ctypes.CDLL(None, use_errno=True)
    status = libc.mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(size), pages)
    del start  # an exported buffer keeps the mapping from being closed
    if status != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), "mincore")
    return any(page & 1 for page in pages)
