"""A planted machine whose settings `--fix` would change, and how it is looked at."""

from __future__ import annotations

from pathlib import Path

from harness.agent.inspection.facts import Files
from harness.agent.inspection.memory import chosen
from harness.doctor.finding import Finding
from harness.doctor.fix import WANTED
from tests.agent.trees import tree

BOOT = "/proc/sys/kernel/random/boot_id"
CPUS = "/sys/devices/system/cpu"
POLICY = f"{CPUS}/cpufreq/policy"
TURBO = f"{CPUS}/intel_pstate/no_turbo"
PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"
SWAPPINESS = "/proc/sys/vm/swappiness"
GOVERNORS = "performance powersave"
PREFERENCES = "default performance balance_performance balance_power power"
CHOICES = {
    f"{POLICY}0/scaling_governor": ("powersave", "performance"),
    f"{POLICY}1/scaling_governor": ("powersave", "performance"),
    f"{POLICY}0/energy_performance_preference": ("balance_power", "performance", "power"),
    f"{POLICY}1/energy_performance_preference": ("power", "performance"),
    TURBO: ("0", "1"),
    PAGES: ("always", "madvise", "never"),
    SWAPPINESS: ("60", "1", "10"),
}
FIXABLE = ("cpu.governor", "cpu.turbo", "memory.transparent_huge_pages", "memory.swappiness")


def plant(root: Path) -> Files:
    """Plant the machine with the first of each setting's choices."""
    fixed = {
        BOOT: "boot-1\n",
        **{f"{POLICY}{number}/scaling_available_governors": GOVERNORS for number in (0, 1)},
        **{f"{POLICY}{number}/energy_performance_available_preferences": PREFERENCES for number in (0, 1)},
    }
    files = tree(root, {**fixed, **{path: f"{choices[0]}\n" for path, choices in CHOICES.items()}})
    files.path(PAGES).write_text("[always] madvise never\n")
    return files


def values(files: Files) -> dict[str, str]:
    """Return what each setting holds, as a reader of it understands it."""
    texts = {path: files.text(path) for path in CHOICES}
    return {path: chosen(text) if "[" in text else text for path, text in texts.items()}


def complaint(id: str) -> Finding:  # noqa: A002 - the field's name
    """Return a finding that `--fix` is to mend."""
    return Finding(id=id, what="", source="", matter="relevant", why="", remedy=f"mend {id}", fixable=True)


def complaints() -> list[Finding]:
    """Return one for everything that can be fixed on a file system."""
    assert set(FIXABLE) < set(WANTED)
    return list(map(complaint, FIXABLE))
