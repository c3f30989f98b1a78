"""The processors: model, how many of them this process may use, and what sets their clock."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Sequence

from harness.agent import cpus
from harness.agent.inspection.facts import Fact, Files, fact, fields

CPUS = "/sys/devices/system/cpu"
NODES = "/sys/devices/system/node"
FREQUENCY = f"{CPUS}/cpu0/cpufreq"
BOOST = f"{CPUS}/cpufreq/boost"
VECTOR = re.compile(r"avx\w*|fma|f16c|sse4_\d|amx_\w+|asimd\w*|sve\w*|sme\w*|bf16|i8mm")
NO_TURBO = f"{CPUS}/intel_pstate/no_turbo"


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts of the processors; frequencies are Hz."""
    return {
        "model": _model_fact(files),
        "logical": fact("os.cpu_count", os.cpu_count),
        "affinity": fact("sched_getaffinity", lambda: len(cpus.usable_cpus())),
        "smt": files.fact(f"{CPUS}/smt/active", _switch),
        "governor": _of_all(files, "scaling_governor"),
        "frequency_driver": files.fact(f"{FREQUENCY}/scaling_driver"),
        "min_frequency_hz": files.fact(f"{FREQUENCY}/cpuinfo_min_freq", _kilohertz),
        "max_frequency_hz": files.fact(f"{FREQUENCY}/cpuinfo_max_freq", _kilohertz),
        "base_frequency_hz": files.fact(f"{FREQUENCY}/base_frequency", _kilohertz),
        "min_scaling_hz": files.fact(f"{FREQUENCY}/scaling_min_freq", _kilohertz),
        "max_scaling_hz": files.fact(f"{FREQUENCY}/scaling_max_freq", _kilohertz),
        "energy_preference": _of_all(files, "energy_performance_preference"),
        "microcode": files.fact("/proc/cpuinfo", lambda text: fields(text)["microcode"]),
        "vector_extensions": files.fact("/proc/cpuinfo", _vector_extensions),
        "boost": _boost(files),
        "numa_nodes": _numa_nodes(files),
    }


def _model_fact(files: Files) -> Fact:
    if sys.platform == "win32" and files.of_this_machine:
        from harness.agent.inspection import windows  # noqa: PLC0415 - Windows only

        return windows.processor()
    return files.fact("/proc/cpuinfo", _model)


def _numa_nodes(files: Files) -> Fact:
    if sys.platform == "win32" and files.of_this_machine:
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        return fact("GetNumaNodeProcessorMaskEx", lambda: len(win32.nodes()))
    return fact(NODES, lambda: len(files.matching(f"{NODES}/node[0-9]*")))


def _model(text: str) -> str:
    """Return the model's name; ARM kernels give numbers of implementer and part instead."""
    found = fields(text)
    if "model name" in found:
        return found["model name"]
    return f"implementer {found['CPU implementer']} part {found['CPU part']}"


def _switch(text: str) -> bool:
    return {"0": False, "1": True}[text]


def _kilohertz(text: str) -> float:
    return int(text) * 1e3


def _of_all(files: Files, name: str) -> Fact:
    """Return what the file `name` of every processor's frequency says; of processors that differ, all of it.

    A processor that is offline answers with EBUSY and is left out, unless all are.
    """
    pattern = f"{CPUS}/cpu[0-9]*/cpufreq/{name}"
    return fact(pattern, lambda: ", ".join(sorted(_of_online(files, files.matching(pattern)))))


def _of_online(files: Files, paths: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        try:
            found.add(files.text(path))
        except OSError as error:
            if error.errno != errno.EBUSY or (path == paths[-1] and not found):
                raise
    return found


def _vector_extensions(text: str) -> str:
    """Return the flags that decide which kernels numerical libraries choose; ARM calls flags features."""
    found = fields(text)
    flags = (found["flags"] if "flags" in found else found["Features"]).split()
    return " ".join(flag for flag in sorted(flags) if VECTOR.fullmatch(flag))


def _boost(files: Files) -> Fact:
    """Whether the clock may rise above its nominal value; Intel's driver states the opposite."""
    if files.told(NO_TURBO):
        return files.fact(NO_TURBO, lambda text: not _switch(text))
    return files.fact(BOOST, _switch)
