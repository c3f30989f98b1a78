"""The file system behind each storage location: type, mount options, device, space, and the disk's queue (`block`)."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from harness.agent.inspection import block
from harness.agent.inspection.facts import Fact, Files, fact
from harness.agent.messages import Location

MOUNTS = "/proc/self/mountinfo"
IN_MEMORY = frozenset({"tmpfs", "ramfs"})  # file systems whose files lie in memory
# Options with a value that says how the file system works. Others (addr, username, upperdir…) name hosts, users, paths.
TELLING_OPTIONS = {
    "cache", "commit", "compress", "data", "errors", "msize", "nr_inodes", "proto", "rsize", "size", "stripe", "vers",
    "wsize",
}  # fmt: skip
# Names that the kernel gives. Volumes and shares are named by people, often after hosts and users.
KERNEL_DEVICE = re.compile(r"/dev/((sd|vd|xvd|hd|nvme|mmcblk|loop|md|pmem|zram|ram|dm-)[\w-]*|root)")
NAMED_BY_KIND = re.compile(r"\w+")  # overlay, tmpfs, none


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One line of mountinfo (proc(5))."""

    number: str  # `major:minor`; major 0 where no block device is mounted as such
    source: str  # as the kernel gives it: it may name hosts and people, and stays here
    point: str
    filesystem: str
    device: str
    options: tuple[str, ...]


def inspect(files: Files, locations: Sequence[Location]) -> dict[str, Fact]:
    """Return the facts of each location, `<location>.filesystem` and so on."""
    found: dict[str, Fact] = {}
    for location in locations:
        for name, each in _location(files, location).items():
            found[f"{location.name}.{name}"] = each
    return found


def _location(files: Files, location: Location) -> dict[str, Fact]:
    path = location.path
    if sys.platform == "win32" and files.of_this_machine:
        return _on_windows(path)
    queue = block.inspect(files, lambda: _number(mount_of(files, path)))
    return {
        "filesystem": fact(MOUNTS, lambda: mount_of(files, path).filesystem),
        "options": fact(MOUNTS, lambda: list(mount_of(files, path).options)),
        "device": fact(MOUNTS, lambda: mount_of(files, path).device),
        "total_bytes": fact("statvfs", lambda: shutil.disk_usage(path).total),
        "free_bytes": fact("statvfs", lambda: shutil.disk_usage(path).free),
        "block_bytes": fact("statvfs", lambda: _space(path).f_bsize),
        "free_inodes": fact("statvfs", lambda: _space(path).f_favail),
        **queue,
    }


def _on_windows(path: str) -> dict[str, Fact]:
    if sys.platform != "win32":
        raise NotImplementedError
    from harness.agent import win32  # noqa: PLC0415 - Windows only

    return {
        "filesystem": fact("GetVolumeInformationW", lambda: win32.filesystem(path)),
        "drive": fact("GetDriveTypeW", lambda: win32.drive(path)),
        "total_bytes": fact("GetDiskFreeSpaceExW", lambda: shutil.disk_usage(path).total),
        "free_bytes": fact("GetDiskFreeSpaceExW", lambda: shutil.disk_usage(path).free),
    }


def _space(path: str) -> os.statvfs_result:
    if sys.platform == "win32":
        msg = "Windows has no statvfs"
        raise LookupError(msg)
    return os.statvfs(path)


def _number(mount: Mount) -> str:
    """Return the number of the block device; btrfs and others hide it and name the device as their source."""
    if mount.number.startswith("0:") and KERNEL_DEVICE.fullmatch(mount.source):
        return _device_at(mount.source)
    return mount.number


def _device_at(path: str) -> str:
    if sys.platform == "win32":
        raise LookupError(path)
    return block.device_number(os.stat(path).st_rdev)  # noqa: PTH116 - a plain name


def mount_of(files: Files, path: str) -> Mount:
    """Return the mount that a directory lies on: the longest mount point, of equal ones the last mounted."""
    resolved = PurePosixPath(os.path.realpath(path, strict=True))
    lines = files.text(MOUNTS).splitlines()
    mounts = [mount for mount in map(parse, lines) if resolved.is_relative_to(mount.point)]
    return max(enumerate(mounts), key=lambda each: (len(PurePosixPath(each[1].point).parts), each[0]))[1]


def parse(line: str) -> Mount:
    """Read a line of mountinfo: optional fields end at ` - `; white space in names is octal."""
    before, _, after = line.partition(" - ")
    number, _root, point, options = before.split(" ")[2:6]
    filesystem, device, *of_superblock = after.split(" ")
    words = [*options.split(","), *",".join(of_superblock).split(",")]
    return Mount(
        number=number,
        source=_unescaped(device),
        point=_unescaped(point),
        filesystem=filesystem,
        device=_device(_unescaped(device)),
        options=tuple(dict.fromkeys(word for word in words if _telling(word))),
    )


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _telling(option: str) -> bool:
    name, _, value = option.partition("=")
    return bool(name) and (not value or name in TELLING_OPTIONS)


def _device(device: str) -> str:
    """Return the device's name if a kernel gave it, else what sort of thing it is."""
    if KERNEL_DEVICE.fullmatch(device) or NAMED_BY_KIND.fullmatch(device):
        return device
    if device.startswith("/dev/mapper/"):
        return "device mapper"
    return "network" if re.match(r"//|[^/]*[:@]", device) else "other"
