"""The timed loops over blocks of one file: in machine code, and as plain Python where a block is worth it.

Each 4 KiB of the file begin with their own offset in the file, which every read checks: what one loop has written,
the other reads. All operations raise OSError as the file system does, EIO for content that is not as written.
"""

from __future__ import annotations

import errno
import mmap
import os
import sys
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from harness.agent.helper import NativeHelper, loops
from harness.agent.loops import Loops, PythonLoops
from harness.agent.sampling import NANOSECOND
from harness.agent.task import Unavailable

STAMPED = 4096  # bytes; blocks are multiples of it
DIRECT, NO_READ_AHEAD, MAPPED, DATA_ONLY = 1, 2, 4, 8  # PROBE_BLOCKS_… of native/overhead_probe.h
SyncCall = Literal["fsync", "fdatasync"]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """Seconds of each operation that was done, and from the first one's start to the last one's end."""

    operations: tuple[float, ...]
    seconds: float

    @property
    def rate(self) -> float:
        """Operations a second."""
        return len(self.operations) / self.seconds


@dataclass(frozen=True, kw_only=True)
class Written:
    """Seconds of all writes of a new file, and of the fsync after them."""

    writes: float
    sync: float


class Blocks(Protocol):
    """What both loops offer."""

    @property
    def loops(self) -> Loops:
        """The loops that are timed alike: their name, clock, versions and warnings."""

    def write(self, path: Path, blocks: int, size: int, how: int = 0) -> Written:
        """Write a new file of `blocks` blocks of `size` bytes from its start, then fsync it."""

    def read(self, path: Path, offsets: Sequence[int], size: int, how: int = 0, *, limit: float = 0) -> Pass:
        """Read the block at each offset by one thread; none is begun after `limit` seconds (0: no limit)."""


@dataclass(frozen=True, kw_only=True)
class NativeBlocks:
    """The loops of native/blocks.c."""

    loops: NativeHelper

    def write(self, path: Path, blocks: int, size: int, how: int = 0) -> Written:
        """Write a new file."""
        *writes, sync = self.loops.call("blocks_write", blocks + 1, os.fsencode(path), how, blocks, size)
        return Written(writes=sum(writes), sync=sync)

    def read(
        self, path: Path, offsets: Sequence[int], size: int, how: int = 0, *, threads: int = 1, limit: float = 0
    ) -> Pass:
        """Read the block at each offset, the list cut into one part a thread."""
        count = len(offsets)
        where = (array("q", offsets).tobytes(), count, size, int(limit / NANOSECOND))
        return _done(self.loops.call("blocks_read", count + 1, os.fsencode(path), how, threads, *where))

    def sync(self, path: Path, offsets: Sequence[int], size: int, call: SyncCall, *, limit: float = 0) -> Pass:
        """Overwrite each block and force it to the disk by `call` before the next."""
        count = len(offsets)
        where = (array("q", offsets).tobytes(), count, size, int(limit / NANOSECOND))
        how = DATA_ONLY if call == "fdatasync" else 0
        return _done(self.loops.call("blocks_sync", count + 1, os.fsencode(path), how, *where))


@dataclass(frozen=True, kw_only=True)
class PythonBlocks:
    """The same in plain Python, by one thread: for blocks that take far longer than the interpreter."""

    loops: PythonLoops

    def write(self, path: Path, blocks: int, size: int, how: int = 0) -> Written:
        """Write a new file."""
        writes = 0
        with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, how) as file, _buffer(size) as buffer:
            buffer.write(os.urandom(size))  # nothing compresses it
            for block in range(blocks):
                for at in range(0, size, STAMPED):
                    buffer[at : at + 8] = _stamp(block * size + at)
                start = time.perf_counter_ns()
                _expect(os.write(file, buffer), size)
                writes += time.perf_counter_ns() - start
            start = time.perf_counter_ns()
            os.fsync(file)
            sync = time.perf_counter_ns() - start
        return Written(writes=writes * NANOSECOND, sync=sync * NANOSECOND)

    def read(self, path: Path, offsets: Sequence[int], size: int, how: int = 0, *, limit: float = 0) -> Pass:
        """Read the block at each offset."""
        if sys.platform == "win32":
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "preadv")
        seconds: list[float] = []
        with _opened(path, os.O_RDONLY, how) as file, _buffer(size) as buffer:
            first = before = time.perf_counter_ns()
            for offset in offsets:
                if limit and (before - first) * NANOSECOND >= limit:
                    break
                _expect(os.preadv(file, [buffer], offset), size)
                _expect(int.from_bytes(buffer[:8], "little"), offset)
                now = time.perf_counter_ns()
                seconds.append((now - before) * NANOSECOND)
                before = now
        return Pass(operations=tuple(seconds), seconds=(before - first) * NANOSECOND)


def blocks(task: str) -> Blocks:
    """Return the native loops, else the Python ones. Raises Unavailable where there are neither."""
    timed = loops("blocks_read")
    if isinstance(timed, NativeHelper):
        return NativeBlocks(loops=timed)
    if sys.platform == "win32":
        raise Unavailable(f"{task} needs the native helper: build it with `nox -s native`")
    return PythonBlocks(loops=PythonLoops())


def native_blocks(task: str) -> NativeBlocks:
    """Return the native loops. Raises Unavailable without: Python would measure the interpreter."""
    timed = blocks(task)
    if not isinstance(timed, NativeBlocks):
        raise Unavailable(f"{task} needs the native helper: build it with `nox -s native`")
    return timed


def _done(values: Sequence[float]) -> Pass:
    *operations, seconds = values
    return Pass(operations=tuple(each for each in operations if each >= 0), seconds=seconds)


@contextmanager
def _opened(path: Path, flags: int, how: int) -> Iterator[int]:
    if sys.platform == "win32":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), "O_DIRECT")
    file = os.open(path, flags | os.O_CLOEXEC | (os.O_DIRECT if how & DIRECT else 0), 0o600)
    try:
        if how & NO_READ_AHEAD:
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
        yield file
    finally:
        os.close(file)


def _buffer(size: int) -> mmap.mmap:
    """Return memory that begins on a page, as O_DIRECT asks."""
    return mmap.mmap(-1, size)


def _stamp(offset: int) -> bytes:
    return offset.to_bytes(8, "little")


def _expect(found: int, wanted: int) -> None:
    if found != wanted:
        raise OSError(errno.EIO, f"{os.strerror(errno.EIO)}: {found} where {wanted} is right")
