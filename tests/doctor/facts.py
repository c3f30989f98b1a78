"""Facts of a made-up machine on which nothing would spoil a measurement; tests change one of them at a time."""

from __future__ import annotations

from harness.agent.inspection.facts import Fact
from harness.doctor.processes import Process

GIB = 2**30
CACHE = "storage.cache"
QUIET: dict[str, object] = {
    "system.platform": "linux",
    "system.memory_bytes": 64 * GIB,
    "system.clock_source": "tsc",
    "system.mitigations": {"meltdown": "Not affected"},
    "system.transparent_huge_pages": "madvise",
    "system.swappiness": 60,  # without swap it means nothing
    "memory.swap_bytes": 0,
    "memory.swapped_bytes": 0,
    "memory.numa_balancing": "on",  # with one node it means nothing
    "cpu.numa_nodes": 1,
    "cpu.logical": 8,
    "cpu.affinity": 8,
    "cpu.smt": False,
    "cpu.governor": "performance",
    "cpu.boost": False,
    "cpu.max_scaling_hz": 4e9,
    "cpu.max_frequency_hz": 4e9,
    "cgroup.cpus": "unlimited",
    "cgroup.memory_bytes": "unlimited",
    "cgroup.memory_high_bytes": "unlimited",
    "container.shared_memory_bytes": 32 * GIB,
    "virtualization.hypervisor_flag": False,
    "virtualization.machine": "none",
    "virtualization.container": "none",
    "virtualization.container_markers": [],
    "virtualization.wsl": "no",
    "load.average": 0.05,
    "load.pressure.cpu": 0.0,
    "load.pressure.memory": 0.0,
    "load.pressure.io": 0.0,
    "load.processes": [Process(pid=1, name="systemd", share=0.0), Process(pid=77, name="sshd", share=0.01)],
    "thermal.zones": [{"type": "x86_pkg_temp", "celsius": 45.0, "trip": 100.0}],
    "power.supplies": [],
    "engine.containers": [],
    "engine.info": {"OperatingSystem": "Debian GNU/Linux 12"},
    "pci.gpus": [{"vendor": "NVIDIA", "driver": "nvidia"}],
    "doctor.changes": 0,
    f"{CACHE}.filesystem": "ext4",
    f"{CACHE}.free_bytes": 500 * GIB,
    f"{CACHE}.total_bytes": 900 * GIB,
    f"{CACHE}.rotational": False,
}
WINDOWS: dict[str, object] = {
    "system.platform": "win32",
    "system.memory_bytes": 64 * GIB,
    "load.busy": 0.02,
    "windows.power_scheme": "high performance",
    "windows.defender_realtime": False,
    "windows.virtualization_based_security": "off",
    "windows.memory_integrity": False,
    "windows.long_paths": 1,
    **{name: QUIET[name] for name in QUIET if name.startswith(("engine.", "load.processes", "storage.", "doctor."))},
    f"{CACHE}.filesystem": "NTFS",
    f"{CACHE}.drive": "fixed",
}
GPU: dict[str, object] = {
    "name": "H200",
    "uuid": "GPU-1",
    "display_active": False,
    "persistence": True,
    "errors": {},
}
GPU_STATE: dict[str, object] = {
    "celsius": 40,
    "slowdown_celsius": 90,
    "ecc": [1, 1],
    "clock_reasons": 0x2,
    "computing": [],
    "drawing": [],
    "errors": {},
}


def source(name: str) -> str:
    return f"where {name} is read"


def known(values: dict[str, object]) -> dict[str, Fact]:
    return {name: _fact(name, value) for name, value in values.items()}


def _fact(name: str, value: object) -> Fact:
    return {"value": value, "source": source(name)}


def unreadable(name: str, error: str = "PermissionError: Permission denied") -> dict[str, Fact]:
    return {name: {"value": None, "source": source(name), "error": error}}


def quiet(**changes: object) -> dict[str, Fact]:
    """Return the quiet machine's facts with a quiet GPU; a name's dots are written as two underscores."""
    values = QUIET | {"gpu.devices": [GPU], "gpu.state": [GPU_STATE]}
    return known(values | {name.replace("__", "."): value for name, value in changes.items()})


def windows(**changes: object) -> dict[str, Fact]:
    values = WINDOWS | {"gpu.devices": [GPU], "gpu.state": [GPU_STATE]}
    return known(values | {name.replace("__", "."): value for name, value in changes.items()})


def with_gpu(**changes: object) -> dict[str, Fact]:
    """Return the quiet machine with one GPU that differs."""
    device = {name: changes.get(name, value) for name, value in GPU.items()}
    state = {name: changes.get(name, value) for name, value in GPU_STATE.items()}
    return quiet(gpu__devices=[device], gpu__state=[state])
