"""From matrix.yaml and a host to a machine, or to why there is none. The host is a made-up one."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.matrix.model import Vm
from harness.platforms import vm_machine
from harness.platforms.guest_image import GuestImage
from harness.platforms.vm_machine import accelerators, obstacle
from tests.agent.trees import tree
from tests.platforms.planted_gpu import GPU, PlantedKernel, planted


@pytest.fixture
def system(tmp_path: Path) -> PlantedKernel:
    made = planted(tmp_path / "machine")
    tree(made.root, {"/sys/devices/system/node/online": "0-1\n"})
    tree(made.root, {"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "100\n"})
    return made


@pytest.fixture
def image(tmp_path: Path) -> GuestImage:
    found = GuestImage(disk=tmp_path / "guest.qcow2")
    for file in (found.disk, found.key, found.host_key):
        file.touch()
    return found


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything is installed, wherever this runs."""
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(vm_machine, "FIRMWARE", Path(__file__))
    monkeypatch.setattr(vm_machine, "FIRMWARE_VARIABLES", Path(__file__))


def config(**options: object) -> Vm:
    return Vm.model_validate({"kind": "vm", "image": "guest.qcow2", **options})


def test_nothing_is_in_the_way(system: PlantedKernel, image: GuestImage) -> None:
    everything = config(gpu=GPU, numa=[0, 1], cpus=2, memory="200m", hugepages="2m", pin=None)
    assert obstacle(everything, image, system) == ""


@pytest.mark.parametrize(
    ("options", "problem", "remedy"),
    [
        ({"pin": "4000-4001"}, "pin names host CPUs that there are not: 4000, 4001", "lscpu -e"),
        ({"cpus": 2, "numa": [0, 7]}, "numa names host nodes that there are not: 7", "lscpu"),
        (
            {"memory": "201m", "hugepages": "2m"},
            "101 huge pages of 2m are needed and 100 are free",
            "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages",
        ),
        ({"hugepages": "1g"}, "this kernel has no huge pages of 1g", "name another size"),
        ({"gpu": "0000:09:00.0"}, "there is no PCI device 0000:09:00.0", "lspci"),
    ],
)
def test_what_is_in_the_way_is_told_with_a_remedy(
    system: PlantedKernel, image: GuestImage, options: dict[str, object], problem: str, remedy: str
) -> None:
    said = obstacle(config(**options), image, system)
    assert problem in said
    assert remedy in said.partition("; ")[2]


@pytest.mark.parametrize(
    ("program", "package"),
    [("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils"), ("ssh", "openssh-client")],
)
def test_a_missing_program_names_its_package(
    system: PlantedKernel, image: GuestImage, monkeypatch: pytest.MonkeyPatch, program: str, package: str
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == program else f"/usr/bin/{name}")
    assert obstacle(config(), image, system) == f"{program} is not there; `apt install {package}`"


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (
            lambda image: image.disk,
            "image guest.qcow2 is missing; make it with `python -m harness vm image -o guest.qcow2`",
        ),
        (lambda image: image.key, "its private ssh key is missing; put it beside it as guest.key"),
        (lambda image: image.host_key, "its public ssh host key is missing; put it beside it as guest.hostkey.pub"),
    ],
)
def test_an_image_that_is_not_whole(
    system: PlantedKernel,
    image: GuestImage,
    monkeypatch: pytest.MonkeyPatch,
    file: Callable[[GuestImage], Path],
    problem: str,
) -> None:
    monkeypatch.chdir(image.disk.parent)
    file(image).unlink()
    assert problem in obstacle(config(), image, system)


def test_a_gpu_needs_firmware_that_maps_it(
    system: PlantedKernel, image: GuestImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vm_machine, "FIRMWARE", Path("/nowhere/OVMF.fd"))
    assert obstacle(config(gpu=GPU), image, system) == "/nowhere/OVMF.fd is not there; `apt install ovmf`"
    assert obstacle(config(), image, system) == ""


def test_a_gpu_needs_all_of_the_guests_memory_locked(
    system: PlantedKernel, image: GuestImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (512 << 20, 512 << 20))
    said = obstacle(config(gpu=GPU, memory="1g"), image, system)
    assert said.startswith("only 512 MiB of memory may be locked")
    assert obstacle(config(gpu=GPU, memory="512m"), image, system) == ""


def test_kvm_is_tried_first_where_this_user_may_and_it_has_not_failed(system: PlantedKernel) -> None:
    assert accelerators(config(), system) == ("tcg",)
    tree(system.root, {"/dev/kvm": ""})
    assert accelerators(config(), system) == ("kvm", "tcg")
    assert accelerators(config(), system, kvm_problem="it hung") == ("tcg",)
    assert accelerators(config(accelerator="kvm"), system, kvm_problem="it hung") == ("kvm",)
    assert accelerators(config(accelerator="tcg"), system) == ("tcg",)
