"""Folders of a run on this host, and what a killed run left in them.

A run claims its folder by a file that names its process. The next run removes the folders whose owner is gone, and
ends the process that the owner had started and could not end any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

from harness.errors import PlatformError
from harness.platforms.owner import Owner, boot_id

OWNER = "owner.json"
PROCESS = "process.json"  # in the folder of a platform: the launch, or the guest, that is running


def claim(folder: Path) -> None:
    """Make the folder, private to this user, and note this process as its owner. Raises PlatformError.

    What a killed run left there (a resumed run has the same folder) is removed first.
    """
    sweep(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        note(folder / OWNER, os.getpid())
    except OSError as error:
        problem = f"folder {folder} can't be made: {error.strerror or error}"
        raise PlatformError(problem, "Make room there, or name another cache by OVERHEAD_MATRIX_CACHE.") from error


def note(file: Path, pid: int) -> None:
    """Write down a living process."""
    file.write_text(json.dumps(Owner.of(pid).record()), encoding="utf-8")


def sweep(*folders: Path) -> None:
    """Remove those of the folders whose owner is gone, and end the processes that it left. Never raises OSError."""
    for folder in folders:
        owner = _noted(folder / OWNER)
        if owner is not None and owner.is_gone() and not folder.is_symlink():
            for process in folder.glob(f"*/{PROCESS}"):
                _end(_noted(process))
            shutil.rmtree(folder, ignore_errors=True)


def orphaned_record(file: Path) -> dict[str, object] | None:
    """Return the record of what a process took, its `owner`, if that is gone and this is still its boot; else None.

    After a reboot the system has put back everything itself, and the file is removed. Never raises.
    """
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        owner = Owner.from_record(record["owner"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    if owner is None or not owner.is_gone():
        return None
    if owner.boot != boot_id():
        file.unlink(missing_ok=True)
        return None
    return dict(record)


def _noted(file: Path) -> Owner | None:
    try:
        if hasattr(os, "getuid") and file.lstat().st_uid != os.getuid():
            return None  # anybody can write to /dev/shm
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Owner.from_record(record) if isinstance(record, dict) else None


def _end(process: Owner | None) -> None:
    """Kill the group of a process that was started for the run, if it is still the same process.

    On Windows a job object has ended the group with the run that started it; killed here is what it may have missed.
    """
    if process is None or not process.is_running():
        return
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            os.kill(int(process.pid), signal.SIGTERM)  # TerminateProcess
        else:
            os.killpg(os.getpgid(int(process.pid)), signal.SIGKILL)
