"""The native helper on a platform whose files open late: its own sources, with a wait planted before each `openat`."""

from __future__ import annotations

import ctypes
import hashlib
import subprocess
import sys
from pathlib import Path

from harness import native
from harness.agent.helper import NativeHelper

PLANT = Path(__file__).with_name("slow_files.c")
TARGET = "linux-x86_64"


def slow_helper(folder: Path, nanoseconds: int) -> NativeHelper:
    """Build the helper into `folder` and load it."""
    library = folder / "probe-slow-files.so"
    planted = ("-Dopenat=slow_openat", f"-DSLOW_NANOSECONDS={nanoseconds}", "-I", str(native.SOURCES))
    sources = [*sorted(native.SOURCES.glob("*.c")), PLANT]
    compiler = (sys.executable, "-m", "ziglang", "cc", "-target", native.TARGETS[TARGET])
    argv = [*compiler, *native.FLAGS, *planted, *map(str, sources), *native.POSIX_FLAGS, "-o", str(library)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=native.SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return NativeHelper(ctypes.CDLL(str(library)), hashlib.sha256(library.read_bytes()).hexdigest())
