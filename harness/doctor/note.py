"""The note of what `doctor --fix` changes: written before anything is changed, removed when all is as it was.

One file for each host, since a home folder may be shared. A note is not trusted: whatever it says, only settings that
doctor knows are written, and only values of their kind.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.agent.inspection.facts import Files
from harness.agent.messages import MessageError, read_json, write_json
from harness.doctor.settings import GUID, KernelFile, PersistenceMode, PowerPlan, Setting
from harness.errors import HarnessError

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Change:
    """A setting that held `before` and is to hold `after`, because of a finding."""

    finding: str
    setting: Setting
    before: str
    after: str

    @property
    def key(self) -> tuple[str, str]:
        """What tells its setting from others."""
        return self.setting.kind, self.setting.where


@dataclass(frozen=True, kw_only=True)
class Note:
    """The changes in the order they are made, and the boot they are made in (empty where the system tells none)."""

    boot: str
    changes: tuple[Change, ...]

    def pending(self, boot: str) -> list[Change]:
        """Return the changes that a reboot since has not undone."""
        return [each for each in self.changes if self.boot == boot or each.setting.lasting]


@dataclass(frozen=True)
class _Kind:
    where: re.Pattern[str]
    value: re.Pattern[str]
    setting: Callable[[str, Files], Setting]


KINDS = {
    KernelFile.kind: _Kind(
        re.compile(
            r"/sys/devices/system/cpu/cpufreq/policy\d+/(scaling_governor|energy_performance_preference)"
            r"|/sys/devices/system/cpu/(intel_pstate/no_turbo|cpufreq/boost)"
            r"|/sys/kernel/mm/transparent_hugepage/enabled"
            r"|/proc/sys/vm/swappiness",
            re.ASCII,
        ),
        re.compile(r"[\w-]{1,64}", re.ASCII),
        lambda where, files: KernelFile(where=where, files=files),
    ),
    PersistenceMode.kind: _Kind(
        re.compile(r"GPU-[\w-]{1,64}", re.ASCII), re.compile("[01]"), lambda where, _: PersistenceMode(where=where)
    ),
    PowerPlan.kind: _Kind(re.compile(PowerPlan.where), GUID, lambda where, _: PowerPlan(where=where)),
}


def note_path(cache: Path) -> Path:
    """Return where this host's note lies."""
    host = re.sub(r"[^\w.-]", "_", platform.node()) or "host"
    return cache / "doctor" / f"{host}.json"


def write_note(path: Path, note: Note) -> None:
    """Write the note so that it is there, whole, when this returns; one without changes is removed."""
    if not note.changes:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    changes = [
        {
            "finding": each.finding,
            "kind": each.setting.kind,
            "where": each.setting.where,
            "before": each.before,
            "after": each.after,
        }
        for each in note.changes
    ]
    write_json(path, {"schema": SCHEMA, "boot_id": note.boot, "changes": changes})


def read_note(path: Path, files: Files) -> Note | None:
    """Return the note, None if there is none. Raises HarnessError for one that doctor did not write."""
    try:
        record = read_json(path)
        if record["schema"] != SCHEMA:
            raise ValueError(f"schema {record['schema']!r}")  # noqa: TRY301 - told like the other reasons
        changes = tuple(_change(each, files) for each in record["changes"])
        return Note(boot=str(record["boot_id"]), changes=changes)
    except FileNotFoundError:
        return None
    except (MessageError, ValueError, LookupError, TypeError) as error:
        problem = f"{path} is no note of `doctor --fix`: {type(error).__name__}: {error}"
        raise HarnessError(problem, "Remove it; a reboot undoes what it may have told of") from error


def _change(record: Any, files: Files) -> Change:  # noqa: ANN401 - from a file
    finding, kind, where, before, after = (
        str(record[name]) for name in ("finding", "kind", "where", "before", "after")
    )
    change = Change(finding=finding, setting=KINDS[kind].setting(where, files), before=before, after=after)
    if not is_restorable(change):
        raise ValueError(f"{where}: {before} to {after} is no change that doctor makes")
    return change


def is_restorable(change: Change) -> bool:
    """Whether it is a known setting, and both values are of its kind."""
    known = KINDS[change.setting.kind]
    values = (change.before, change.after)
    return bool(known.where.fullmatch(change.setting.where)) and all(map(known.value.fullmatch, values))
