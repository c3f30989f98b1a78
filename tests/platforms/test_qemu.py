"""Starting and ending QEMU for real, under emulation: guests that hang, panic, or can't be started at all."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.platforms import leftovers, qemu, qemu_command
from harness.platforms.guest_image import GuestImage
from harness.platforms.leftovers import PROCESS
from harness.platforms.qemu import PortTakenError, Running
from tests.platforms.guests import claimed, fake_monitor, machine, spinning


@pytest.fixture(autouse=True)
def needs_qemu() -> None:
    if shutil.which(qemu_command.QEMU) is None or shutil.which("qemu-img") is None:
        pytest.skip("qemu-system-x86 and qemu-utils are not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "run" / "guest"
    made.mkdir(parents=True)
    yield made
    assert not (made / PROCESS).exists(), "a guest was left running"


def running(folder: Path) -> list[str]:
    """Return the QEMUs whose disk lies in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"file={folder}/".encode() in (process / "cmdline").read_bytes():
                found.append(process.name)
    return found


def test_a_guest_that_never_boots_is_ended_at_the_deadline(folder: Path) -> None:
    began = time.monotonic()
    with pytest.raises(PlatformError, match=r"guest: under TCG no sshd answered within \d+ s; its console is silent"):
        qemu.boot("guest", spinning(folder), "tcg", folder, seconds=3)
    assert time.monotonic() - began < 60
    assert running(folder) == []


def test_a_kernel_that_panics_is_told_by_its_last_words(folder: Path, guest_image: GuestImage) -> None:
    kernel_alone = GuestImage(disk=folder / "alone.qcow2")
    shutil.copyfile(guest_image.kernel, kernel_alone.kernel)
    with pytest.raises(PlatformError, match=r"the guest stopped in state shutdown; .*Kernel panic.*Unable to mount"):
        qemu.boot("guest", machine(folder, kernel_alone), "tcg", folder)
    assert running(folder) == []


def test_a_guest_without_sshd_is_told_by_its_last_words(
    folder: Path, guest_image: GuestImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu_command, "KERNEL_ARGUMENTS", "console=ttyS0 break=top")
    with pytest.raises(PlatformError, match=r"no sshd answered within \d+ s; its console ends with: \S.*sshd on port"):
        qemu.boot("guest", machine(folder, guest_image), "tcg", folder, seconds=15)


def test_a_guest_in_internal_error_is_not_waited_for(folder: Path) -> None:
    state = {"query-status": {"status": "internal-error", "running": False}}
    with fake_monitor(folder, state), pytest.raises(PlatformError, match="under KVM the guest stopped in state inte"):
        qemu._await_sshd("guest", claimed(folder, qemu.free_port()), time.monotonic() + 60)


def test_a_port_that_is_taken_is_said_to_be(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(PortTakenError, match=r"the port for its ssh is taken.*Run again"):
            qemu.boot("guest", spinning(folder), "tcg", folder, port=other.getsockname()[1])


def test_another_port_is_chosen_where_one_is_taken(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        free = qemu.free_port()
        ports = iter([other.getsockname()[1], free, free, free, free])
        monkeypatch.setattr(qemu, "free_port", lambda: next(ports))
        owner, port = qemu._launch("guest", spinning(folder), "tcg", folder, None)
    assert port == free
    qemu.kill(Running(folder=folder, owner=owner, port=port, accelerator="tcg", seconds=0.0))


def test_a_disk_that_is_none_ends_qemu_at_once(folder: Path) -> None:
    spoilt = replace(spinning(folder), disk=folder / "nothing.qcow2")
    with pytest.raises(PlatformError, match=r"QEMU ends at once: .*nothing\.qcow2.*No such file"):
        qemu.boot("guest", spoilt, "tcg", folder)


def test_a_gpu_that_qemu_cannot_use_is_told(folder: Path) -> None:
    """As far as QEMU goes without one: its port is made, and the device is asked for."""
    with pytest.raises(PlatformError, match=r"QEMU can't use the GPU \(.*ffff:1f:1f\.7"):
        qemu.boot("guest", replace(spinning(folder), gpu="ffff:1f:1f.7"), "tcg", folder)


def test_memory_is_bound_to_a_node_or_the_guest_refused(folder: Path) -> None:
    with pytest.raises(PlatformError, match="its memory can't be bound to the NUMA nodes"):
        qemu.boot("guest", replace(spinning(folder), nodes=(63,)), "tcg", folder)


@pytest.mark.parametrize(
    ("said", "problem", "remedy"),
    [
        ("Could not access KVM kernel module: Permission denied", "KVM can't be used", "modprobe kvm_intel"),
        ("qemu: cannot set up guest memory 'memory0': Cannot allocate memory", "too little memory", "Lower"),
        ("unable to map backing store for guest RAM: Cannot allocate memory", "too few huge pages", "Reserve"),
        ("vfio 0000:01:00.0: failed to setup container", "can't use the GPU", "dmesg"),
        ("something new", "QEMU ends at once: something new", "matrix.yaml"),
    ],
)
def test_what_qemu_says_is_explained(said: str, problem: str, remedy: str) -> None:
    error = qemu._explained("guest", f"qemu-system-x86_64: warning: whatever\nqemu-system-x86_64: {said}\n")
    assert problem in error.problem
    assert remedy in error.remedy


def test_a_guest_that_ignores_its_power_button_is_ended(folder: Path) -> None:
    owner, port = qemu._launch("guest", spinning(folder), "tcg", folder, None)
    guest = Running(folder=folder, owner=owner, port=port, accelerator="tcg", seconds=0.0)
    assert guest.is_alive()
    qemu.shut_down(guest, seconds=1)
    assert not guest.is_alive()
    qemu.shut_down(guest, seconds=1)


def test_a_virtual_cpu_is_pinned_or_the_guest_ended(folder: Path) -> None:
    with pytest.raises(PlatformError, match="virtual CPU 0 can't be pinned to host CPU 4000"):
        qemu.boot("guest", replace(spinning(folder), pinned=(4000,)), "tcg", folder, seconds=3)
    assert running(folder) == []


KILLED = """
import sys
from pathlib import Path
from harness.platforms import leftovers, qemu
from tests.platforms.guests import spinning
run = Path(sys.argv[1])
leftovers.claim(run)
(run / "guest").mkdir()
qemu.boot("guest", spinning(run / "guest"), "tcg", run / "guest", seconds=300)
"""


def test_the_next_run_ends_the_guest_of_a_killed_one(tmp_path: Path) -> None:
    run = tmp_path / "killed"
    with subprocess.Popen([sys.executable, "-c", KILLED, str(run)]) as killed:
        deadline = time.monotonic() + 60
        while not (run / "guest" / PROCESS).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        leftovers.sweep(run)
        assert len(running(run / "guest")) == 1, "a living run's guest was ended"
        killed.kill()
        killed.wait()
    assert len(running(run / "guest")) == 1
    leftovers.sweep(run)
    deadline = time.monotonic() + 10
    while running(run / "guest") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running(run / "guest") == []
    assert not run.exists()
