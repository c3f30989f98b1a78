"""The container engine: what else it runs, and whether it runs it on this kernel."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.doctor.finding import Check, Facts, Seen, Unread, listed, read, size
from harness.platforms.engine_facts import DESKTOP

# Processes that are there only where an engine or a container is.
SIGNS = re.compile(r"dockerd|containerd.*|conmon|com\.docker\..*|Docker Desktop.*")


def others(facts: Facts) -> Iterator[Seen]:
    """Containers that run. No answer is no unknown where nothing of an engine is to be seen."""
    try:
        found = read(facts, "engine.containers")
    except Unread:
        if _seen(facts):
            raise
        return
    if found.value:
        what = f"{len(found.value)} container(s) run: {listed(found.value)}"
        yield Seen(what=what, source=found.source, remedy=f"docker stop {' '.join(found.value[:5])}")


def desktop(facts: Facts) -> Iterator[Seen]:
    """Docker Desktop, whose containers run in a virtual machine."""
    try:
        found = read(facts, "engine.info")
    except Unread:  # told by `others`
        return
    if DESKTOP in str(found.value.get("OperatingSystem")):
        memory, processors = found.value.get("MemTotal") or 0, found.value.get("NCPU")
        what = f"containers run in Docker Desktop's virtual machine of {size(memory)} and {processors} processors"
        remedy = "use an engine on this kernel (Docker Engine), or give the VM all processors and memory in Settings"
        yield Seen(what=what, source=found.source, remedy=remedy)


def _seen(facts: Facts) -> bool:
    processes = facts.get("load.processes", {}).get("value") or ()
    return any(SIGNS.fullmatch(each.name.removesuffix(".exe")) for each in processes)


CHECKS = (
    Check(
        id="engine.containers",
        matter="relevant",
        why="they share processors, memory, disk and GPUs with what is measured",
        look=others,
        unread="see `docker info`; add yourself to the group `docker` if it is refused",
    ),
    Check(
        id="engine.desktop",
        matter="decisive",
        why="a container's overhead there is a container's and a virtual machine's in one",
        look=desktop,
    ),
)
