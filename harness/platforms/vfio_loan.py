"""Takes a GPU from the host's drivers for a guest, and gives it back: also what a killed run has not given back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.agent.inspection.pci import DEVICES
from harness.errors import PlatformError
from harness.platforms.leftovers import orphaned_record
from harness.platforms.owner import Owner
from harness.platforms.vfio import DRIVER, DRIVERS, Sysfs, driver, own_functions, refusal

PROBE = "/sys/bus/pci/drivers_probe"
FOLDER = "vfio"  # in the cache: it outlives the run's own folder


@dataclass(frozen=True, kw_only=True)
class Loan:
    """What was bound to vfio-pci: address → the driver that held it, empty for none.

    What vfio-pci held already, by the user's will, is no part of it.
    """

    before: Mapping[str, str]
    note: Path

    @property
    def borrowed(self) -> bool:
        """Whether a driver of the host waits for something."""
        return any(self.before.values())


def borrow(system: Sysfs, address: str, cache: Path) -> Loan:
    """Bind the GPU and its card's other functions to vfio-pci, once a note in `cache` says what held them.

    Raises PlatformError where that is refused, by the checks or by the kernel; then nothing is left changed.
    """
    refused = refusal(system, address)
    if refused:
        raise PlatformError(refused)
    drivers = {each: driver(system, each) for each in own_functions(system, address)}
    before = {each: name for each, name in drivers.items() if name != DRIVER}
    loan = Loan(before=before, note=cache / FOLDER / f"{address.replace(':', '-')}.json")
    try:
        _write_note(loan)
        for each in loan.before:
            _bind(system, each, DRIVER)
    except (OSError, PlatformError) as error:
        give_back(system, loan)
        said = error.strerror or str(error) if isinstance(error, OSError) else error.problem
        raise PlatformError(f"{address} can't be bound to {DRIVER}: {said}", "Run as root; see `dmesg`.") from error
    return loan


def give_back(system: Sysfs, loan: Loan) -> list[str]:
    """Let each device go back to the driver that held it; return what could not be given back, one line each.

    The note goes once everything is as it was.
    """
    problems = []
    for address, name in loan.before.items():
        try:
            _bind(system, address, name)
        except (OSError, PlatformError) as error:
            said = error.strerror or str(error) if isinstance(error, OSError) else error.problem
            remedy = f"`echo {address} > {DRIVERS}/{name}/bind` as root, or reboot" if name else "reboot"
            problems.append(f"{address} could not be given back to {name or 'no driver'}: {said}; {remedy}")
    if not problems:
        loan.note.unlink(missing_ok=True)
    return problems


def reclaim(system: Sysfs, cache: Path) -> list[str]:
    """Give back what killed runs still hold; return what can't be. Their guests must have been ended before."""
    return [problem for loan in orphaned(cache) for problem in give_back(system, loan)]


def orphaned(cache: Path) -> list[Loan]:
    """Return what killed runs still hold."""
    return list(filter(None, map(_orphaned, sorted((cache / FOLDER).glob("*.json")))))


def _write_note(loan: Loan) -> None:
    loan.note.parent.mkdir(parents=True, exist_ok=True)
    record = {"owner": Owner.of(os.getpid()).record(), "before": dict(loan.before)}
    scratch = loan.note.with_suffix(".new")
    with scratch.open("w", encoding="utf-8") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    scratch.replace(loan.note)


def _orphaned(note: Path) -> Loan | None:
    """Return the loan of a process that is gone. After a reboot the kernel has given everything back itself."""
    record = orphaned_record(note)
    before = record.get("before") if record is not None else None
    if not isinstance(before, Mapping):
        return None
    return Loan(before={str(address): str(name) for address, name in before.items()}, note=note)


def _bind(system: Sysfs, address: str, name: str) -> None:
    """Let `name` hold the device, no driver if it is empty. Raises OSError, PlatformError."""
    _override(system, address, name if name == DRIVER else "")
    now = driver(system, address)
    if now == name:
        return
    if now:
        system.write(f"{DRIVERS}/{now}/unbind", address)
    if name:
        system.write(PROBE, address)
    found = driver(system, address)
    if found != name:
        raise PlatformError(f"it is held by {found or 'no driver'}")


def _override(system: Sysfs, address: str, name: str) -> None:
    """Say which driver alone may take the device; a line without a name says any."""
    with suppress(FileNotFoundError):
        system.write(f"{DEVICES}/{address}/driver_override", f"{name}\n")
