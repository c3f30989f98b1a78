"""How the kernel was built and started: what its command line says of speed, preemption, timers."""

from __future__ import annotations

import gzip
import os
import re
import sys
import zlib

from harness.agent.inspection.facts import Fact, Files, fact

COMMAND_LINE = "/proc/cmdline"
# Parameters that change what a measurement sees (kernel-parameters.txt). Others may name disks, hosts, users, keys.
TELLING = frozenset({
    "amd_iommu", "amd_pstate", "audit", "clocksource", "cpufreq.default_governor", "default_hugepagesz", "hpet",
    "hugepages", "hugepagesz", "idle", "init_on_alloc", "init_on_free", "intel_idle.max_cstate", "intel_iommu",
    "intel_pstate", "iommu", "iommu.passthrough", "iommu.strict", "irqaffinity", "isolcpus", "kpti", "l1tf", "maxcpus",
    "mds", "mem", "mitigations", "nmi_watchdog", "no_timer_check", "nohz", "nohz_full", "nopti", "nosmt",
    "nospectre_v2", "nosoftlockup", "nowatchdog", "nr_cpus", "numa", "numa_balancing", "page_poison", "pci",
    "pcie_acs_override", "pcie_aspm", "preempt", "processor.max_cstate", "psi", "pti", "rcu_nocbs", "retbleed",
    "skew_tick", "slab_nomerge", "slub_debug", "spec_store_bypass_disable", "spectre_v2", "swiotlb", "threadirqs",
    "transparent_hugepage", "tsc", "tsx", "vdso32", "vfio-pci.ids",
})  # fmt: skip
WORTH = re.compile(r"[\w.,:=/@+-]*")  # a telling parameter's value has no other characters
PREEMPT_DEBUG = "/sys/kernel/debug/sched/preempt"
PREEMPTION = re.compile(r"PREEMPT(?:_(?:RT|DYNAMIC|VOLUNTARY|LAZY))?")
BUILD_CONFIG = "/proc/config.gz"
TIMER_SLACK = "/proc/self/timerslack_ns"


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts; times are seconds."""
    return {
        "parameters": files.fact(COMMAND_LINE, parameters),
        "preemption_built": fact("uname -v", lambda: preemption(_version())),
        "preemption": files.fact(PREEMPT_DEBUG, _chosen),
        "tick_hz": fact(BUILD_CONFIG, lambda: _tick(files)),
        "timer_slack_seconds": files.fact(TIMER_SLACK, lambda text: int(text) * 1e-9),
        "address_randomization": files.fact("/proc/sys/kernel/randomize_va_space", int),
        "timer_migration": files.fact("/proc/sys/kernel/timer_migration", int),
        "watchdog": files.fact("/proc/sys/kernel/watchdog", int),
        "perf_event_paranoid": files.fact("/proc/sys/kernel/perf_event_paranoid", int),
    }


def _version() -> str:
    if sys.platform == "win32":
        msg = "Windows names no preemption model"
        raise LookupError(msg)
    return os.uname().version


def parameters(command_line: str) -> dict[str, str]:
    """Return the telling parameters of a kernel command line, name → value, empty for a bare word; the last counts.

    What follows ` -- ` is for init and not for the kernel.
    """
    ours = re.split(r"(?:^|\s)--(?:\s|$)", command_line, maxsplit=1)[0]
    found: dict[str, str] = {}
    for word in ours.split():
        name, _, value = word.partition("=")
        if name in TELLING and WORTH.fullmatch(value):
            found[name] = value
    return found


def preemption(version: str) -> str:
    """Return what the kernel was built for, as `uname -v` says; "none" is the word for servers' kernels."""
    found = PREEMPTION.search(version)
    return found[0] if found else "none or voluntary"


def _chosen(text: str) -> str:
    """Return the word in brackets of `none voluntary (full) lazy`."""
    found = re.search(r"\((\w+)\)", text)
    if found is None:
        raise ValueError(text)
    return found[1]


def _tick(files: Files) -> int:
    """Return CONFIG_HZ, which few kernels disclose."""
    try:
        config = gzip.decompress(files.path(BUILD_CONFIG).read_bytes()).decode("ascii", "replace")
    except (EOFError, zlib.error) as error:
        msg = "not a whole gzip file"
        raise ValueError(msg) from error
    found = re.search(r"^CONFIG_HZ=(\d+)$", config, re.MULTILINE)
    if found is None:
        msg = "no CONFIG_HZ"
        raise LookupError(msg)
    return int(found[1])
