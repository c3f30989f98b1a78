"""Limits of the control group that the harness itself runs in: a service's, a container's, a batch system's."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.finding import Check, Facts, Seen, read, size

OUTSIDE = "start the harness outside of that service or container"


def limit(facts: Facts) -> Iterator[Seen]:
    """A memory limit of the control group that the harness runs in."""
    memory = read(facts, "system.memory_bytes")
    for name in ("cgroup.memory_bytes", "cgroup.memory_high_bytes"):
        if name not in facts:  # version 1 has no such limit
            continue
        found = read(facts, name)
        if found.value != "unlimited" and found.value < memory.value:
            what = f"this process and what it starts may use {size(found.value)} of {size(memory.value)}"
            yield Seen(what=what, source=found.source, remedy=OUTSIDE)


def processors(facts: Facts) -> Iterator[Seen]:
    """A processor quota of that group."""
    found, there = read(facts, "cgroup.cpus"), read(facts, "cpu.logical")
    if found.value != "unlimited" and found.value < there.value:
        what = f"this process and what it starts may use {found.value:g} of {there.value} processors' time"
        yield Seen(what=what, source=found.source, remedy=OUTSIDE)


def affinity(facts: Facts) -> Iterator[Seen]:
    """Processors that this process may not run on."""
    found, there = read(facts, "cpu.affinity"), read(facts, "cpu.logical")
    if found.value < there.value:
        what = f"this process may run on {found.value} of {there.value} processors"
        yield Seen(
            what=what, source=found.source, remedy="meant so by taskset, isolcpus or a cpuset? Else start it freely"
        )


CHECKS = (
    Check(
        id="cgroup.cpus",
        matter="decisive",
        why="`native` is frozen for a part of each period, as a limited container would be; it is no baseline then",
        look=processors,
    ),
    Check(
        id="cgroup.memory",
        matter="relevant",
        why="the page cache counts too: files are read from the disk again, and what needs more is killed",
        look=limit,
    ),
    Check(
        id="cgroup.affinity",
        matter="noted",
        why="containers are started by the engine and may use the others",
        look=affinity,
    ),
)
