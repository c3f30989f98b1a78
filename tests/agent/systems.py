"""Tests that one system alone can run."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from harness.agent.inspection import windows

# How a process is stopped from outside: Windows sends nothing but Ctrl-Break, to a group, which the process then leads.
if sys.platform == "win32":
    NEW_GROUP = subprocess.CREATE_NEW_PROCESS_GROUP
    STOPS = (signal.CTRL_BREAK_EVENT,)
    INTERRUPT = signal.CTRL_BREAK_EVENT
else:
    NEW_GROUP = 0
    STOPS = (signal.SIGTERM, signal.SIGINT)
    INTERRUPT = signal.SIGINT


def not_under_wine(reason: str) -> pytest.MarkDecorator:
    """Return the mark of a test that a real Windows runs and Wine cannot; the reason says why."""
    return pytest.mark.skipif(bool(windows.stand_in()), reason=f"not under Wine: {reason}")


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
