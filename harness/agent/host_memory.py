"""How much of the host's memory a probe may take."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from harness.agent.capacity import available_memory
from harness.agent.inspection.facts import Files

UNKNOWN = 2**30  # bytes taken as available where the system does not say


def available() -> int:
    """Return the bytes that may be taken without pushing others out; 1 GiB where the system does not say."""
    return available_memory(Files()) or UNKNOWN


@contextmanager
def pageable(size: int) -> Iterator[int]:
    """Yield the address of `size` bytes of ordinary memory, page-aligned and present."""
    if sys.platform == "win32":
        mapping = mmap.mmap(-1, size)
    else:
        mapping = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory = ctypes.c_char.from_buffer(mapping)
    ctypes.memset(ctypes.addressof(memory), 1, size)
    yield ctypes.addressof(memory)
