"""Machines for the tests: one that does nothing at all, and a monitor that says what a test wants."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from harness.platforms.guest_image import GuestImage
from harness.platforms.owner import Owner
from harness.platforms.qemu import Running
from harness.platforms.qemu_command import Machine
from harness.platforms.qmp import SOCKET
from harness.runner import process

SPIN = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"  # a boot sector that jumps to itself


def machine(folder: Path, image: GuestImage) -> Machine:
    """A small machine with an empty disk; what it boots is what lies beside the image."""
    disk = folder / "disk.qcow2"
    done = process.capture(["qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"], timeout=60)
    assert done.code == 0, done.stderr
    return Machine(image=image, disk=disk, direct=False, cpus=1, memory=256 << 20)


def spinning(folder: Path) -> Machine:
    """A machine that runs for ever and never answers."""
    sector = folder / "sector.raw"
    sector.write_bytes(SPIN.ljust(1 << 20, b"\0"))
    disk = folder / "disk.qcow2"
    argv = ["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", str(sector), str(disk)]
    done = process.capture(argv, timeout=60)
    assert done.code == 0, done.stderr
    image = GuestImage(disk=folder / "spin.qcow2")
    return Machine(image=image, disk=disk, direct=False, cpus=1, memory=64 << 20)


def claimed(folder: Path, port: int) -> Running:
    """A guest that is said to run: its process is this one."""
    return Running(folder=folder, owner=Owner.of(os.getpid()), port=port, accelerator="kvm", seconds=0.0)


@contextmanager
def fake_monitor(folder: Path, answers: Mapping[str, object]) -> Iterator[None]:
    """A stand-in for QEMU's monitor in `folder`: answers commands as told, refuses others, sends events before."""
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(folder, os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/{SOCKET}")
        os.close(here)
        server.listen()
        threading.Thread(target=_serve, args=(server, {"qmp_capabilities": {}, **answers}), daemon=True).start()
        yield
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, answers: Mapping[str, object]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection, connection.makefile("rw", encoding="utf-8") as stream:
            _say(stream, {"QMP": {"version": {}, "capabilities": []}})
            while line := stream.readline():
                command = json.loads(line)["execute"]
                _say(stream, {"event": "NIC_RX_FILTER_CHANGED", "data": {}})
                if command in answers:
                    _say(stream, {"return": answers[command]})
                else:
                    _say(stream, {"error": {"class": "CommandNotFound", "desc": f"no {command} here"}})


def _say(stream: IO[str], record: Mapping[str, object]) -> None:
    stream.write(json.dumps(record) + "\n")
    stream.flush()
