"""What this machine is: every value with its source, or with the reason why it could not be read.

`inspect` returns `{"cpu.model": {"value": …, "source": "/proc/cpuinfo"}, …}`; a value that cannot be read is
`{"value": None, "source": …, "error": …}`. Nothing that names a person or a single machine is read: no serial
numbers, host names, user names or paths that hold them. (GPU UUIDs are the exception: they join a machine's boots.)
`wsl` and `windows` are sections of those systems alone; elsewhere than on Linux most other values say that they could
not be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.agent.inspection import (
    board,
    cgroup,
    container,
    cpu,
    gpu,
    kernel,
    memory,
    pci,
    python,
    storage,
    system,
    topology,
    virtualization,
    windows,
    wsl,
)
from harness.agent.inspection.facts import Fact, Files
from harness.agent.messages import Location


def inspect(locations: Sequence[Location] = (), *, root: Path = Path("/")) -> dict[str, Fact]:
    """Inspect this machine and the storage locations; takes about a second where a GPU driver answers."""
    files = Files(root)
    return {
        **_named("system", system.inspect(files)),
        **_named("kernel", kernel.inspect(files)),
        **_named("memory", memory.inspect(files)),
        **_named("board", board.inspect(files)),
        **_named("cpu", cpu.inspect(files) | topology.inspect(files)),
        **_named("iommu", pci.iommu(files)),
        **_named("pci", pci.inspect(files)),
        **_named("cgroup", cgroup.inspect(files)),
        **_named("virtualization", virtualization.inspect(files)),
        **_named("container", container.inspect(files)),
        **_named("wsl", wsl.inspect(files)),
        **_named("windows", windows.inspect()),
        **_named("python", python.inspect(files)),
        **_named("gpu", gpu.inspect()),
        **_named("storage", storage.inspect(files, locations)),
    }


def boot_id(*, root: Path = Path("/")) -> str:
    """Return what tells this boot from others, empty where the system has no such thing."""
    return str(system.boot_id(Files(root))["value"] or "")


def _named(section: str, facts: dict[str, Fact]) -> dict[str, Fact]:
    return {f"{section}.{name}": each for name, each in facts.items()}
