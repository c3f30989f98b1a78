"""The processors' side of the samples, from few files of /proc and /sys that stay open and are read in place.

Counters (`…_seconds`) count from the sampler's first reading, shortly before the task, and cover the whole machine,
also inside a container.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from functools import partial

from harness.agent.telemetry.sources import Source

ERRORS = (OSError, ValueError, LookupError)
PRESSURES = ("cpu", "memory", "io")
POLICIES = "sys/devices/system/cpu/cpufreq"
NOT_LINUX = "Linux alone has /proc"
NO_POLICY = "no processor states its frequency here"
MOST_POLICIES = 4  # every one is a file to read; more say no more about whether the clock was lowered
ROOM = 1024  # bytes; the lines that are wanted come first
BUSY = (0, 1, 2, 5, 6)  # user, nice, system, irq, softirq; guest time is part of user (proc(5))
STEAL = 7
MICROSECONDS = 1e6
KILOHERTZ = 1e3


def sources(root: str = "/") -> Iterator[Source]:
    """Yield the sources of this host, readable or not."""
    if sys.platform == "win32":
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        yield Source(("cpu_busy_seconds",), _relative(lambda: win32.processor_times()[:1]), errors=ERRORS)
        return
    processors = _relative(partial(_processors, _file(root, "proc/stat")))
    yield Source(("cpu_busy_seconds", "cpu_steal_seconds"), processors, errors=ERRORS)
    for kind in PRESSURES:
        waiting = _relative(partial(_pressure, _file(root, f"proc/pressure/{kind}")))
        yield Source((f"pressure_{kind}_some_seconds",), waiting, errors=ERRORS)
    yield Source(("cpu_frequency_hz",), _frequency(root), errors=ERRORS)


def _file(root: str, path: str) -> Callable[[], bytes]:
    """Return a function that reads the beginning of a file; the file is opened by the first call."""
    opened: list[int] = []

    def read() -> bytes:
        if sys.platform == "win32":
            raise LookupError(NOT_LINUX)
        if not opened:
            opened.append(os.open(os.path.join(root, path), os.O_RDONLY))  # noqa: PTH118 - pathlib starts slowly
        return os.pread(opened[0], ROOM, 0)

    return read


def _relative(read: Callable[[], tuple[float, ...]]) -> Callable[[], tuple[float, ...]]:
    """Count from the first successful reading on."""
    start: list[tuple[float, ...]] = []

    def since() -> tuple[float, ...]:
        now = read()
        if not start:
            start.append(now)
        return tuple(round(each - first, 4) for each, first in zip(now, start[0], strict=True))

    return since


def _processors(read: Callable[[], bytes]) -> tuple[float, float]:
    if sys.platform == "win32":
        raise LookupError(NOT_LINUX)
    name, *fields = read().partition(b"\n")[0].split()
    if name != b"cpu":
        raise ValueError(name)
    ticks = [int(each) for each in fields]
    second = os.sysconf("SC_CLK_TCK")
    return sum(ticks[index] for index in BUSY) / second, ticks[STEAL] / second


def _pressure(read: Callable[[], bytes]) -> tuple[float]:
    """Read `some avg10=0.00 … total=1234`, microseconds; `full` is the second line."""
    return (int(read().partition(b"\n")[0].rpartition(b"total=")[2]) / MICROSECONDS,)


def _frequency(root: str) -> Callable[[], tuple[float]]:
    """Return what gives the mean frequency of the first processors that have one."""
    folder = os.path.join(root, POLICIES)  # noqa: PTH118 - pathlib starts slowly
    files: list[Callable[[], bytes]] = []

    def read() -> tuple[float]:
        if not files:
            policies = sorted(name for name in os.listdir(folder) if name.startswith("policy"))  # noqa: PTH208 - likewise
            files.extend(_file(folder, f"{name}/scaling_cur_freq") for name in policies[:MOST_POLICIES])
        if not files:
            raise LookupError(NO_POLICY)
        return (sum(int(each()) for each in files) * KILOHERTZ / len(files),)

    return read
