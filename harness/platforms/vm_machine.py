"""From an entry of matrix.yaml and this host to a machine that QEMU can start, or to why it can't."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.agent.cpus import NODES, number_list, usable_cpus
from harness.agent.inspection.facts import UNREADABLE, fields
from harness.errors import PlatformError
from harness.matrix.model import Vm
from harness.platforms import vfio
from harness.platforms.guest_image import GuestImage
from harness.platforms.qemu_command import FIRMWARE, FIRMWARE_VARIABLES, QEMU, Accelerator, Machine
from harness.platforms.vfio import Sysfs
from harness.runner import process

if sys.platform != "win32":
    import resource

HUGE = {"2m": 2 << 20, "1g": 1 << 30}  # what `hugepages` may be, bytes
KVM = "/dev/kvm"
OVERLAY, VARIABLES = "disk.qcow2", "firmware.fd"
OVERLAY_SECONDS = 60.0


def obstacle(config: Vm, image: GuestImage, system: Sysfs) -> str:
    """Return what keeps the guest from being started here, one line with a remedy; empty if nothing does. Quick."""
    return next(filter(None, _obstacles(config, image, system)), "")


def accelerators(config: Vm, system: Sysfs, *, kvm_problem: str = "") -> tuple[Accelerator, ...]:
    """Return what to try, in order. That /dev/kvm is there does not say that a guest boots with it."""
    if config.accelerator != "auto":
        return (config.accelerator,)
    usable = not kvm_problem and os.access(system.path(KVM), os.R_OK | os.W_OK)
    return ("kvm", "tcg") if usable else ("tcg",)


def machine(name: str, config: Vm, image: GuestImage, folder: Path, system: Sysfs) -> Machine:
    """Return the machine, its disk a new overlay in `folder` unless there is one. Raises PlatformError."""
    disk = folder / OVERLAY
    if not disk.exists():
        _make_overlay(name, image, disk)
    return Machine(
        image=image,
        disk=disk,
        direct=_takes_direct(image.disk) and _takes_direct(disk),
        cpus=_cpus(config),
        memory=_memory(config, system),
        pinned=config.pinned,
        hugepage=HUGE[config.hugepages] if config.hugepages else 0,
        nodes=tuple(config.numa),
        gpu=config.gpu or "",
        variables=_firmware(folder) if config.gpu else None,
    )


def _obstacles(config: Vm, image: GuestImage, system: Sysfs) -> Iterator[str]:
    """In the order in which a user mends them."""
    for program, package in ((QEMU, "qemu-system-x86"), ("qemu-img", "qemu-utils"), ("ssh", "openssh-client")):
        if shutil.which(program) is None:
            yield f"{program} is not there; `apt install {package}`"
    yield image.missing()
    yield _unknown_cpus(config)
    yield _unknown_nodes(config, system)
    yield _few_hugepages(config, system)
    if config.gpu:
        yield vfio.refusal(system, config.gpu)
        yield _no_firmware()
        yield _little_memlock(config, system)


def _unknown_cpus(config: Vm) -> str:
    missing = sorted(set(config.pinned) - set(usable_cpus()))
    if not missing:
        return ""
    return f"pin names host CPUs that there are not: {', '.join(map(str, missing))}; `lscpu -e` lists them"


def _unknown_nodes(config: Vm, system: Sysfs) -> str:
    try:
        online = number_list(system.text(f"{NODES}/online"))
    except UNREADABLE:
        online = [0]
    missing = sorted(set(config.numa) - set(online))
    if not missing:
        return ""
    return f"numa names host nodes that there are not: {', '.join(map(str, missing))}; `lscpu` lists them"


def _few_hugepages(config: Vm, system: Sysfs) -> str:
    if not config.hugepages:
        return ""
    size = HUGE[config.hugepages]
    needed = -(-_memory(config, system) // size)
    folder = f"/sys/kernel/mm/hugepages/hugepages-{size >> 10}kB"
    try:
        free = int(system.text(f"{folder}/free_hugepages"))
    except UNREADABLE:
        return f"this kernel has no huge pages of {config.hugepages}; name another size, or leave `hugepages` out"
    if free >= needed:
        return ""
    return (
        f"{needed} huge pages of {config.hugepages} are needed and {free} are free; write more to {folder}/nr_hugepages"
    )


def _no_firmware() -> str:
    return "" if FIRMWARE.is_file() and FIRMWARE_VARIABLES.is_file() else f"{FIRMWARE} is not there; `apt install ovmf`"


def _little_memlock(config: Vm, system: Sysfs) -> str:
    """A device reads and writes the guest's memory at any time, so all of it is locked."""
    if sys.platform != "win32" and os.geteuid() != 0:
        limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[0]
        if limit != resource.RLIM_INFINITY and limit < _memory(config, system):
            remedy = "raise memlock in /etc/security/limits.conf"
            return f"only {limit >> 20} MiB of memory may be locked (`ulimit -l`); {remedy}"
    return ""


def _cpus(config: Vm) -> int:
    return config.cpus or len(config.pinned) or len(usable_cpus())


def _memory(config: Vm, system: Sysfs) -> int:
    if config.memory:
        return config.memory
    total = int(fields(system.text("/proc/meminfo"))["MemTotal"].split()[0]) << 10
    return total // 2


def _make_overlay(name: str, image: GuestImage, disk: Path) -> None:
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", image.format(), "-b", str(image.disk), str(disk)]
    done = process.capture(argv, timeout=OVERLAY_SECONDS)
    if done.code != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PlatformError(f"{name}: no overlay over {image.disk} can be made: {said}", "Make the image anew.")


def _takes_direct(path: Path) -> bool:
    """Whether the file system lets a file bypass the page cache; a tmpfs does not."""
    if sys.platform == "win32":
        return False
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


def _firmware(folder: Path) -> Path:
    own = folder / VARIABLES
    if not own.exists():
        shutil.copyfile(FIRMWARE_VARIABLES, own)
    return own
