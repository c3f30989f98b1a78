"""Puts the checks that apply to this system together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from harness.doctor import cgroup, cpu, engine, gpu, guest, load, memory, storage, windows, wsl
from harness.doctor.finding import Check, Facts, Finding, findings
from harness.doctor.fix import Fixer
from harness.doctor.restore import CHECKS as CHANGED

LINUX = (*guest.CHECKS, *wsl.LINUX, *cpu.CHECKS, *cgroup.CHECKS, *memory.CHECKS, *load.LINUX)
WINDOWS = (*windows.CHECKS, *load.WINDOWS)
EVERYWHERE = (*load.EVERYWHERE, *wsl.EVERYWHERE, *storage.CHECKS, *engine.CHECKS, *gpu.ALWAYS, *CHANGED)


def examine(facts: Facts, fixer: Fixer) -> list[Finding]:
    """Return the findings, what matters most first, each with whether the fixer can mend it."""
    return [replace(each, fixable=fixer.can(each.id)) for each in findings(checks(facts), facts)]


def checks(facts: Facts) -> Iterator[Check]:
    """Yield the checks that make sense here: what a system does not have is no unknown."""
    yield from WINDOWS if facts["system.platform"]["value"] == "win32" else LINUX
    yield from EVERYWHERE
    if facts["gpu.devices"]["value"]:
        yield from gpu.CHECKS
