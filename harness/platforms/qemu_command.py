"""A virtual machine as QEMU's command line. Pure: nothing is looked up here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.platforms.guest_image import KERNEL_ARGUMENTS, GuestImage
from harness.platforms.qmp import SOCKET

QEMU = "qemu-system-x86_64"
Accelerator = Literal["kvm", "tcg"]
PID_FILE, CONSOLE = "qemu.pid", "console.log"
FIRMWARE = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")  # a large BAR is mapped above 4 GiB, which takes UEFI
FIRMWARE_VARIABLES = Path("/usr/share/OVMF/OVMF_VARS_4M.fd")
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the guest is given. Sizes are bytes; `disk` is the throw-away overlay over the image's disk.

    `pinned` are the host CPUs of the virtual ones, in order, none for free ones; `hugepage` is 0 for ordinary memory;
    `nodes` are the host NUMA nodes of the guest's, none for one node that is bound to no node of the host.
    """

    image: GuestImage
    disk: Path
    direct: bool  # whether the disk bypasses the host's page cache
    cpus: int
    memory: int
    pinned: tuple[int, ...] = ()
    hugepage: int = 0
    nodes: tuple[int, ...] = ()
    gpu: str = ""  # PCI address
    variables: Path | None = None  # the guest's own copy of the firmware's, where it boots by UEFI


def command_line(machine: Machine, accelerator: Accelerator, port: int) -> list[str]:
    """Return QEMU's arguments; its working directory is the guest's folder, and it leaves the foreground when up.

    `port` of the host's loopback leads to the guest's sshd; the guest reaches nothing outside itself.
    """
    return [
        QEMU, "-name", "overhead-matrix", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-daemonize", "-pidfile", PID_FILE, "-qmp", f"unix:{SOCKET},server=on,wait=off", "-serial", f"file:{CONSOLE}",
        *_processor(machine, accelerator), *_memory(machine), *_boot(machine), *_disk(machine),
        "-netdev", f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", "virtio-net-pci,netdev=net,romfile=", "-device", "virtio-rng-pci",
        *_gpu(machine),
    ]  # fmt: skip


def _processor(machine: Machine, accelerator: Accelerator) -> list[str]:
    cpu = "host,host-phys-bits=on" if accelerator == "kvm" else "max"
    nodes = len(machine.nodes) or 1
    cores = machine.cpus // nodes
    return [
        "-machine", f"q35,accel={accelerator}" + ("" if machine.nodes else ",memory-backend=memory0"),
        "-cpu", cpu, "-smp", f"cpus={machine.cpus},sockets={nodes},cores={cores},threads=1",
    ]  # fmt: skip


def _memory(machine: Machine) -> list[str]:
    total = machine.memory // _MIB
    share = total // (len(machine.nodes) or 1)
    arguments = ["-m", f"{share * (len(machine.nodes) or 1)}M"]
    for index, host in enumerate(machine.nodes or (None,)):
        bound = "" if host is None else f",host-nodes={host},policy=bind"
        arguments += ["-object", f"{_backend(machine)},id=memory{index},size={share}M{bound}"]
    per_node = machine.cpus // (len(machine.nodes) or 1)
    for index in range(len(machine.nodes)):
        cpus = f"cpus={index * per_node}-{(index + 1) * per_node - 1}"
        arguments += ["-numa", f"node,nodeid={index},{cpus},memdev=memory{index}"]
    return arguments


def _backend(machine: Machine) -> str:
    if not machine.hugepage:
        return "memory-backend-ram"
    return f"memory-backend-memfd,hugetlb=on,hugetlbsize={machine.hugepage // _MIB}M,prealloc=on"


def _boot(machine: Machine) -> list[str]:
    arguments = []
    if machine.variables:
        arguments += ["-drive", f"if=pflash,format=raw,readonly=on,file={_escaped(FIRMWARE)}"]
        arguments += ["-drive", f"if=pflash,format=raw,file={_escaped(machine.variables)}"]
    if machine.image.kernel.is_file():
        arguments += ["-kernel", str(machine.image.kernel), "-append", KERNEL_ARGUMENTS]
    if machine.image.initrd.is_file():
        arguments += ["-initrd", str(machine.image.initrd)]
    return arguments


def _disk(machine: Machine) -> list[str]:
    cache = "cache=none,aio=native" if machine.direct else "cache=writeback"
    drive = f"if=none,id=disk,format=qcow2,file={_escaped(machine.disk)},{cache}"
    return ["-drive", drive, "-device", "virtio-blk-pci,drive=disk"]


def _gpu(machine: Machine) -> list[str]:
    if not machine.gpu:
        return []
    return ["-device", "pcie-root-port,id=gpu_port,chassis=1", "-device", f"vfio-pci,host={machine.gpu},bus=gpu_port"]


def _escaped(path: Path) -> str:
    """QEMU's options are separated by commas."""
    return str(path).replace(",", ",,")
