"""Changes the settings that can be undone: noted first, then changed, then read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.agent.inspection.facts import Files
from harness.doctor.finding import Facts, Finding
from harness.doctor.note import Change, Note, is_restorable, read_note, write_note
from harness.doctor.settings import KernelFile, PersistenceMode, PowerPlan, Setting
from harness.doctor.windows import HIGH_PERFORMANCE

FREQUENCY = "/sys/devices/system/cpu/cpufreq"
NO_TURBO = "/sys/devices/system/cpu/intel_pstate/no_turbo"
BOOST = f"{FREQUENCY}/boost"
HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"
SWAPPINESS = "/proc/sys/vm/swappiness"
PERFORMANCE = "performance"

Wanted = Iterator[tuple[Setting, str]]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What became of one setting; `said` is for the user."""

    finding: str
    where: str
    said: str
    failed: bool = False


def _governor(files: Files, _facts: Facts) -> Wanted:
    """Name the energy preference before the governor: drivers set it with the governor, and not all set it back.

    It is noted by that, and restored after the governor, which forbids every other preference.
    """
    for folder in sorted(files.path(FREQUENCY).glob("policy[0-9]*")):
        policy = f"{FREQUENCY}/{folder.name}"
        for name, choice in (
            ("energy_performance_preference", "energy_performance_available_preferences"),
            ("scaling_governor", "scaling_available_governors"),
        ):
            if _offers(files, f"{policy}/{choice}"):
                yield KernelFile(where=f"{policy}/{name}", files=files), PERFORMANCE


def _offers(files: Files, choice: str) -> bool:
    """Whether it is to be had; a processor that is offline does not say."""
    try:
        return PERFORMANCE in files.text(choice).split()
    except OSError:
        return False


def _turbo(files: Files, _facts: Facts) -> Wanted:
    if files.told(NO_TURBO):
        yield KernelFile(where=NO_TURBO, files=files), "1"
    elif files.told(BOOST):
        yield KernelFile(where=BOOST, files=files), "0"


def _huge_pages(files: Files, _facts: Facts) -> Wanted:
    yield KernelFile(where=HUGE_PAGES, files=files), "madvise"


def _swappiness(files: Files, _facts: Facts) -> Wanted:
    yield KernelFile(where=SWAPPINESS, files=files), "1"  # 0 would rather kill than swap


def _persistence(_files: Files, facts: Facts) -> Wanted:
    for device in facts["gpu.devices"]["value"]:
        if device.get("persistence") is False and device.get("uuid"):
            yield PersistenceMode(where=device["uuid"]), "1"


def _power_plan(_files: Files, _facts: Facts) -> Wanted:
    yield PowerPlan(), HIGH_PERFORMANCE


WANTED: Mapping[str, Callable[[Files, Facts], Wanted]] = {
    "cpu.governor": _governor,
    "cpu.turbo": _turbo,
    "memory.transparent_huge_pages": _huge_pages,
    "memory.swappiness": _swappiness,
    "gpu.persistence": _persistence,
    "windows.power_plan": _power_plan,
}


class Fixer:
    """Knows which settings a finding asks for."""

    def __init__(self, files: Files, facts: Facts) -> None:
        self._files = files
        self._facts = facts

    def changes(self, finding: str) -> list[Change]:
        """Return the changes that would mend the finding, none where nothing can. What can't be read is left alone."""
        wanted = WANTED[finding](self._files, self._facts) if finding in WANTED else ()
        return [change for setting, value in wanted if (change := _change(finding, setting, value))]

    def can(self, finding: str) -> bool:
        """Whether this user could make these changes."""
        changes = self.changes(finding)
        return bool(changes) and all(each.setting.writable() for each in changes)


def _change(finding: str, setting: Setting, value: str) -> Change | None:
    try:
        change = Change(finding=finding, setting=setting, before=setting.read(), after=value)
    except (OSError, ValueError):
        return None
    return change if change.before != value and is_restorable(change) else None


def fix(findings: Iterable[Finding], fixer: Fixer, *, files: Files, note: Path, boot: str) -> list[Step]:
    """Make every change that this user can make; note what held before, first. Raises OSError without a note."""
    distinct = {each.id: each for each in findings}
    changes = [change for each in distinct.values() if each.fixable for change in fixer.changes(each.id)]
    refused = [each for each in distinct.values() if not each.fixable and fixer.changes(each.id)]
    if changes:
        before = read_note(note, files)
        write_note(note, Note(boot=boot, changes=_merged(before.pending(boot) if before else [], changes)))
    return [*map(_make, changes), *map(_refusal, refused)]


def _merged(noted: Iterable[Change], changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return both. Of a setting in both, what held at first counts, unless somebody else has set it since."""
    found = {each.key: each for each in noted}
    for each in changes:
        earlier = found.get(each.key)
        ours = earlier is not None and each.before == earlier.after
        found[each.key] = replace(each, before=earlier.before) if earlier is not None and ours else each
    return tuple(found.values())


def _make(change: Change) -> Step:
    setting = change.setting
    try:
        setting.write(change.after)
        now = setting.read()
    except OSError as error:
        said = f"not changed: {error.strerror or error}"
        return Step(finding=change.finding, where=setting.where, said=said, failed=True)
    if now != change.after:
        said = f"not changed: it took {change.after} and says {now}"
        return Step(finding=change.finding, where=setting.where, said=said, failed=True)
    return Step(finding=change.finding, where=setting.where, said=f"{change.before} → {change.after}")


def _refusal(finding: Finding) -> Step:
    said = f"not changed: this user may not write it here; as root, on the host: `doctor --fix`, or {finding.remedy}"
    return Step(finding=finding.id, where=finding.source, said=said, failed=True)
