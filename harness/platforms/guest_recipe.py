"""Makes a guest image from a distribution's packages: no installer, no boot loader, no background jobs.

The disk is one ext4 file system, the kernel and its initial RAM disk lie beside it, and so do the two ssh keys that
belong to this image alone. What is made is recorded; an image whose recipe is unchanged is not made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import PlatformError
from harness.platforms.guest_image import GuestImage
from harness.runner import process

BUILD_SECONDS = 1800.0  # a slow mirror
TOOL_SECONDS = 600.0
PACKAGES = (
    "python3", "python3-venv", "openssh-server", "linux-image-cloud-amd64", "initramfs-tools", "systemd-sysv",
    "systemd", "udev", "dbus", "iproute2", "kmod", "ca-certificates", "rsync",
)  # fmt: skip
PROGRAMS = {
    "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils", "ssh-keygen": "openssh-client",
}  # fmt: skip
# What would run in the background while something is measured, and what only makes the start longer.
JOBS = ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "e2scrub_all", "e2scrub_reap", "fstrim", "man-db",
        "systemd-tmpfiles-clean")  # fmt: skip
MASKED = (
    *(f"{job}.{kind}" for job in JOBS for kind in ("timer", "service")),
    "modprobe@.service", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "systemd-binfmt.service",
    "systemd-update-utmp.service", "systemd-update-utmp-runlevel.service",
)  # fmt: skip
NETWORK = "[Match]\nType=ether\n\n[Network]\nAddress=10.0.2.15/24\nLinkLocalAddressing=no\n"  # of QEMU's user network
FILES = {
    "etc/hostname": "guest\n",
    "etc/hosts": "127.0.0.1 localhost guest\n",
    "etc/fstab": "/dev/vda / ext4 noatime 0 0\n",
    "etc/systemd/network/guest.network": NETWORK,
    "etc/ssh/sshd_config.d/guest.conf": "UseDNS no\nPasswordAuthentication no\nMaxStartups 100\nMaxSessions 100\n",
    "root/.hushlogin": "",
}
# Before the kernel is installed: the initial RAM disk then has what this machine needs to find its disk, and no more.
INITIAL = {
    "etc/initramfs-tools/conf.d/guest": "MODULES=list\n",
    "usr/share/initramfs-tools/modules.d/guest": "virtio_pci\nvirtio_blk\next4\n",
}
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What an image is made of. `size` is the disk's, bytes: the file is sparse and takes what is used."""

    suite: str = "bookworm"
    include: tuple[str, ...] = ()
    mirror: str = ""
    size: int = 16 << 30

    @property
    def packages(self) -> tuple[str, ...]:
        """All packages that are asked for; what they depend on comes too."""
        return tuple(dict.fromkeys((*PACKAGES, *self.include)))

    def digest(self) -> str:
        """Return what tells this recipe from others."""
        content = [asdict(self), self.packages, sorted(FILES.items()), sorted(INITIAL.items()), MASKED]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Made:
    """An image and what making it took, seconds; 0 if it was there."""

    image: GuestImage
    seconds: float


def make(recipe: Recipe, disk: Path, say: Callable[[str], None]) -> Made:
    """Make the image `disk` and what lies beside it, unless it is there by the same recipe. Raises PlatformError.

    A disk of that name which this program did not make is never replaced.
    """
    image = GuestImage(disk=disk.resolve())
    found = _recorded(image)
    if found == recipe.digest() and not image.missing():
        return Made(image=image, seconds=0.0)
    if image.disk.exists() and found is None:
        problem = f"{disk} is there and was not made by `vm image`"
        raise PlatformError(problem, "Name another file with -o, or move it away.")
    _check_tools()
    began = time.monotonic()
    with _disk_errors_told(image), tempfile.TemporaryDirectory(prefix=".guest-", dir=image.disk.parent) as name:
        new = GuestImage(disk=Path(name) / image.disk.name)
        packages = _build(recipe, new, Path(name) / "root", say)
        seconds = time.monotonic() - began
        record = {"recipe": recipe.digest(), **asdict(recipe), "packages": packages, "seconds": round(seconds, 1)}
        new.record.write_text(json.dumps(record, indent=1), encoding="utf-8")
        _publish(new, image)
    return Made(image=image, seconds=seconds)


def _recorded(image: GuestImage) -> str | None:
    """Return the digest of the recipe that an image was made by; None if it was not made here."""
    try:
        record: dict[str, Any] = json.loads(image.record.read_text(encoding="utf-8"))
        return str(record["recipe"])
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _check_tools() -> None:
    missing = [package for program, package in PROGRAMS.items() if _program(program) is None]
    if missing:
        raise PlatformError("programs that make a guest image are missing", f"apt-get install {' '.join(missing)}")
    if sys.platform == "win32" or os.geteuid() != 0:
        raise PlatformError("making a guest image needs root, for the owners of its files", "Run it with sudo.")


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def _build(recipe: Recipe, image: GuestImage, root: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Make the disk and what lies beside it; return name → version of the packages in it."""
    say(f"guest image: installing {recipe.suite} and {len(recipe.packages)} packages")
    before = root.with_name("before")
    _write(before, INITIAL)
    copied = " ".join(shlex.quote(str(each)) for each in sorted(before.iterdir()))
    options = ("--quiet", "--mode=root", "--variant=minbase", "--dpkgopt=force-unsafe-io")
    packages = (f"--essential-hook=copy-in {copied} /", f"--include={','.join(recipe.packages)}")
    source = (recipe.suite, str(root), *filter(None, [recipe.mirror]))
    _run(["mmdebstrap", *options, *packages, *source], BUILD_SECONDS)
    _configure(root, image)
    say("guest image: making the disk")
    shutil.copyfile(_only(root, "boot/vmlinuz-*"), image.kernel)
    shutil.copyfile(_only(root, "boot/initrd.img-*"), image.initrd)
    _make_disk(recipe, root, image)
    return _packages(root)


def _make_disk(recipe: Recipe, root: Path, image: GuestImage) -> None:
    """Everything that ext4 would put off, and do in the background after the first mount, is done now."""
    raw = root.with_suffix(".raw")
    with raw.open("wb") as file:
        file.truncate(recipe.size)
    options = ("-q", "-F", "-t", "ext4", "-L", "guest", "-E", "lazy_itable_init=0,lazy_journal_init=0")
    _run(["mke2fs", *options, "-d", str(root), str(raw)], TOOL_SECONDS)
    _run(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(raw), str(image.disk)], TOOL_SECONDS)


def _configure(root: Path, image: GuestImage) -> None:
    _write(root, FILES)
    (root / "etc/machine-id").write_text(f"{secrets.token_hex(16)}\n", encoding="ascii")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    network = wants / "systemd-networkd.service"
    network.unlink(missing_ok=True)
    network.symlink_to("/lib/systemd/system/systemd-networkd.service")
    for unit in MASKED:
        masked = root / "etc/systemd/system" / unit
        masked.unlink(missing_ok=True)
        masked.symlink_to("/dev/null")
    _make_keys(root, image)


def _write(root: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")


def _make_keys(root: Path, image: GuestImage) -> None:
    """Let one new key in, and give the guest one new host key: neither is on any other machine."""
    for old in (root / "etc/ssh").glob("ssh_host_*"):
        old.unlink()
    for path, comment in ((image.key, "overhead-matrix"), (root / HOST_KEY, "guest")):
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)], TOOL_SECONDS)
    trusted = root / "root/.ssh/authorized_keys"
    trusted.parent.mkdir(mode=0o700, exist_ok=True)
    public = image.key.with_name(f"{image.key.name}.pub")
    shutil.copyfile(public, trusted)
    public.unlink()
    shutil.copyfile(root / f"{HOST_KEY}.pub", image.host_key)


def _packages(root: Path) -> dict[str, str]:
    answer = process.capture(
        ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Package} ${Version}\n"], timeout=TOOL_SECONDS
    )
    return dict(line.split(" ", 1) for line in answer.stdout.splitlines())


def _only(root: Path, pattern: str) -> Path:
    found = sorted(root.glob(pattern))
    if len(found) != 1:
        problem = f"the guest image has {len(found)} files {pattern}, and exactly one kernel is booted"
        raise PlatformError(problem, "Leave other kernels out of --include.")
    return found[0]


def _publish(new: GuestImage, image: GuestImage) -> None:
    """Move the files to their place, the record last: with it, everything is there."""
    image.record.unlink(missing_ok=True)
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    for name in ("disk", "key", "host_key", "kernel", "initrd", "record"):
        path: Path = getattr(new, name)
        if sys.platform != "win32" and user.isdecimal() and group.isdecimal():
            os.chown(path, int(user), int(group))  # ssh takes no key of another user
        path.replace(getattr(image, name))


def _run(argv: Sequence[str], timeout: float) -> None:
    end = process.capture([_program(argv[0]) or argv[0], *argv[1:]], timeout=timeout)
    if end.code != 0:
        said = [line for line in (end.stderr or end.stdout).strip().splitlines() if line.strip()]
        problem = f"guest image: {argv[0]} ended with status {end.code}: {said[-1] if said else 'it said nothing'}"
        remedy = "Check the suite, the packages' names and the way to the mirror" if argv[0] == "mmdebstrap" else ""
        raise PlatformError(problem, remedy)


@contextmanager
def _disk_errors_told(image: GuestImage) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        problem = f"guest image {image.disk} can't be made: {error.strerror or error}"
        raise PlatformError(problem, "Make room there, or name another folder with -o.") from error
