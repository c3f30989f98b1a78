"""A guest's disk image and what lies beside it: the key that lets us in, how to know the guest, a kernel to boot."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from harness.errors import PlatformError

QCOW2 = b"QFI\xfb"
RAW_ROOT = "/dev/vda"
# Not `quiet`: where a guest does not come up, the last lines of its console say why. A panic ends QEMU at once.
KERNEL_ARGUMENTS = f"root={RAW_ROOT} rw console=ttyS0 loglevel=4 panic=-1 net.ifnames=0"


@dataclass(frozen=True, kw_only=True)
class GuestImage:
    """`guest.qcow2`, with `guest.key` and `guest.hostkey.pub`, and, where it has no boot loader, `guest.vmlinuz`."""

    disk: Path

    @property
    def key(self) -> Path:
        """The private ssh key whose public part the guest's user trusts."""
        return self.disk.with_suffix(".key")

    @property
    def host_key(self) -> Path:
        """The guest's public ssh host key, one line."""
        return self.disk.with_suffix(".hostkey.pub")

    @property
    def kernel(self) -> Path:
        """The kernel to boot, if the disk does not boot by itself."""
        return self.disk.with_suffix(".vmlinuz")

    @property
    def initrd(self) -> Path:
        """The initial RAM disk that goes with the kernel."""
        return self.disk.with_suffix(".initrd")

    @property
    def record(self) -> Path:
        """What `vm image` says about an image that it made."""
        return self.disk.with_suffix(".json")

    def missing(self) -> str:
        """Return what keeps the image from being used, one line with a remedy; empty if nothing does. Quick."""
        if not self.disk.is_file():
            named = self.disk.relative_to(Path.cwd()) if self.disk.is_relative_to(Path.cwd()) else self.disk
            return f"guest image {named} is missing; make it with `python -m harness vm image -o {named}`"
        for path, what in ((self.key, "private ssh key"), (self.host_key, "public ssh host key")):
            if not path.is_file():
                return f"guest image {self.disk}: its {what} is missing; put it beside it as {path.name}"
        return ""

    def format(self) -> str:
        """Return qcow2 or raw. Raises PlatformError if the disk can't be read."""
        try:
            with self.disk.open("rb") as file:
                return "qcow2" if file.read(len(QCOW2)) == QCOW2 else "raw"
        except OSError as error:
            problem = f"guest image {self.disk} can't be read: {error.strerror or error}"
            raise PlatformError(problem, "Give this user the right to read it.") from error

    def identity(self) -> str:
        """Return what changes when somebody writes to the disk: a digest of its size and times, not of gigabytes."""
        status = self.disk.stat()
        return hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
