"""The native helper on a platform whose files open late: its own sources, with a wait planted before each `openat`."""

from __future__ import annotations

import ctypes
import hashlib
from pathlib import Path

from harness import native
from harness.agent.helper import NativeHelper
from tests.simulated.build import compiled

PLANT = Path(__file__).with_name("slow_files.c")


def slow_helper(folder: Path, nanoseconds: int) -> NativeHelper:
    """Build the helper into `folder` and load it."""
    library = folder / "probe-slow-files.so"
    sources = map(str, (*sorted(native.SOURCES.glob("*.c")), PLANT))
    planted = ("-Dopenat=slow_openat", f"-DSLOW_NANOSECONDS={nanoseconds}")
    compiled("linux-x86_64", tuple(sources), library, *planted)
    return NativeHelper(ctypes.CDLL(str(library)), hashlib.sha256(library.read_bytes()).hexdigest())
