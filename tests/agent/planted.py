"""Effects that tests plant and take away again: a busy CPU, a CPU limit, a slack timer, no huge pages."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

CGROUP_CPU = Path("/sys/fs/cgroup/cpu")
SET_TIMER_SLACK, SET_THP_DISABLE = 29, 41  # of prctl(2)
DEFAULT_SLACK = 0  # to prctl: back to what the thread began with

BURN = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.write(1, b"x")
while True:
    pass
"""


@contextmanager
def busy_cpu(cpu: int, processes: int) -> Iterator[None]:
    """Let processes of their own do nothing but use one CPU; in one session, they would share one process's part."""
    argv = [sys.executable, "-c", BURN, str(cpu)]
    with ExitStack() as stack:
        for _ in range(processes):
            burner = stack.enter_context(subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True))
            stack.callback(burner.kill)
            assert burner.stdout is not None
            assert burner.stdout.read(1) == b"x"
        yield


@contextmanager
def cpu_limit(share: float) -> Iterator[None]:
    """Freeze this thread for the rest of each 100 ms, as a container's CPU limit does."""
    before = _cpu_group()
    group = before / f"overhead-matrix-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"needs root and the CPU controller of cgroup version 1: {error}")
    thread = str(threading.get_native_id())
    try:
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text(str(round(100_000 * share)))
        (group / "tasks").write_text(thread)
        yield
    finally:
        (before / "tasks").write_text(thread)
        group.rmdir()


def _cpu_group() -> Path:
    lines = (line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines())
    paths = [path for _, controllers, path in lines if "cpu" in controllers.split(",")]
    return CGROUP_CPU / "".join(paths).lstrip("/")


@contextmanager
def timer_slack(nanoseconds: int) -> Iterator[None]:
    """Let the kernel wake this thread from a sleep that much later than it asks for."""
    with _prctl(SET_TIMER_SLACK, nanoseconds, DEFAULT_SLACK):
        yield


@contextmanager
def no_huge_pages() -> Iterator[None]:
    """Let the kernel give this process no transparent huge pages, whatever it asks for."""
    with _prctl(SET_THP_DISABLE, 1, 0):
        yield


@contextmanager
def _prctl(option: int, value: int, after: int) -> Iterator[None]:
    prctl = ctypes.CDLL(None).prctl
    prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)
    assert prctl(option, value, 0, 0, 0) == 0
    try:
        yield
    finally:
        assert prctl(option, after, 0, 0, 0) == 0
