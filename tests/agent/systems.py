"""Tests that one system alone can run."""

from __future__ import annotations

import sys

import pytest


def not_on_windows(reason: str) -> pytest.MarkDecorator:
    """Return the mark of a test that Windows cannot run by its nature; the reason says why."""
    return pytest.mark.skipif(sys.platform == "win32", reason=f"not on Windows: {reason}")


# A program for `python -c` that ends as one with a wild pointer does, and what the agent says of that.
CRASH = (
    "import ctypes; ctypes.windll.kernel32.TerminateProcess(ctypes.c_void_p(-1), 0xC0000005)"
    if sys.platform == "win32"
    else "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
)
CRASHED = "exception 0xc0000005" if sys.platform == "win32" else "signal 11"
