"""Memory: swap, huge pages, and what may move pages while a task runs."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.finding import Check, Facts, Matter, Seen, read, size

SLIGHT = 0.01  # of the memory in swap: what was not used for days
LOW_SWAPPINESS = 10
SMALLEST_SHARED = 2**30  # bytes; a container gets 64 MiB by default (docker run --shm-size)


def swapped(facts: Facts) -> Iterator[Seen]:
    """Memory that is in swap now."""
    found, memory = read(facts, "memory.swapped_bytes"), read(facts, "system.memory_bytes")
    if found.value > 0:
        slight = found.value < SLIGHT * memory.value
        yield Seen(
            what=f"{size(found.value)} of memory are in swap",
            source=found.source,
            remedy="end what fills the memory, then `sudo swapoff -a && sudo swapon -a`",
            matter="noted" if slight else None,
        )


def swappiness(facts: Facts) -> Iterator[Seen]:
    """Where there is swap, how readily it is used."""
    swap, found = read(facts, "memory.swap_bytes"), read(facts, "system.swappiness")
    if swap.value and found.value > LOW_SWAPPINESS:
        yield Seen(what=f"swappiness is {found.value}", source=found.source, remedy="sudo sysctl vm.swappiness=1")


def huge_pages(facts: Facts) -> Iterator[Seen]:
    """Transparent huge pages: those who ask for them should get them, and nobody else."""
    found = read(facts, "system.transparent_huge_pages")
    if found.value != "madvise":
        remedy = f"echo madvise | sudo tee {found.source}"
        matter: Matter | None = "noted" if found.value == "never" else None
        yield Seen(what=f"transparent huge pages: {found.value}", source=found.source, remedy=remedy, matter=matter)


def balancing(facts: Facts) -> Iterator[Seen]:
    """Automatic NUMA balancing on a machine with several nodes."""
    nodes, found = read(facts, "cpu.numa_nodes"), read(facts, "memory.numa_balancing")
    if nodes.value > 1 and found.value != "off":
        remedy = "sudo sysctl kernel.numa_balancing=0"
        yield Seen(what=f"NUMA balancing is {found.value}", source=found.source, remedy=remedy)


def shared(facts: Facts) -> Iterator[Seen]:
    """The size of /dev/shm."""
    found = read(facts, "container.shared_memory_bytes")
    if found.value < SMALLEST_SHARED:
        remedy = "sudo mount -o remount,size=8G /dev/shm (in a container: --shm-size=8g)"
        what = f"shared memory (/dev/shm) has {size(found.value)}"
        yield Seen(what=what, source=found.source, remedy=remedy)


CHECKS = (
    Check(
        id="memory.swapped",
        matter="relevant",
        why="pages are read back from the disk in the middle of a measurement",
        look=swapped,
    ),
    Check(
        id="memory.transparent_huge_pages",
        matter="relevant",
        why="with `always` the kernel gathers pages behind a task's back; with `never` nobody gets any",
        look=huge_pages,
    ),
    Check(
        id="memory.numa_balancing",
        matter="relevant",
        why="the kernel takes pages away to see who uses them, and moves them, while a task runs",
        look=balancing,
    ),
    Check(
        id="memory.shared",
        matter="relevant",
        why="data loaders pass batches through it; with too little of it their workers are killed by SIGBUS",
        look=shared,
    ),
    Check(
        id="memory.swappiness",
        matter="noted",
        why="the higher, the sooner memory is swapped out to make room for files that were read",
        look=swappiness,
    ),
)
