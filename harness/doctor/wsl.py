"""WSL2 from inside: what it is a baseline of, and what of the machine it was given."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.finding import Check, Facts, Seen, read, size


def system(facts: Facts) -> Iterator[Seen]:
    """WSL2 from inside."""
    found = read(facts, "virtualization.wsl")
    if found.value != "no":
        what = f"this Linux runs in {found.value}: `native` is not bare metal"
        yield Seen(what=what, source=found.source, remedy="boot Linux on this machine for a bare-metal baseline")


def memory(facts: Facts) -> Iterator[Seen]:
    """What .wslconfig, or its default of half of Windows' memory, leaves to all distributions together."""
    if "wsl.kernel" not in facts:
        return
    memory, processors = read(facts, "system.memory_bytes"), read(facts, "cpu.logical")
    what = f"WSL2 has {size(memory.value)} of Windows' memory and {processors.value} processors"
    remedy = "set memory= and processors= under [wsl2] in %UserProfile%\\.wslconfig, then `wsl --shutdown`"
    yield Seen(what=what, source=memory.source, remedy=remedy)


CHECKS = (
    Check(
        id="wsl.system",
        matter="decisive",
        why="the baseline holds what WSL2 costs: Hyper-V, a GPU behind Windows' driver, disks in a file",
        look=system,
    ),
    Check(
        id="wsl.memory",
        matter="noted",
        why="by default half of Windows' memory (Microsoft, Advanced settings configuration in WSL): tasks that fill"
        " memory, and pinned memory, end sooner than on Windows",
        look=memory,
    ),
)
