"""The limits that control groups set on this process: processors, memory, processes, I/O. Versions 1 and 2.

A limit may be set on the process's group or on any group above it; the tightest counts. Inside a container the groups
above its own are invisible, and what version 1 names as the path may not exist: then the mount's top is read. `**` in a
source stands for those groups, whose names may be a user's.
"""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Iterator
from functools import partial

from harness.agent.inspection.facts import Fact, Files, fact

MOUNT = "/sys/fs/cgroup"
UNIFIED = f"{MOUNT}/cgroup.controllers"  # only version 2 has it
UNLIMITED = "unlimited"
NO_LIMIT = 1 << 62  # version 1 writes "no limit" as the largest multiple of the page size


def inspect(files: Files) -> dict[str, Fact]:
    """Return the version and the effective limits: `cpus` in processors, `memory_bytes`, `pids`…, or `unlimited`."""
    return _version_2(files) if files.told(UNIFIED) else _version_1(files)


def _version_2(files: Files) -> dict[str, Fact]:
    groups = partial(_groups, files, "")

    def told(name: str, get: Callable[[], object]) -> Fact:
        return fact(f"{MOUNT}/**/{name}", get)

    return {
        "version": fact(UNIFIED, lambda: 2),
        "cpus": told("cpu.max", lambda: _tightest(groups(), partial(_quota_2, files))),
        "cpuset": told("cpuset.cpus.effective", lambda: _nearest(files, groups(), "cpuset.cpus.effective")),
        "memory_bytes": told("memory.max", lambda: _tightest(groups(), partial(_number, files, "memory.max"))),
        "memory_high_bytes": told("memory.high", lambda: _tightest(groups(), partial(_number, files, "memory.high"))),
        "swap_bytes": told("memory.swap.max", lambda: _tightest(groups(), partial(_number, files, "memory.swap.max"))),
        "pids": told("pids.max", lambda: _tightest(groups(), partial(_number, files, "pids.max"))),
        "cpu_weight": told("cpu.weight", lambda: _nearest(files, groups(), "cpu.weight")),
        "io_limits": told("io.max", lambda: _io_2(files, groups())),
    }


def _version_1(files: Files) -> dict[str, Fact]:
    groups = partial(_groups, files)
    limit = "memory.limit_in_bytes"

    def told(controller: str, name: str, get: Callable[[], object]) -> Fact:
        return fact(f"{MOUNT}/{controller}/**/{name}", get)

    return {
        "version": fact(f"{MOUNT}/*/cgroup.procs", lambda: 1 if files.matching(f"{MOUNT}/*/cgroup.procs") else None),
        "cpus": told("cpu", "cpu.cfs_quota_us", lambda: _tightest(groups("cpu"), partial(_quota_1, files))),
        "cpuset": told(
            "cpuset", "cpuset.effective_cpus", lambda: _nearest(files, groups("cpuset"), "cpuset.effective_cpus")
        ),
        "memory_bytes": told("memory", limit, lambda: _tightest(groups("memory"), partial(_number, files, limit))),
        "pids": told("pids", "pids.max", lambda: _tightest(groups("pids"), partial(_number, files, "pids.max"))),
        "cpu_weight": told("cpu", "cpu.shares", lambda: _nearest(files, groups("cpu"), "cpu.shares")),
        "io_limits": told("blkio", "blkio.throttle.*", lambda: _io_1(files, groups("blkio"))),
    }


def _groups(files: Files, controller: str) -> Iterator[str]:
    """Yield the folders of this process's group and those above it. The controller of version 2 is the empty text.

    Raises FileNotFoundError if the controller is not mounted.
    """
    group = ""
    for line in files.text("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            group = path.rstrip("/")
    base = f"{MOUNT}/{controller}".rstrip("/")
    files.matching(f"{base}/cgroup.procs")
    while group:
        yield base + group
        group = group.rpartition("/")[0]
    yield base


def _nearest(files: Files, groups: Iterator[str], name: str) -> str | None:
    """Return the file of the nearest group that has it and says something."""
    paths = (f"{group}/{name}" for group in groups)
    return next((text for path in paths if files.exists(path) and (text := files.text(path))), None)


def _tightest(groups: Iterator[str], limit: Callable[[str], float]) -> float | str:
    """Return the smallest limit. Groups without one are skipped: the top group of a host, invisible ones."""
    tightest = math.inf
    for group in groups:
        try:
            tightest = min(tightest, limit(group))
        except FileNotFoundError:
            continue
    return UNLIMITED if tightest == math.inf else tightest


def _quota_2(files: Files, group: str) -> float:
    """Read `50000 100000` or `max 100000`: microseconds of processor time in each period."""
    quota, period = files.text(f"{group}/cpu.max").split()
    return math.inf if quota == "max" else int(quota) / int(period)


def _quota_1(files: Files, group: str) -> float:
    quota = int(files.text(f"{group}/cpu.cfs_quota_us"))
    period = int(files.text(f"{group}/cpu.cfs_period_us"))
    return math.inf if quota < 0 else quota / period


def _number(files: Files, name: str, group: str) -> float:
    text = files.text(f"{group}/{name}")
    limit = math.inf if text == "max" else int(text)
    return math.inf if limit >= NO_LIMIT else limit


def _io_2(files: Files, groups: Iterator[str]) -> list[str]:
    """Return the limits of all groups: lines like `8:16 rbps=2097152 wbps=max riops=max wiops=120`."""
    return _lines(files, [f"{group}/io.max" for group in groups])


def _io_1(files: Files, groups: Iterator[str]) -> list[str]:
    """Return the limits of all groups, lines like `8:16 2097152`, in bytes or operations per second."""
    names = [f"{what}_{unit}_device" for what in ("read", "write") for unit in ("bps", "iops")]
    return _lines(files, [f"{group}/blkio.throttle.{name}" for group in groups for name in names])


def _lines(files: Files, paths: list[str]) -> list[str]:
    """Return what the files say that are there; none at all is an error, no line is no limit."""
    there = [path for path in paths if files.exists(path)]
    if not there:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return [f"{path.rpartition('/')[2]}: {line}" for path in there for line in files.text(path).splitlines()]
