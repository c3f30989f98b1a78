"""Settings that doctor may change: a file of the kernel, a GPU's persistence mode, Windows' power plan.

Each is read and written as a short text. Both raise OSError: FileNotFoundError where the setting is not there any
more, PermissionError where this user may not.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Protocol

import pynvml

from harness.agent.inspection.facts import Files
from harness.agent.inspection.memory import chosen
from harness.errors import PlatformError
from harness.runner import process

GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SECONDS = 10.0


class Setting(Protocol):
    """`kind` and `where` find it again; `lasting` is whether it outlives a reboot."""

    kind: ClassVar[str]
    lasting: ClassVar[bool]

    @property
    def where(self) -> str: ...

    def read(self) -> str: ...

    def write(self, value: str) -> None: ...

    def writable(self) -> bool:
        """Whether this user may change it, as far as that can be told without trying."""
        ...


@dataclass(frozen=True, kw_only=True)
class KernelFile:
    """A file of /proc or /sys with one word in it, or a choice of several."""

    kind: ClassVar[str] = "file"
    lasting: ClassVar[bool] = False
    where: str
    files: Files

    def read(self) -> str:
        """Return the word in it, the bracketed one of a choice."""
        text = self.files.text(self.where)
        return chosen(text) if "[" in text else text

    def write(self, value: str) -> None:
        """Write the word in one call, as the kernel wants it; a file that has gone is not made anew."""
        descriptor = os.open(self.files.path(self.where), os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(descriptor, value.encode("ascii"))
        finally:
            os.close(descriptor)

    def writable(self) -> bool:
        """By the file's mode; a read-only mount of /sys counts."""
        return os.access(self.files.path(self.where), os.W_OK)


@dataclass(frozen=True, kw_only=True)
class PersistenceMode:
    """Persistence mode of the GPU with this UUID: "0" or "1"."""

    kind: ClassVar[str] = "persistence"
    lasting: ClassVar[bool] = False
    where: str

    def read(self) -> str:
        """Ask the driver."""
        with _gpu(self.where) as gpu:
            return str(pynvml.nvmlDeviceGetPersistenceMode(gpu))

    def write(self, value: str) -> None:
        """Tell the driver."""
        with _gpu(self.where) as gpu:
            pynvml.nvmlDeviceSetPersistenceMode(gpu, int(value))

    def writable(self) -> bool:
        """The driver lets root alone."""
        return sys.platform != "win32" and os.geteuid() == 0


NVML_ERRORS = {
    pynvml.NVML_ERROR_NO_PERMISSION: errno.EACCES,
    pynvml.NVML_ERROR_NOT_FOUND: errno.ENOENT,
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: errno.ENOENT,
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: errno.ENOENT,
}


@contextmanager
def _gpu(uuid: str) -> Iterator[object]:
    """Find the GPU; turn NVML's refusals into OSError."""
    try:
        pynvml.nvmlInit()
        try:
            yield pynvml.nvmlDeviceGetHandleByUUID(uuid)
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        raise OSError(NVML_ERRORS.get(error.value, errno.EIO), str(error)) from error


@dataclass(frozen=True, kw_only=True)
class PowerPlan:
    """Windows' active power scheme, by its GUID."""

    kind: ClassVar[str] = "power plan"
    lasting: ClassVar[bool] = True
    where: str = "powercfg"

    def read(self) -> str:
        """Return the only GUID in an answer whose words depend on the system's language."""
        found = GUID.search(_powercfg("/getactivescheme"))
        if found is None:
            raise OSError(errno.EIO, "powercfg names no active scheme")
        return found[0].lower()

    def write(self, value: str) -> None:
        """Make the scheme the active one."""
        _powercfg("/setactive", value)

    def writable(self) -> bool:
        """Every user may, unless a policy forbids it."""
        return True


def _powercfg(*arguments: str) -> str:
    try:
        answer = process.capture(("powercfg", *arguments), timeout=SECONDS)
    except PlatformError as error:
        raise FileNotFoundError(errno.ENOENT, str(error)) from error
    if answer.code:
        said = " ".join((answer.stderr or answer.stdout).split())
        raise OSError(errno.EIO, f"powercfg: {said or f'exit status {answer.code}'}")
    return answer.stdout
