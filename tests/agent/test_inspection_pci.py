from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.inspection import pci
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree, values

GPU = "/sys/bus/pci/devices/0000:01:00.0"
# As a kernel shows an NVIDIA card: 16 MiB of registers, 256 MiB of 64-bit BAR1, 32 MiB, I/O ports.
RESOURCE = """0x00000000de000000 0x00000000deffffff 0x0000000000040200
0x00000000c0000000 0x00000000cfffffff 0x000000000014220c
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x00000000d0000000 0x00000000d1ffffff 0x000000000014220c
0x0000000000000000 0x0000000000000000 0x0000000000000000
0x000000000000e000 0x000000000000e07f 0x0000000000040101
0x00000000df000000 0x00000000df07ffff 0x0000000000046200
"""


def machine(folder: Path) -> dict[str, str]:
    contents = {
        "/proc/cpuinfo": "flags\t: fpu vme\n",
        f"{GPU}/class": "0x030000\n",
        f"{GPU}/vendor": "0x10de\n",
        f"{GPU}/device": "0x2684\n",
        f"{GPU}/current_link_speed": "2.5 GT/s PCIe\n",
        f"{GPU}/max_link_speed": "16.0 GT/s PCIe\n",
        f"{GPU}/current_link_width": "16\n",
        f"{GPU}/max_link_width": "16\n",
        f"{GPU}/numa_node": "0\n",
        f"{GPU}/resource": RESOURCE,
        f"{GPU}/reset_method": "bus\n",
        "/sys/bus/pci/devices/0000:02:00.0/class": "0x020000\n",
        "/sys/bus/pci/devices/0000:03:00.0/class": "0x030200\n",
        "/sys/class/iommu/dmar0/devices": "",
        "/sys/class/iommu/dmar1/devices": "",
        "/sys/kernel/iommu_groups/0/type": "DMA-FQ\n",
        "/sys/kernel/iommu_groups/1/type": "identity\n",
        "/sys/kernel/iommu_groups/1/devices/0000:01:00.0": "",
        "/sys/kernel/iommu_groups/1/devices/0000:01:00.1": "",
        "/sys/bus/pci/drivers/vfio-pci/module": "",
    }
    tree(folder, contents)
    (folder / GPU.lstrip("/") / "driver").symlink_to(folder / "sys/bus/pci/drivers/vfio-pci")
    (folder / GPU.lstrip("/") / "iommu_group").symlink_to(folder / "sys/kernel/iommu_groups/1")
    return contents


@not_on_windows("links as in sysfs need a privilege")
def test_a_gpu_is_read_whatever_its_driver(tmp_path: Path) -> None:
    machine(tmp_path)
    facts = pci.inspect(tree(tmp_path, {}))
    assert facts["seen_from"]["value"] == "the machine itself"
    card, other = facts["gpus"]["value"]

    assert card == {
        "vendor": "NVIDIA",
        "device": "0x2684",
        "class": "0x030000",
        "driver": "vfio-pci",
        "current_link_speed": "2.5 GT/s PCIe",
        "max_link_speed": "16.0 GT/s PCIe",
        "current_link_width": 16,
        "max_link_width": 16,
        "numa_node": 0,
        "bar1_bytes": 256 << 20,
        "reset_methods": "bus",
        "iommu_group_type": "identity",
        "iommu_group_devices": 2,
        "errors": {"runtime_power": "FileNotFoundError"},
    }
    assert (other["class"], other["driver"]) == ("0x030200", "none")
    assert other["errors"]["current_link_speed"] == "FileNotFoundError"


def test_a_guest_says_that_it_is_one(tmp_path: Path) -> None:
    machine(tmp_path)
    files = tree(tmp_path, {"/proc/cpuinfo": "flags\t: fpu hypervisor\n"})

    assert values(pci.inspect(files))["seen_from"] == "a virtual machine"


def test_an_iommu_is_in_use_where_it_has_units_and_groups(tmp_path: Path) -> None:
    machine(tmp_path)

    assert values(pci.iommu(tree(tmp_path, {}))) == {
        "enabled": True,
        "units": ["dmar"],
        "groups": 2,
        "types": {"DMA-FQ": 1, "identity": 1},
    }


def test_empty_folders_are_an_iommu_that_is_off_and_missing_ones_are_not_known(tmp_path: Path) -> None:
    for folder in ("sys/class/iommu", "sys/kernel/iommu_groups"):
        (tmp_path / "off" / folder).mkdir(parents=True)

    assert values(pci.iommu(tree(tmp_path / "off", {})))["enabled"] is False
    assert pci.iommu(tree(tmp_path / "hidden", {}))["enabled"]["value"] is None


def test_a_machine_without_a_gpu_has_an_empty_list_and_without_a_bus_none(tmp_path: Path) -> None:
    files = tree(tmp_path / "bus", {"/sys/bus/pci/devices/0000:00:00.0/class": "0x060000\n"})

    assert pci.inspect(files)["gpus"]["value"] == []
    assert pci.inspect(tree(tmp_path / "none", {}))["gpus"]["value"] is None


@given(st.lists(st.tuples(st.integers(1, 2**40), st.integers(0, 40)), min_size=2, max_size=3))
def test_the_size_of_a_region_is_found_wherever_it_lies(regions: list[tuple[int, int]]) -> None:
    """64-bit regions take two lines."""
    lines = []
    for start, bits in regions:
        lines += [f"{start:#x} {start + 2**bits - 1:#x} 0x14220c", "0x0 0x0 0x0"]

    assert pci.bar_bytes("\n".join(lines), pci.BAR1) == 2 ** regions[1][1]


@pytest.mark.parametrize("resource", ["", "0x0 0x0 0x0\n", "0x10 0x1f 0x0\n"])
def test_a_device_with_fewer_regions_has_no_bar1(resource: str) -> None:
    with pytest.raises(LookupError):
        pci.bar_bytes(resource, pci.BAR1)
