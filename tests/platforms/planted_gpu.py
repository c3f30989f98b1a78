"""A made-up machine with two cards, and a stand-in for the kernel that binds drivers as it is told to."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from harness.platforms.vfio import Sysfs
from tests.agent.test_inspection_pci import RESOURCE
from tests.agent.trees import tree

GPU, AUDIO, NETWORK, BRIDGE = "0000:01:00.0", "0000:01:00.1", "0000:02:00.0", "0000:00:01.0"
DEVICES, DRIVERS = "sys/bus/pci/devices", "sys/bus/pci/drivers"
CLASSES = {GPU: "0x030000", AUDIO: "0x040300", NETWORK: "0x020000", BRIDGE: "0x060400"}
HOME = {GPU: "nvidia", AUDIO: "snd_hda_intel", NETWORK: "e1000e", BRIDGE: "pcieport"}
PROCESS = "4242"


@dataclass(frozen=True)
class PlantedKernel(Sysfs):
    """Does what Linux does with `unbind`, `driver_override` and `drivers_probe`. `refuses` are drivers that fail."""

    refuses: set[str] = field(default_factory=set)

    def write(self, path: str, text: str) -> None:
        name = Path(path).name
        if name == "driver_override":
            super().write(path, text)
        elif name == "unbind":
            self._link(text).unlink()
        elif name == "drivers_probe":
            override = self.text(f"/{DEVICES}/{text}/driver_override")
            found = override or HOME[text]
            if found not in self.refuses:
                self.bind(text, found)
        else:
            raise PermissionError(13, "Permission denied", path)

    def bind(self, address: str, driver: str) -> None:
        self._link(address).unlink(missing_ok=True)
        self._link(address).symlink_to(f"../../../../bus/pci/drivers/{driver}")

    def group(self, *addresses: str) -> None:
        """Put the devices into one group."""
        devices = self.path("/sys/kernel/iommu_groups/7/devices")
        devices.mkdir(parents=True, exist_ok=True)
        for address in addresses:
            (devices / address).touch()
            link = self.path(f"/{DEVICES}/{address}/iommu_group")
            link.unlink(missing_ok=True)
            link.symlink_to("../../../../kernel/iommu_groups/7")

    def opens(self, file: str, name: str) -> None:
        """Let a process hold a device file open."""
        folder = self.path(f"/proc/{PROCESS}/fd")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "3").symlink_to(file)
        (folder.parent / "comm").write_text(f"{name}\n", encoding="utf-8")

    def _link(self, address: str) -> Path:
        return self.path(f"/{DEVICES}/{address}/driver")


def planted(root: Path) -> PlantedKernel:
    """A machine whose GPU, with its audio function, is alone in its group and used by its driver alone."""
    contents = {f"/{DEVICES}/{address}/class": f"{kind}\n" for address, kind in CLASSES.items()}
    contents |= {f"/{DEVICES}/{address}/driver_override": "\n" for address in CLASSES}
    contents |= {f"/{DRIVERS}/{name}/new_id": "" for name in (*HOME.values(), "vfio-pci")}
    contents |= {
        f"/{DEVICES}/{GPU}/resource": RESOURCE,
        f"/{DEVICES}/{GPU}/reset_method": "flr bus\n",
        f"/{DEVICES}/{GPU}/boot_vga": "0\n",
        f"/{DEVICES}/{GPU}/current_link_speed": "16.0 GT/s PCIe\n",
        f"/{DEVICES}/{GPU}/current_link_width": "16\n",
        f"/{DEVICES}/{GPU}/numa_node": "0\n",
        f"/{DEVICES}/{GPU}/drm/card1/card1-DP-1/status": "disconnected\n",
        f"/{DEVICES}/{GPU}/drm/renderD129/dev": "226:129\n",
        "/sys/class/iommu/dmar0/devices": "",
        "/sys/kernel/iommu_groups/7/type": "DMA-FQ\n",
        "/proc/cmdline": "root=/dev/sda1 intel_iommu=on\n",
        "/proc/meminfo": "MemTotal:       16384000 kB\n",
        "/proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: made up\nDevice Minor: \t 1\n",
        f"/proc/{os.getpid()}/comm": "python\n",
    }
    tree(root, contents)
    machine = PlantedKernel(root)
    for address, driver in HOME.items():
        machine.bind(address, driver)
    machine.group(BRIDGE, GPU, AUDIO)
    return machine
