"""Who left something behind, and whether that process still lives: on this host, in this boot, not just the same id."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A process that cannot be mistaken for a later one with the same id.

    `namespace` is the PID namespace: from another container, the same id means another process. `start` is the time
    since boot in clock ticks, as /proc gives it, on Windows the moment in its own ticks. What a system does not tell is
    empty.
    """

    host: str
    boot: str
    namespace: str
    pid: str
    start: str

    @classmethod
    def of(cls, pid: int) -> Self:
        """Return the identity of a living process of this host."""
        return cls(
            host=platform.node(),
            boot=boot_id(),
            namespace=_namespace(),
            pid=str(pid),
            start=_start_time(str(pid)) or "",
        )

    @classmethod
    def from_record(cls, record: Mapping[str, object]) -> Self | None:
        """Return the owner that `record` names, None if it does not name one."""
        values = {each.name: record.get(each.name) for each in fields(cls)}
        if not all(isinstance(value, str) for value in values.values()) or not str(values["pid"]).isdecimal():
            return None
        return cls(**{name: str(value) for name, value in values.items()})

    def record(self) -> dict[str, str]:
        """Return what `from_record` reads."""
        return asdict(self)

    def is_gone(self) -> bool:
        """Whether the process has certainly ended; False where that can't be told from here."""
        if self.host != platform.node() or not self.boot or not self.start:
            return False
        if self.boot != boot_id():
            return True
        return self.namespace == _namespace() and _start_time(self.pid) != self.start

    def is_running(self) -> bool:
        """Whether the process certainly lives and can be signalled by its id from here."""
        here = (self.host, self.boot, self.namespace) == (platform.node(), boot_id(), _namespace())
        return here and bool(self.start) and _start_time(self.pid) == self.start


def boot_id() -> str:
    """Return the system's id of this boot, empty where there is none."""
    if sys.platform == "win32":
        from harness.agent.inspection import windows  # noqa: PLC0415 - Windows only

        return str(windows.boot_id()["value"] or "")
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _namespace() -> str:
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _start_time(pid: str) -> str | None:
    """Return the process's start in ticks, None if there is no such process or it is only a zombie."""
    if sys.platform == "win32":
        return _start_on_windows(int(pid))
    try:
        text = Path("/proc", pid, "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return None if state in {"Z", "X"} else rest[18]


def _start_on_windows(pid: int) -> str | None:
    if sys.platform != "win32":
        return None
    from harness.agent import win32  # noqa: PLC0415 - Windows only

    try:
        start = win32.process_start(pid)
    except OSError:
        return None
    return None if start is None else str(start)
