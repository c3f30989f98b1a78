"""The cache folder's file system: native cells work in it, so it is what the storage tasks measure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.agent.inspection.storage import IN_MEMORY
from harness.doctor.finding import Check, Facts, Seen, read, size
from harness.doctor.readings import CACHE

ELSEWHERE = "name a folder on a local disk in OVERHEAD_MATRIX_CACHE"
# Every operation leaves the kernel for another machine, for the host of this one, or for a process.
REMOTE = re.compile(
    r"nfs\d?|cifs|smb\d?|smbfs|9p|drvfs|virtiofs|fuse|fuse\..+|fuseblk|ceph|glusterfs|lustre|beegfs|gpfs|afs|vboxsf|vmhgfs"
)
OUTSIDE = frozenset({"network", "removable", "optical"})
LAYERED = frozenset({"overlay", "aufs", "ecryptfs", "unionfs"})
LEAST_SHARE, LEAST_BYTES = 0.10, 5 * 2**30  # free; file systems look longer for room when they are nearly full


def location(facts: Facts) -> Iterator[Seen]:
    """What kind of file system it is."""
    found = read(facts, f"storage.{CACHE}.filesystem")
    kind = found.value
    drive = f"storage.{CACHE}.drive"  # Windows'
    if drive in facts and read(facts, drive).value in OUTSIDE:
        what = f"the cache folder lies on a {facts[drive]['value']} drive ({kind})"
        yield Seen(what=what, source=facts[drive]["source"], remedy=ELSEWHERE)
    elif REMOTE.fullmatch(kind):
        yield Seen(what=f"the cache folder lies on {kind}", source=found.source, remedy=ELSEWHERE)
    elif kind in LAYERED:
        what = f"the cache folder lies on {kind}, a layer above another file system"
        yield Seen(what=what, source=found.source, remedy=ELSEWHERE, matter="relevant")
    elif kind in IN_MEMORY:
        what = f"the cache folder lies on {kind}, in memory"
        yield Seen(what=what, source=found.source, remedy=ELSEWHERE, matter="relevant")


def room(facts: Facts) -> Iterator[Seen]:
    """How full it is."""
    free, total = read(facts, f"storage.{CACHE}.free_bytes"), read(facts, f"storage.{CACHE}.total_bytes")
    if free.value < max(LEAST_SHARE * total.value, LEAST_BYTES):
        what = f"the cache folder's file system has {size(free.value)} left of {size(total.value)}"
        yield Seen(what=what, source=free.source, remedy=f"make room there, or {ELSEWHERE}")


def disk(facts: Facts) -> Iterator[Seen]:
    """A disk that says it spins, as virtual ones often do; network and memory have none to ask."""
    name = f"storage.{CACHE}.rotational"
    if name in facts and facts[name]["value"]:
        yield Seen(
            what="the disk below the cache folder says that it spins", source=facts[name]["source"], remedy=ELSEWHERE
        )


CHECKS = (
    Check(
        id="storage.location",
        matter="decisive",
        why="storage tasks on `native` would measure a network, a host or a process instead of a disk",
        look=location,
    ),
    Check(
        id="storage.room",
        matter="relevant",
        why="a nearly full file system scatters new files, and stacks and images may not fit",
        look=room,
    ),
    Check(
        id="storage.disk",
        matter="noted",
        why="if it does, a head's way decides what small files cost, and hides what the platform does",
        look=disk,
    ),
)
