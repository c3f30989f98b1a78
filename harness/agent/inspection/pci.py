"""IOMMU and the GPUs as the PCI bus shows them, driver or no driver.

In a virtual machine the bus is the hypervisor's work: link speed and width of a passed-through GPU are often made up,
and there may be no IOMMU to see although the host's is in use. `seen_from` says where this was read; only a measured
copy tells how fast the link is. The link sleeps when the GPU is idle, so its current state is one of a moment.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from harness.agent.inspection.facts import UNREADABLE, Fact, Files, fact, fields

DEVICES = "/sys/bus/pci/devices"
GROUPS = "/sys/kernel/iommu_groups"
UNITS = "/sys/class/iommu"
GPU_CLASSES = ("0x0300", "0x0302")  # VGA controller, 3D controller
BAR1 = 1  # NVIDIA's BAR1 maps the GPU's memory; 256 MiB of it means that resizing it (ReBAR) is off
VENDORS = {"0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel", "0x1af4": "virtio", "0x1234": "QEMU"}


def iommu(files: Files) -> dict[str, Fact]:
    """Return whether an IOMMU is in use, how many groups there are, and of which types."""
    return {
        "enabled": fact(f"{UNITS}, {GROUPS}", lambda: bool(_names(files, UNITS)) and bool(_names(files, GROUPS))),
        "units": fact(UNITS, lambda: sorted({re.sub(r"\d+$", "", name) for name in _names(files, UNITS)})),
        "groups": fact(GROUPS, lambda: len(_names(files, GROUPS))),
        "types": fact(f"{GROUPS}/*/type", lambda: _types(files)),
    }


def inspect(files: Files) -> dict[str, Fact]:
    """Return the GPUs of every vendor, and from where they were seen."""
    return {
        "seen_from": files.fact("/proc/cpuinfo", _seen_from),
        "gpus": fact(DEVICES, lambda: [_gpu(files, path) for path in _gpus(files)]),
    }


def _names(files: Files, folder: str) -> list[str]:
    """Return what a folder holds; raise FileNotFoundError if it is not there."""
    return sorted(each.name for each in files.path(folder).iterdir())


def _types(files: Files) -> dict[str, int]:
    """Return type of group, `DMA`, `DMA-FQ`, `identity`, → how many."""
    return dict(sorted(Counter(files.text(path) for path in files.matching(f"{GROUPS}/*/type")).items()))


def _seen_from(text: str) -> str:
    return "a virtual machine" if "hypervisor" in fields(text).get("flags", "").split() else "the machine itself"


def _gpus(files: Files) -> list[str]:
    paths = [f"{DEVICES}/{name}" for name in _names(files, DEVICES)]
    return [path for path in paths if files.text(f"{path}/class").startswith(GPU_CLASSES)]


def _gpu(files: Files, path: str) -> dict[str, object]:
    """Return what can be read of one GPU; `errors` says why the rest cannot."""
    found: dict[str, object] = {}
    errors: dict[str, str] = {}
    for name, read in _questions(files, path).items():
        try:
            found[name] = read()
        except UNREADABLE as error:
            errors[name] = type(error).__name__
    return {**found, "errors": errors}


def _questions(files: Files, path: str) -> dict[str, Callable[[], object]]:
    def text(name: str) -> str:
        return files.text(f"{path}/{name}")

    return {
        "vendor": lambda: VENDORS.get(text("vendor"), text("vendor")),
        "device": lambda: text("device"),
        "class": lambda: text("class"),
        "driver": lambda: _target(files, f"{path}/driver"),
        "current_link_speed": lambda: text("current_link_speed"),
        "max_link_speed": lambda: text("max_link_speed"),
        "current_link_width": lambda: int(text("current_link_width")),
        "max_link_width": lambda: int(text("max_link_width")),
        "numa_node": lambda: int(text("numa_node")),
        "bar1_bytes": lambda: bar_bytes(text("resource"), BAR1),
        "reset_methods": lambda: text("reset_method"),
        "iommu_group_type": lambda: text("iommu_group/type"),
        "iommu_group_devices": lambda: len(_names(files, f"{path}/iommu_group/devices")),
        "runtime_power": lambda: text("power/control"),
    }


def _target(files: Files, link: str) -> str:
    """Return the name that a link leads to: the driver; "none" where no driver holds the device."""
    place = files.path(link)
    return place.resolve().name if place.exists() else "none"


def bar_bytes(resource: str, number: int) -> int:
    """Return the size of a base address register from sysfs's `resource`: lines of start, end and flags.

    The lines are counted in registers of 32 bits: a 64-bit one takes two lines, the second of which is empty. So this
    counts the regions that are there. Raises LookupError where there are not as many.
    """
    regions = [tuple(int(word, 16) for word in line.split()) for line in resource.splitlines()[:6]]
    sizes = [end - start + 1 for start, end, _flags in regions if end]
    return sizes[number]
