"""The command line that a machine becomes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from harness.platforms.guest_image import GuestImage
from harness.platforms.qemu_command import FIRMWARE, Machine, command_line


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    image = GuestImage(disk=tmp_path / "guest.qcow2")
    return Machine(image=image, disk=Path("/run/a,b/disk.qcow2"), direct=True, cpus=4, memory=2 << 30)


def options(argv: list[str], name: str) -> list[str]:
    return [value for key, value in pairwise(argv) if key == f"-{name}"]


def test_a_plain_machine(machine: Machine) -> None:
    assert command_line(machine, "kvm", 2222) == [
        "qemu-system-x86_64", "-name", "overhead-matrix", "-nodefaults", "-no-user-config", "-display", "none",
        "-no-reboot", "-daemonize", "-pidfile", "qemu.pid", "-qmp", "unix:qmp.sock,server=on,wait=off",
        "-serial", "file:console.log", "-machine", "q35,accel=kvm,memory-backend=memory0",
        "-cpu", "host,host-phys-bits=on", "-smp", "cpus=4,sockets=1,cores=4,threads=1",
        "-m", "2048M", "-object", "memory-backend-ram,id=memory0,size=2048M",
        "-drive", "if=none,id=disk,format=qcow2,file=/run/a,,b/disk.qcow2,cache=none,aio=native",
        "-device", "virtio-blk-pci,drive=disk",
        "-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22",
        "-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci",
    ]  # fmt: skip


def test_emulation_shows_every_feature_it_has(machine: Machine) -> None:
    argv = command_line(machine, "tcg", 1)
    assert options(argv, "cpu") == ["max"]
    assert options(argv, "machine")[0].startswith("q35,accel=tcg,")


def test_nodes_share_cpus_and_memory_and_are_bound(machine: Machine) -> None:
    argv = command_line(replace(machine, nodes=(1, 3), hugepage=1 << 30), "kvm", 1)
    backend = "memory-backend-memfd,hugetlb=on,hugetlbsize=1024M,prealloc=on"
    assert options(argv, "object") == [
        f"{backend},id=memory0,size=1024M,host-nodes=1,policy=bind",
        f"{backend},id=memory1,size=1024M,host-nodes=3,policy=bind",
    ]
    assert options(argv, "numa") == [
        "node,nodeid=0,cpus=0-1,memdev=memory0",
        "node,nodeid=1,cpus=2-3,memdev=memory1",
    ]
    assert options(argv, "smp") == ["cpus=4,sockets=2,cores=2,threads=1"]
    assert options(argv, "machine") == ["q35,accel=kvm"]


def test_memory_that_nodes_do_not_share_equally_is_what_they_have(machine: Machine) -> None:
    argv = command_line(replace(machine, nodes=(0, 0, 0), cpus=3, memory=1 << 30), "kvm", 1)
    assert options(argv, "m") == ["1023M"]


def test_a_file_system_without_direct_access_goes_through_the_page_cache(machine: Machine) -> None:
    (drive,) = options(command_line(replace(machine, direct=False), "kvm", 1), "drive")
    assert drive.endswith(",cache=writeback")


def test_a_kernel_beside_the_disk_is_booted(machine: Machine) -> None:
    machine.image.kernel.touch()
    machine.image.initrd.touch()
    argv = command_line(machine, "kvm", 1)
    assert options(argv, "kernel") == [str(machine.image.kernel)]
    assert options(argv, "initrd") == [str(machine.image.initrd)]
    assert "panic=-1" in options(argv, "append")[0]


def test_a_gpu_sits_behind_a_port_of_its_own_and_boots_by_uefi(machine: Machine) -> None:
    variables = Path("/run/firmware.fd")
    argv = command_line(replace(machine, gpu="0000:01:00.0", variables=variables), "kvm", 1)
    assert options(argv, "device")[-2:] == [
        "pcie-root-port,id=gpu_port,chassis=1",
        "vfio-pci,host=0000:01:00.0,bus=gpu_port",
    ]
    assert options(argv, "drive")[:2] == [
        f"if=pflash,format=raw,readonly=on,file={FIRMWARE}",
        f"if=pflash,format=raw,file={variables}",
    ]
