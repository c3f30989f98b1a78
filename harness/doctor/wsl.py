"""WSL2: from inside what it is a baseline of; from there and from Windows what of the machine it is given."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.finding import Check, Facts, Seen, read, size

SETTINGS = "wsl.settings"  # read where Windows has a wsl.exe
REMEDY = "set memory= and processors= under [wsl2] in %UserProfile%\\.wslconfig, then `wsl --shutdown`"


def system(facts: Facts) -> Iterator[Seen]:
    """WSL2 from inside."""
    found = read(facts, "virtualization.wsl")
    if found.value != "no":
        what = f"this Linux runs in {found.value}: `native` is not bare metal"
        yield Seen(what=what, source=found.source, remedy="boot Linux on this machine for a bare-metal baseline")


def memory(facts: Facts) -> Iterator[Seen]:
    """What .wslconfig, or its default of half of Windows' memory, leaves to all distributions together."""
    if SETTINGS in facts:
        yield from _from_windows(facts)
    if "wsl.kernel" not in facts:
        return
    memory, processors = read(facts, "system.memory_bytes"), read(facts, "cpu.logical")
    what = f"WSL2 has {size(memory.value)} of Windows' memory and {processors.value} processors"
    yield Seen(what=what, source=memory.source, remedy=REMEDY)


def _from_windows(facts: Facts) -> Iterator[Seen]:
    settings, total = read(facts, SETTINGS), read(facts, "system.memory_bytes")
    memory = settings.value.get("wsl2.memory", "half (the default)")
    processors = settings.value.get("wsl2.processors", "all (the default)")
    what = f"WSL2 may take {memory} of Windows' {size(total.value)}; processors: {processors}"
    yield Seen(what=what, source=settings.source, remedy=REMEDY)


LINUX = (
    Check(
        id="wsl.system",
        matter="decisive",
        why="the baseline holds what WSL2 costs: Hyper-V, a GPU behind Windows' driver, disks in a file",
        look=system,
    ),
)
EVERYWHERE = (
    Check(
        id="wsl.memory",
        matter="noted",
        why="by default half of Windows' memory (Microsoft, Advanced settings configuration in WSL): tasks that fill"
        " memory, and pinned memory, end sooner than on Windows",
        look=memory,
    ),
)
