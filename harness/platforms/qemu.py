"""Starts a guest, waits until it can be logged in to, and ends it. What hangs is found by a deadline.

A guest under a KVM that can't run it never exits: QEMU pauses it in `internal-error` for ever. So its state is asked
for while the guest boots, and a guest that does not come up is ended. Linux only.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import PlatformError
from harness.platforms import qmp
from harness.platforms.leftovers import PROCESS, note
from harness.platforms.owner import Owner
from harness.platforms.qemu_command import CONSOLE, PID_FILE, QEMU, Accelerator, Machine, command_line
from harness.runner import process

LAUNCH_SECONDS = 600.0  # until QEMU is up: it may have to zero, or pin for a GPU, hundreds of gigabytes
BOOT_SECONDS: dict[Accelerator, float] = {"kvm": 90.0, "tcg": 600.0}
SHUTDOWN_SECONDS = 60.0
END_SECONDS = 10.0
POLL_SECONDS = 0.25
BANNER_SECONDS = 5.0
PORTS_TRIED = 5
STOPPED = ("internal-error", "guest-panicked", "io-error", "shutdown", "watchdog")  # a guest never leaves these

_FAILURES = (
    (r"Could not set up host forwarding rule", "the port for its ssh is taken", "Run again: another one is chosen."),
    (
        r"unable to map backing store|mapping.*hugetlb|memfd_create|can't allocate.*huge",
        "there are too few huge pages",
        "Reserve them, on each node that `numa` names, or take `hugepages` out of matrix.yaml.",
    ),
    (r"Cannot allocate memory|cannot set up guest memory", "the host has too little memory", "Lower its `memory`."),
    (r"host-nodes|mbind|cannot bind memory", "its memory can't be bound to the NUMA nodes", "Correct `numa`."),
    (r"vfio", "QEMU can't use the GPU", "See `dmesg`, and docs/platforms/vm.md."),
    (
        r"Could not access KVM|failed to initialize kvm|invalid accelerator kvm|KVM.*(not supported|not available)",
        "KVM can't be used",
        "Load it (`modprobe kvm_intel` or `kvm_amd`), let this user into the group kvm, or set `accelerator: tcg`.",
    ),
)


class PortTakenError(PlatformError):
    """Somebody else took the port in the moment between choosing and using it."""


@dataclass(frozen=True, kw_only=True)
class Running:
    """A guest whose sshd answers on `port` of the loopback. `seconds` is what its start took."""

    folder: Path
    owner: Owner  # QEMU's process
    port: int
    accelerator: Accelerator
    seconds: float

    def is_alive(self) -> bool:
        """Whether QEMU still runs."""
        return self.owner.is_running()


def version() -> str:
    """Return QEMU's version, `7.2.22`. Raises PlatformError."""
    said = process.capture([QEMU, "--version"], timeout=END_SECONDS).stdout
    found = re.search(r"version (\S+)", said)
    return found[1] if found else said.strip()


def boot(
    name: str,
    machine: Machine,
    accelerator: Accelerator,
    folder: Path,
    *,
    port: int | None = None,
    seconds: float | None = None,
) -> Running:
    """Start the guest and wait for its sshd, at most `seconds`. Nothing is left running when this raises.

    `port` of the loopback is the one that leads to it; default: a free one.

    QEMU's files lie in `folder`, and a note of its process for whoever comes after a killed run. Raises PlatformError.
    """
    began = time.monotonic()
    owner, port = _launch(name, machine, accelerator, folder, port)
    running = Running(folder=folder, owner=owner, port=port, accelerator=accelerator, seconds=0.0)
    try:
        _pin(running, machine.pinned)
        _await_sshd(name, running, began + (seconds or BOOT_SECONDS[accelerator]))
    except BaseException:
        kill(running)
        raise
    return Running(folder=folder, owner=owner, port=port, accelerator=accelerator, seconds=time.monotonic() - began)


def pause(running: Running) -> None:
    """Let the guest's CPUs and clocks stand still. Never raises: a guest that has ended needs no pause."""
    with contextlib.suppress(PlatformError):
        qmp.ask(running.folder, "stop")


def resume(running: Running) -> None:
    """Let the guest go on, if it was paused. Never raises."""
    with contextlib.suppress(PlatformError):
        qmp.ask(running.folder, "cont")


def shut_down(running: Running, *, seconds: float = SHUTDOWN_SECONDS) -> None:
    """Let the guest shut down by itself, so that its disk is whole; end QEMU if it does not. Never raises."""
    resume(running)
    for command, patience in (("system_powerdown", seconds), ("quit", END_SECONDS)):
        with contextlib.suppress(PlatformError):
            qmp.ask(running.folder, command)
            if _has_ended(running, patience):
                break
    kill(running)


def kill(running: Running) -> None:
    """End QEMU at once, if it still runs, and forget it."""
    if running.is_alive() and sys.platform != "win32":
        with contextlib.suppress(OSError):
            os.kill(int(running.owner.pid), signal.SIGKILL)
        _has_ended(running, END_SECONDS)
    (running.folder / PROCESS).unlink(missing_ok=True)


def _launch(name: str, machine: Machine, accelerator: Accelerator, folder: Path, port: int | None) -> tuple[Owner, int]:
    """Return QEMU's process and the port. A free port may be taken until QEMU takes it: then it is another one."""
    chosen = [port] if port else [free_port() for _ in range(PORTS_TRIED)]
    for candidate in chosen[:-1]:
        with contextlib.suppress(PortTakenError):
            return _start(name, command_line(machine, accelerator, candidate), folder), candidate
    return _start(name, command_line(machine, accelerator, chosen[-1]), folder), chosen[-1]


def _start(name: str, argv: Sequence[str], folder: Path) -> Owner:
    """Start QEMU, which answers when it is up and runs on by itself."""
    for stale in (PID_FILE, CONSOLE, qmp.SOCKET):
        (folder / stale).unlink(missing_ok=True)
    done = process.capture(argv, timeout=LAUNCH_SECONDS, cwd=folder)
    if done.code != 0:
        raise _explained(name, done.stderr)
    pid = int((folder / PID_FILE).read_text(encoding="ascii"))
    note(folder / PROCESS, pid)
    return Owner.of(pid)


def free_port() -> int:
    """Return a port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _explained(name: str, said: str) -> PlatformError:
    lines = [line for line in said.splitlines() if line.strip() and "warning:" not in line]
    last = lines[-1].removeprefix(f"{QEMU}: ").rstrip(".") if lines else "it gave no reason"
    for pattern, problem, remedy in _FAILURES:
        if re.search(pattern, said, re.IGNORECASE):
            kind = PortTakenError if "port" in problem else PlatformError
            return kind(f"{name}: the guest can't be started: {problem} ({last})", remedy)
    return PlatformError(f"{name}: QEMU ends at once: {last}", "Correct the platform in matrix.yaml, or its image.")


def _pin(running: Running, cpus: Sequence[int]) -> None:
    """Bind the n-th virtual CPU's thread to the n-th of the host's CPUs."""
    if not cpus or sys.platform == "win32":
        return
    threads = {each["cpu-index"]: each["thread-id"] for each in qmp.ask(running.folder, "query-cpus-fast")}
    for index, cpu in enumerate(cpus):
        try:
            os.sched_setaffinity(threads[index], {cpu})
        except OSError as error:
            problem = f"virtual CPU {index} can't be pinned to host CPU {cpu}: {error.strerror}"
            raise PlatformError(problem, "Correct `pin` in matrix.yaml: `lscpu -e` lists the CPUs.") from error


def _await_sshd(name: str, running: Running, deadline: float) -> None:
    began = time.monotonic()
    while not _greets(running.port):
        state = _state(running)
        if state in STOPPED:
            raise _not_up(name, running, f"the guest stopped in state {state}")
        if time.monotonic() > deadline:
            raise _not_up(name, running, f"no sshd answered within {time.monotonic() - began:.0f} s")
        time.sleep(POLL_SECONDS)


def _state(running: Running) -> str:
    if not running.is_alive():
        return "shutdown"
    try:
        return str(qmp.ask(running.folder, "query-status")["status"])
    except PlatformError:
        return "silent" if running.is_alive() else "shutdown"


def _greets(port: int) -> bool:
    """Whether an sshd says its version. QEMU itself takes every connection, long before the guest does."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=BANNER_SECONDS) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def _not_up(name: str, running: Running, what: str) -> PlatformError:
    remedy = "Does the image boot by itself, with sshd on port 22 and a network of 10.0.2.15 or DHCP?"
    return PlatformError(f"{name}: under {running.accelerator.upper()} {what}{last_words(running.folder)}", remedy)


def last_words(folder: Path) -> str:
    """Say how the guest's console ends: with the last line that says something, or with a panic's reason."""
    try:
        text = (folder / CONSOLE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    lines = [" ".join(line.split()) for line in plain.splitlines() if line.strip()]
    panics = [line for line in lines if "Kernel panic" in line]
    last = (panics or lines or [""])[-1][:200]
    return f"; its console ends with: {last}" if last else "; its console is silent"


def _has_ended(running: Running, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while running.is_alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS / 5)
    return True
