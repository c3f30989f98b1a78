"""Windows: power plan, Defender, virtualization-based security. Its processes are checked as everybody's, in `load`."""

from __future__ import annotations

from collections.abc import Iterator

from harness.agent.inspection.windows import NO_ANSWER, NOT_STARTED, NOTHING
from harness.doctor.finding import Check, Facts, Reading, Seen, Unread, read
from harness.packages import LONG_PATHS

HIGH_PERFORMANCE = "8c5e7fda-e8bf-4a96-9a85-a6e23a8c635c"
FAST = frozenset({"high performance", "ultimate performance"})
ADMINISTRATOR = "run `doctor` as an administrator"
TRY = "`powershell.exe -NoProfile -Command Get-MpComputerStatus`"
SHELL_REMEDIES = {  # what the error of a fact says → what to do
    NOT_STARTED: r"put C:\Windows\System32\WindowsPowerShell\v1.0 on PATH; a policy of this machine may forbid it",
    NO_ANSWER: f"run `doctor` again; if it stays so, see what {TRY} waits for, or restart Windows",
    NOTHING: f"see what {TRY} says; a policy of this machine may forbid scripts",
}


def power_plan(facts: Facts) -> Iterator[Seen]:
    """The active power scheme."""
    found = read(facts, "windows.power_scheme")
    if found.value not in FAST:
        remedy = f"powercfg /setactive {HIGH_PERFORMANCE}"
        yield Seen(what=f"the power plan is {found.value}", source=found.source, remedy=remedy)


def defender(facts: Facts) -> Iterator[Seen]:
    """Defender's real-time protection; with exclusions it may leave the cache folder alone, which it does not tell."""
    found = told(facts, "windows.defender_realtime")
    if found.value:
        excluded = facts.get("windows.defender_excluded_paths", {}).get("value")
        what = "Defender scans every file that is opened or written"
        what += f" ({excluded} paths are excluded)" if excluded else ""
        remedy = "as an administrator: Add-MpPreference -ExclusionPath <the cache folder>"
        yield Seen(what=what, source=found.source, remedy=remedy, matter="noted" if excluded else None)


def security(facts: Facts) -> Iterator[Seen]:
    """Virtualization-based security, which puts Windows itself under the hypervisor."""
    found = told(facts, "windows.virtualization_based_security")
    if found.value == "running":
        integrity = facts.get("windows.memory_integrity", {}).get("value")
        what = "virtualization-based security runs" + (", with memory integrity" if integrity else "")
        remedy = (
            "measure one boot with it and one without (Windows Security > Device security > Core isolation) and report "
            "both bundles together: `native-windows-vbs` and `native-windows`"
        )
        yield Seen(what=what, source=found.source, remedy=remedy)


def long_paths(facts: Facts) -> Iterator[Seen]:
    """Paths of more than 260 characters, as wheels of frameworks have them below the cache folder."""
    found = read(facts, "windows.long_paths")
    if found.value != 1:
        yield Seen(
            what="paths of more than 260 characters are refused",
            source=found.source,
            remedy=f"as an administrator: {LONG_PATHS}",
        )


def told(facts: Facts, name: str) -> Reading:
    """Return what PowerShell was asked for. Raises Unread, with the remedy where PowerShell itself has failed."""
    try:
        return read(facts, name)
    except Unread as unread:
        remedy = next((remedy for said, remedy in SHELL_REMEDIES.items() if said in unread.error), "")
        raise Unread(unread.source, unread.error, remedy) from unread


def wine(facts: Facts) -> Iterator[Seen]:
    """Wine, which is no Windows. A real one has no such fact."""
    if "windows.stand_in" in facts:
        found = read(facts, "windows.stand_in")
        remedy = "boot Windows on this machine"
        yield Seen(what=f"this is {found.value} and no Windows", source=found.source, remedy=remedy)


CHECKS = (
    Check(
        id="windows.wine",
        matter="decisive",
        why="nothing measured here says anything of Windows",
        look=wine,
    ),
    Check(
        id="windows.power_plan",
        matter="decisive",
        why="the clock follows the load, and platforms load the processor differently: their ratio measures that too",
        look=power_plan,
    ),
    Check(
        id="windows.defender",
        matter="relevant",
        why="small files take longer, on NTFS and not on a distribution's disk",
        look=defender,
        unread=ADMINISTRATOR,
    ),
    Check(
        id="windows.long_paths",
        matter="noted",
        why="a stack's wheels may not install: frameworks have files deep below the cache folder",
        look=long_paths,
    ),
    Check(
        id="windows.security",
        matter="noted",
        why="with it, `native` Windows runs under the hypervisor as a guest does",
        look=security,
        unread=ADMINISTRATOR,
    ),
)
