"""The block device behind a file system: through partitions, device mapper, RAID and loop devices to the disks.

Named are the kernel's kind of device and the disk's model; serial numbers, labels and the files behind loop devices
are not read.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator

from harness.agent.inspection.facts import Fact, Files, fact

NUMBERS = "/sys/dev/block"
MOST_DISKS = 8  # of a striped volume
KIND = re.compile(r"nvme|mmcblk|zram|loop|pmem|nbd|rbd|ram|md|xvd|sd|vd|hd")
BRACKETED = re.compile(r"\[([\w-]+)\]")


def inspect(files: Files, number: Callable[[], str]) -> dict[str, Fact]:
    """Return the facts of the device whose `major:minor` the function gives.

    The queue is that of the device that the file system lies on, `disks` and `layers` say what is below. A file
    system without a device of its own (overlay, tmpfs, network, WSL's drvfs) has none of them.
    """
    facts = {
        "disks": fact(NUMBERS, lambda: [_disk(files, path) for path in _disks(files, _folder(files, number()))]),
        "layers": fact(NUMBERS, lambda: _layers(files, _folder(files, number()))),
    }
    for name, (path, parse) in QUEUE.items():
        facts[name] = fact(path, _asker(files, number, path, parse))
    return facts


def _asker(files: Files, number: Callable[[], str], path: str, parse: Callable[[str], object]) -> Callable[[], object]:
    return lambda: parse(files.text(f"{_whole(files, _folder(files, number()))}/{path}"))


def scheduler(text: str) -> str:
    """Return the bracketed word of `none [mq-deadline] kyber`; a device without a choice names its only one."""
    found = BRACKETED.search(text)
    return found[1] if found else text


QUEUE: dict[str, tuple[str, Callable[[str], object]]] = {
    "rotational": ("queue/rotational", lambda text: text == "1"),
    "scheduler": ("queue/scheduler", scheduler),
    "queue_depth": ("queue/nr_requests", int),
    "read_ahead_bytes": ("queue/read_ahead_kb", lambda text: int(text) * 1024),
    "logical_block_bytes": ("queue/logical_block_size", int),
    "write_cache": ("queue/write_cache", str),
    "discard": ("queue/discard_max_bytes", lambda text: int(text) > 0),
    "max_request_bytes": ("queue/max_sectors_kb", lambda text: int(text) * 1024),
}


def _folder(files: Files, number: str) -> str:
    """Return where sysfs describes the device. Raises LookupError for a number that no device has."""
    if number.startswith("0:"):
        msg = "no block device: a file system without one, or of several"
        raise LookupError(msg)
    return _resolved(files, f"{NUMBERS}/{number}")


def _resolved(files: Files, path: str) -> str:
    """Follow the links below the root of the tree."""
    return "/" + files.path(path).resolve(strict=True).relative_to(files.root.resolve()).as_posix()


def _whole(files: Files, folder: str) -> str:
    """Return the disk of a partition; any other device itself."""
    return folder.rpartition("/")[0] if files.exists(f"{folder}/partition") else folder


def _below(files: Files, device: str) -> list[str]:
    """Return the devices that this one is made of; none of a disk."""
    try:
        return [_whole(files, _resolved(files, path)) for path in files.matching(f"{device}/slaves/*")]
    except FileNotFoundError:
        return _behind_loop(files, device)


def _behind_loop(files: Files, device: str) -> list[str]:
    """Return the device that a loop device's file lies on; a container does not see that file."""
    backing = f"{device}/loop/backing_file"
    if not files.exists(backing):
        return []
    try:
        return [_whole(files, _folder(files, device_number(files.path(files.text(backing)).stat().st_dev)))]
    except (OSError, LookupError):
        return []


def device_number(number: int) -> str:
    """Return a device's number as sysfs writes it. Raises LookupError on Windows, which has none."""
    if sys.platform == "win32":
        raise LookupError(number)
    return f"{os.major(number)}:{os.minor(number)}"


def _disks(files: Files, folder: str) -> list[str]:
    """Return the devices at the bottom, each once."""
    found: dict[str, None] = {}
    for device in _walk(files, _whole(files, folder)):
        if not _below(files, device):
            found.setdefault(device)
    return list(found)[:MOST_DISKS]


def _walk(files: Files, device: str) -> Iterator[str]:
    yield device
    for below in _below(files, device):
        yield from _walk(files, below)


def _layers(files: Files, folder: str) -> list[str]:
    """Return the kinds of the devices from the top down, each once: `dm-crypt`, `md`, `loop`, `nvme`."""
    return list(dict.fromkeys(_kind(files, device) for device in _walk(files, _whole(files, folder))))


def _kind(files: Files, device: str) -> str:
    name = device.rpartition("/")[2]
    if name.startswith("dm-"):
        return f"dm-{_device_mapper(files, device)}"
    found = KIND.match(name)
    return found[0] if found else "other"


def _device_mapper(files: Files, device: str) -> str:
    """Return the target's owner, `LVM`, `CRYPT`: the identifier's first word (the rest is a unique number)."""
    path = f"{device}/dm/uuid"
    return files.text(path).partition("-")[0].lower() if files.exists(path) else "unknown"


def _disk(files: Files, device: str) -> dict[str, object]:
    """Return kind and model; virtual disks have no model."""
    model = f"{device}/device/model"
    return {"kind": _kind(files, device), "model": files.text(model) if files.exists(model) else ""}
