"""The operating system: kernel, release, memory management, clock source, mitigations."""

from __future__ import annotations

import mmap
import os
import platform
import sys

from harness.agent import versions
from harness.agent.inspection.facts import Fact, Files, fact, fields
from harness.agent.inspection.memory import chosen, kibibytes

VULNERABILITIES = "/sys/devices/system/cpu/vulnerabilities"
CLOCK_SOURCE = "/sys/devices/system/clocksource/clocksource0"
HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage"


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts of the operating system."""
    return {
        "platform": fact("sys.platform", lambda: sys.platform),
        "kernel": fact("uname -r", kernel),
        "machine": fact("uname -m", machine),
        "release": _release(files),
        "libc": fact("confstr", lambda: versions.libc() or None),
        "memory_bytes": _memory(files),
        "page_size_bytes": fact("mmap", lambda: mmap.PAGESIZE),
        "transparent_huge_pages": files.fact(f"{HUGE_PAGES}/enabled", chosen),
        "swappiness": files.fact("/proc/sys/vm/swappiness", int),
        "clock_source": files.fact(f"{CLOCK_SOURCE}/current_clocksource"),
        "clock_sources": files.fact(f"{CLOCK_SOURCE}/available_clocksource"),
        "mitigations": fact(VULNERABILITIES, lambda: _mitigations(files)),
        "seccomp": files.fact("/proc/self/status", lambda text: _seccomp(fields(text)["Seccomp"])),
        "speculative_store_bypass": files.fact(
            "/proc/self/status", lambda text: fields(text)["Speculation_Store_Bypass"]
        ),
        "pressure_stall_information": fact("/proc/pressure", lambda: files.exists("/proc/pressure/cpu")),
        "boot_id": boot_id(files),
    }


def kernel() -> str:
    """Return the kernel's release, on Windows its version and build."""
    if sys.platform == "win32":
        return "{}.{}.{}".format(*sys.getwindowsversion()[:3])
    return os.uname().release


def machine() -> str:
    """Return the processor's architecture, as this system calls it."""
    if sys.platform == "win32":
        return os.environ["PROCESSOR_ARCHITECTURE"]
    return os.uname().machine


def _memory(files: Files) -> Fact:
    if sys.platform == "win32" and files.of_this_machine:
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        return fact("GlobalMemoryStatusEx", lambda: win32.memory().total)
    return files.fact("/proc/meminfo", lambda text: kibibytes(fields(text)["MemTotal"]))


def boot_id(files: Files) -> Fact:
    """Return what tells this boot from others: the kernel's random identifier, on Windows its count of boots."""
    if sys.platform == "win32" and files.of_this_machine:
        from harness.agent.inspection import windows  # noqa: PLC0415 - Windows only

        return windows.boot_id()
    return files.fact("/proc/sys/kernel/random/boot_id")


def _release(files: Files) -> Fact:
    if sys.platform == "win32" and files.of_this_machine:
        from harness.agent.inspection import windows  # noqa: PLC0415 - Windows only

        return windows.product()
    path = next((each for each in ("/etc/os-release", "/usr/lib/os-release") if files.told(each)), None)
    if path is None:
        return fact("platform", lambda: f"{platform.system()} {platform.release()}")
    return files.fact(path, _pretty_name)


def _pretty_name(text: str) -> str:
    """Read os-release(5): shell-like assignments."""
    found = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return found["PRETTY_NAME"].strip("\"'")


def _mitigations(files: Files) -> dict[str, str]:
    return {path.rpartition("/")[2]: files.text(path) for path in files.matching(f"{VULNERABILITIES}/*")}


def _seccomp(mode: str) -> str:
    """Name the mode as proc(5) does."""
    return {"0": "disabled", "1": "strict", "2": "filter"}[mode]
