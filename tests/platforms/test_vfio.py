"""Whether a GPU can be passed through, on a made-up machine. Nothing here has touched a real device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.platforms import vfio
from harness.platforms.domain import lent_facts
from tests.agent.trees import values
from tests.platforms.planted_gpu import AUDIO, BRIDGE, DEVICES, DRIVERS, GPU, NETWORK, PROCESS, PlantedKernel, planted


@pytest.fixture
def machine(tmp_path: Path) -> PlantedKernel:
    return planted(tmp_path)


def write(machine: PlantedKernel, path: str, text: str) -> None:
    machine.path(path).write_text(text, encoding="utf-8")


def remove(machine: PlantedKernel, path: str) -> None:
    machine.path(path).unlink()


def empty(machine: PlantedKernel, path: str) -> None:
    for file in sorted(machine.path(path).rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() and not file.is_symlink() else file.unlink()


def test_a_gpu_that_nobody_uses_can_be_passed_through(machine: PlantedKernel) -> None:
    assert vfio.refusal(machine, GPU) == ""
    assert vfio.endpoints(machine, GPU) == [GPU, AUDIO]
    assert vfio.driver(machine, GPU) == "nvidia"


Case = tuple[Callable[[PlantedKernel], None], str, str]
REFUSED: dict[str, Case] = {
    "no such device": (lambda m: empty(m, f"/{DEVICES}/{GPU}"), "there is no PCI device", "lspci -D"),
    "no GPU": (lambda m: write(m, f"/{DEVICES}/{GPU}/class", "0x020000\n"), "is no GPU (class 0x020000)", "lspci -D"),
    "IOMMU off": (lambda m: empty(m, "/sys/class/iommu"), "the IOMMU is off", "VT-d or AMD-Vi"),
    "no group": (
        lambda m: remove(m, f"/{DEVICES}/{GPU}/iommu_group"),
        "is in no IOMMU group",
        "intel_iommu=on",
    ),
    "groups made up": (
        lambda m: write(m, "/proc/cmdline", "pcie_acs_override=downstream,multifunction\n"),
        "pcie_acs_override makes up IOMMU groups",
        "a slot whose port has ACS",
    ),
    "group shared": (
        lambda m: m.group(NETWORK),
        "is not viable, the host uses 0000:02:00.0 (e1000e) in it",
        "a slot whose port has ACS",
    ),
    "no reset": (lambda m: write(m, f"/{DEVICES}/{GPU}/reset_method", "\n"), "can't be reset", "another GPU"),
    "display": (
        lambda m: write(m, f"/{DEVICES}/{GPU}/drm/card1/card1-DP-1/status", "connected\n"),
        "a display is connected to 0000:01:00.0 (card1-DP-1)",
        "unplug it",
    ),
    "primary display": (
        lambda m: write(m, f"/{DEVICES}/{GPU}/boot_vga", "1\n"),
        "the machine's primary display (boot_vga)",
        "vfio-pci.ids",
    ),
    "CUDA": (lambda m: m.opens("/dev/nvidia1", "python3"), f"python3 (process {PROCESS}) uses", "end it"),
    "desktop": (lambda m: m.opens("/dev/dri/card1", "Xorg"), f"Xorg (process {PROCESS}) uses", "end it"),
    "another guest": (lambda m: m.opens("/dev/vfio/7", "qemu"), f"qemu (process {PROCESS}) uses", "end it"),
    "persistence": (
        lambda m: m.opens("/dev/nvidia1", "nvidia-persiste"),
        "nvidia-persiste (process",
        "systemctl stop nvidia-persistenced",
    ),
    "no vfio": (lambda m: empty(m, f"/{DRIVERS}"), "the driver vfio-pci is not loaded", "modprobe vfio-pci"),
}


@pytest.mark.parametrize(("spoil", "problem", "remedy"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_says_why_and_what_to_do(
    machine: PlantedKernel, spoil: Callable[[PlantedKernel], None], problem: str, remedy: str
) -> None:
    spoil(machine)
    said = vfio.refusal(machine, GPU)
    assert problem in said
    assert remedy in said.partition("; ")[2]
    assert "\n" not in said


def test_what_does_not_matter_is_not_refused(machine: PlantedKernel) -> None:
    machine.group(NETWORK)
    machine.bind(NETWORK, "vfio-pci")
    machine.opens("/dev/nvidia0", "another GPU's")
    write(machine, f"/{DEVICES}/{BRIDGE}/class", "0x060400\n")
    assert vfio.refusal(machine, GPU) == ""


def test_a_primary_display_that_vfio_holds_since_boot_shows_nothing(machine: PlantedKernel) -> None:
    write(machine, f"/{DEVICES}/{GPU}/boot_vga", "1\n")
    machine.bind(GPU, "vfio-pci")
    assert vfio.refusal(machine, GPU) == ""


def test_the_hosts_side_of_link_and_bar_is_recorded(machine: PlantedKernel) -> None:
    found = values(vfio.facts(machine, GPU))
    assert found["vm.gpu_bar1_bytes"] == 256 << 20
    assert (found["vm.gpu_link_speed"], found["vm.gpu_link_width"]) == ("16.0 GT/s PCIe", "16")
    assert (found["vm.gpu_group_type"], found["vm.gpu_group"]) == ("DMA-FQ", f"{GPU}, {AUDIO}")
    assert "error" in vfio.facts(machine, GPU)["vm.gpu_link_speed_max"]


def test_of_a_domain_too_unless_another_host_runs_it(machine: PlantedKernel) -> None:
    assert lent_facts(machine, "qemu:///system", [GPU, AUDIO]) == vfio.facts(machine, GPU)
    assert lent_facts(machine, "qemu+ssh://user@host/system", [GPU]) == {}
    assert lent_facts(machine, "qemu:///system", []) == {}
