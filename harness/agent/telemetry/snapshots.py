"""Two snapshots around a task and their difference: load, stolen time, pressure, switches, memory, clock frequency.

A value that the platform does not offer is missing,
never 0. Host-wide values (load, processor time, pressure) stay host-wide inside a container.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, TypeVar

T = TypeVar("T")

CPU_FIELDS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")  # proc(5), /proc/stat
PRESSURES = ("cpu", "memory", "io")
MICROSECOND = 1e-6
NANOSECOND = 1e-9


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The counters at one moment. Times are seconds, an absent entry could not be read."""

    clock: float
    load: list[float] | None  # over 1, 5 and 15 minutes
    cpu: Mapping[str, float]
    pressure: Mapping[str, float]  # `cpu.some`: time in which some task waited for a processor, since boot
    throttled: float | None  # time for which the control group's run queues were held back, the sum of all processors'
    quota: Mapping[str, int]  # periods of the control group's processor quota: `all`, and `used_up`
    frequency: float | None  # Hz, mean over the processors
    switches: Mapping[str, int]  # of this process and the children it waited for
    peak_rss: int | None  # bytes, of this process or the largest child it waited for


def snapshot(root: Path = Path("/")) -> Snapshot:
    """Read the counters below `root`."""
    usage = _usage()
    held_back = _try(partial(_cpu_stat, root)) or {}
    return Snapshot(
        clock=time.perf_counter(),
        load=_try(_load),
        cpu=_try(partial(_cpu_times, root)) or {},
        pressure=_pressures(root),
        throttled=_try(partial(_throttled, held_back)),
        quota=_try(partial(_quota, held_back)) or {},
        frequency=_try(partial(_frequency, root)),
        switches={name: usage[name] for name in ("voluntary", "involuntary") if name in usage},
        peak_rss=usage.get("peak_rss"),
    )


def change(before: Snapshot, after: Snapshot) -> dict[str, Any]:
    """Return what happened between two snapshots; the names end in their units."""
    record: dict[str, Any] = {
        "seconds": after.clock - before.clock,
        "load": _both(before.load, after.load),
        "cpu_frequency_hz": _both(before.frequency, after.frequency),
        "cpu_seconds": _difference(before.cpu, after.cpu),
        "pressure_seconds": _difference(before.pressure, after.pressure),
        "quota_periods": _difference(before.quota, after.quota),
        "context_switches": _difference(before.switches, after.switches),
        "peak_rss_bytes": after.peak_rss,
    }
    if before.throttled is not None and after.throttled is not None:
        record["throttled_seconds"] = after.throttled - before.throttled
    return {name: value for name, value in record.items() if value not in (None, {})}


def _both(before: object, after: object) -> dict[str, object]:
    return {} if before is None or after is None else {"before": before, "after": after}


def _difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    return {name: after[name] - before[name] for name in after if name in before}


def _try(read: Callable[[], T]) -> T | None:
    try:
        return read()
    except (OSError, ValueError, LookupError):
        return None


def _load() -> list[float]:
    if sys.platform == "win32":
        raise LookupError
    return list(os.getloadavg())


def _cpu_times(root: Path) -> dict[str, float]:
    if sys.platform == "win32":
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        return dict(zip(("busy", "idle"), win32.processor_times(), strict=True))
    ticks = os.sysconf("SC_CLK_TCK")
    name, *values = (root / "proc/stat").read_text(encoding="ascii").partition("\n")[0].split()
    if name != "cpu":
        raise ValueError(name)
    return {field: int(value) / ticks for field, value in zip(CPU_FIELDS, values, strict=False)}


def _pressures(root: Path) -> dict[str, float]:
    found = [_try(partial(_pressure, root, kind)) or {} for kind in PRESSURES]
    return {name: seconds for each in found for name, seconds in each.items()}


def _pressure(root: Path, kind: str) -> dict[str, float]:
    """Read `some avg10=0.00 … total=1234`: microseconds since boot."""
    lines = (root / "proc/pressure" / kind).read_text(encoding="ascii").splitlines()
    return {f"{kind}.{line.split()[0]}": int(line.rpartition("total=")[2]) * MICROSECOND for line in lines}


def _throttled(values: Mapping[str, int]) -> float:
    """Return the time for which this control group was held back; the root group of a host has none."""
    if "throttled_usec" in values:
        return values["throttled_usec"] * MICROSECOND
    return values["throttled_time"] * NANOSECOND  # version 1


def _quota(values: Mapping[str, int]) -> dict[str, int]:
    return {"all": values["nr_periods"], "used_up": values["nr_throttled"]}


def _cpu_stat(root: Path) -> dict[str, int]:
    """Return what the control group's `cpu.stat` says, of version 2 or 1."""
    paths = (root / "sys/fs/cgroup/cpu.stat", root / "sys/fs/cgroup/cpu/cpu.stat")
    path = next((path for path in paths if path.exists()), paths[0])
    lines = path.read_text(encoding="ascii").splitlines()
    return {name: int(value) for name, value in (line.split() for line in lines)}


def _frequency(root: Path) -> float:
    files = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_cur_freq")
    current = [int(file.read_text(encoding="ascii")) * 1e3 for file in files]
    if not current:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        current = [float(line.partition(":")[2]) * 1e6 for line in lines if line.startswith("cpu MHz")]
    return fmean(current)


def _usage() -> dict[str, int]:
    if sys.platform == "win32":
        return {}
    import resource  # noqa: PLC0415 - POSIX only

    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "voluntary": own.ru_nvcsw + children.ru_nvcsw,
        "involuntary": own.ru_nivcsw + children.ru_nivcsw,
        "peak_rss": max(own.ru_maxrss, children.ru_maxrss) * 1024,  # Linux counts KiB
    }
