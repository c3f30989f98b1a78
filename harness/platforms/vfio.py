"""Whether a PCI device can be passed through, as sysfs shows it: one refusal a line, each with what to do about it.

`Sysfs` is the only way to the system, so that tests can plant a made-up machine. Nothing is changed here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from harness.agent.inspection.facts import UNREADABLE, Fact, Files, fact
from harness.agent.inspection.pci import BAR1, DEVICES, GPU_CLASSES, GROUPS, UNITS, bar_bytes

DRIVER = "vfio-pci"
DRIVERS = "/sys/bus/pci/drivers"
BRIDGE = "0x0604"  # bridges of a group stay with the host
NVIDIA = "/proc/driver/nvidia/gpus"
IOMMU_REMEDY = "switch VT-d or AMD-Vi on in the firmware, and boot with intel_iommu=on iommu=pt (AMD: iommu=pt)"


class Sysfs(Files):
    """The system below `root`, which can also be written to."""

    def write(self, path: str, text: str) -> None:
        """Write to one of the kernel's files; raise OSError where the kernel refuses."""
        self.path(path).write_text(text, encoding="ascii")

    def target(self, link: str) -> str:
        """Return the last part of where a link leads, empty where there is none."""
        try:
            return self.path(link).readlink().name
        except OSError:
            return ""

    def names(self, folder: str) -> list[str]:
        """Return what a folder holds, sorted; nothing where there is none."""
        try:
            return sorted(each.name for each in self.path(folder).iterdir())
        except OSError:
            return []


SYSTEM = Sysfs()
"""This host."""


def refusal(system: Sysfs, address: str) -> str:
    """Return why the GPU at `address` can't be passed through now, one line with a remedy; empty if it can."""
    return next(filter(None, _refusals(system, address)), "")


def endpoints(system: Sysfs, address: str) -> list[str]:
    """Return the addresses in the device's group, without bridges; the device alone where it is in no group."""
    members = system.names(f"{DEVICES}/{address}/iommu_group/devices")
    return [each for each in members if not _text(system, f"{DEVICES}/{each}/class").startswith(BRIDGE)] or [address]


def own_functions(system: Sysfs, address: str) -> list[str]:
    """Return those of the group that are functions of the same card: its audio, its USB controller."""
    slot = address.rpartition(".")[0]
    return [each for each in endpoints(system, address) if each.rpartition(".")[0] == slot]


def driver(system: Sysfs, address: str) -> str:
    """Return the driver that holds a device, empty if none does."""
    return system.target(f"{DEVICES}/{address}/driver")


def facts(system: Sysfs, address: str) -> dict[str, Fact]:
    """Return what the host sees of the device: the guest's own view of link and group is made up."""
    path = f"{DEVICES}/{address}"
    named = {
        "link_speed": "current_link_speed",
        "link_width": "current_link_width",
        "link_speed_max": "max_link_speed",
        "link_width_max": "max_link_width",
        "reset_methods": "reset_method",
        "numa_node": "numa_node",
        "group_type": "iommu_group/type",
    }
    found = {f"vm.gpu_{name}": system.fact(f"{path}/{file}") for name, file in named.items()}
    resource = f"{path}/resource"
    return found | {
        "vm.gpu_bar1_bytes": system.fact(resource, lambda text: bar_bytes(text, BAR1)),
        "vm.gpu_group": fact(f"{path}/iommu_group", lambda: ", ".join(endpoints(system, address))),
    }


def _refusals(system: Sysfs, address: str) -> Iterator[str]:
    """In the order in which a user mends them."""
    yield _no_gpu(system, address)
    yield _iommu_off(system, address)
    yield _not_alone(system, address)
    yield _no_reset(system, address)
    yield _displays(system, address)
    yield _in_use(system, address)
    yield _no_driver(system)


def _no_gpu(system: Sysfs, address: str) -> str:
    kind = _text(system, f"{DEVICES}/{address}/class")
    if not kind:
        return f"there is no PCI device {address}; `lspci -D -d ::03xx` lists the GPUs"
    return (
        "" if kind.startswith(GPU_CLASSES) else f"{address} is no GPU (class {kind}); `lspci -D -d ::03xx` lists them"
    )


def _iommu_off(system: Sysfs, address: str) -> str:
    if not system.names(UNITS) or not system.names(GROUPS):
        return f"the IOMMU is off; {IOMMU_REMEDY}"
    if not system.exists(f"{DEVICES}/{address}/iommu_group"):
        return f"{address} is in no IOMMU group; {IOMMU_REMEDY}"
    return ""


def _not_alone(system: Sysfs, address: str) -> str:
    """ACS keeps devices of different groups apart; without it on the way, unrelated devices share a group."""
    if "pcie_acs_override" in _text(system, "/proc/cmdline"):
        remedy = "boot without it, and use a slot whose port has ACS"
        return f"pcie_acs_override makes up IOMMU groups, and devices can reach each other's memory; {remedy}"
    own = own_functions(system, address)
    others = [each for each in endpoints(system, address) if each not in own]
    held = [f"{each} ({name})" for each in others if (name := driver(system, each)) not in ("", DRIVER)]
    if held:
        remedy = "use a slot whose port has ACS, or bind them to vfio-pci too"
        return f"the IOMMU group of {address} is not viable, the host uses {', '.join(held)} in it; {remedy}"
    return ""


def _no_reset(system: Sysfs, address: str) -> str:
    if _text(system, f"{DEVICES}/{address}/reset_method"):
        return ""
    return f"{address} can't be reset (no reset_method), so the host would not get it back; use another GPU"


def _displays(system: Sysfs, address: str) -> str:
    path = f"{DEVICES}/{address}"
    if driver(system, address) in ("", DRIVER):
        return ""
    for connector in system.path(path).glob("drm/card*/card*-*/status"):
        with suppress(OSError):
            if connector.read_text(encoding="ascii").strip() == "connected":
                name = connector.parent.name
                return f"a display is connected to {address} ({name}); unplug it, or plug it into another GPU"
    if _text(system, f"{path}/boot_vga") == "1":
        remedy = "choose another primary display in the firmware, or bind it at boot by vfio-pci.ids"
        return f"{address} is the machine's primary display (boot_vga); {remedy}"
    return ""


def _in_use(system: Sysfs, address: str) -> str:
    wanted = set(_device_files(system, address))
    for process in system.names("/proc"):
        if process.isdecimal() and wanted & set(_open_files(system, process)):
            name = _text(system, f"/proc/{process}/comm") or "a process"
            remedy = "end it" if name != "nvidia-persiste" else "`systemctl stop nvidia-persistenced`"
            return f"{name} (process {process}) uses {address}; {remedy}"
    return ""


def _no_driver(system: Sysfs) -> str:
    return "" if system.exists(f"{DRIVERS}/{DRIVER}") else f"the driver {DRIVER} is not loaded; `modprobe {DRIVER}`"


def _device_files(system: Sysfs, address: str) -> Iterator[str]:
    """Return the device files by which processes use this GPU."""
    for name in system.names(f"{DEVICES}/{address}/drm"):
        yield f"/dev/dri/{name}"
    minor = re.search(r"Device Minor:\s*(\d+)", _text(system, f"{NVIDIA}/{address}/information"))
    if minor:
        yield f"/dev/nvidia{minor[1]}"
    group = system.target(f"{DEVICES}/{address}/iommu_group")
    if group:
        yield f"/dev/vfio/{group}"


def _open_files(system: Sysfs, process: str) -> Iterator[str]:
    folder = system.path(f"/proc/{process}/fd")
    for name in system.names(f"/proc/{process}/fd"):
        with suppress(OSError):  # it may have been closed meanwhile
            yield str(Path(folder, name).readlink())


def _text(system: Sysfs, path: str) -> str:
    try:
        return system.text(path)
    except UNREADABLE:
        return ""
