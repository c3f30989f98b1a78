"""libvirt's domains, asked and driven through its own client, virsh."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from harness.errors import PlatformError
from harness.runner import process

VIRSH = "virsh"
ANSWER_SECONDS = 30.0
START_SECONDS = 600.0  # it may have to zero, or pin for a GPU, hundreds of gigabytes
SHUTDOWN_SECONDS = 60.0
AGAIN_SECONDS = 5.0
POLL_SECONDS = 0.5
RUNNING, PAUSED, OFF = "running", "paused", "shut off"

_FAILURES = (
    (
        r"failed to get domain|domain not found",
        "there is no such domain at {connection}",
        "`virsh -c {connection} list --all` names them",
    ),
    (
        r"authentication|permission denied|access denied|polkit",
        "libvirt at {connection} does not let this user in",
        "Let this user into the group libvirt, and log in anew",
    ),
    (
        r"failed to connect|cannot connect|failed to initialize",
        "libvirt does not answer at {connection}",
        "Start it (`systemctl start libvirtd`, or virtqemud), or correct `connection` in matrix.yaml",
    ),
    (
        r"vfio|iommu",
        "its GPU can't be passed through",
        "Turn the IOMMU on in firmware and kernel, see docs/platforms/vm.md",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Domain:
    """One domain. Every method raises PlatformError, in one line that begins with `who`."""

    who: str  # the platform's name
    name: str
    connection: str  # libvirt's URI

    def state(self) -> str:
        """Return `running`, `paused`, `shut off`, `crashed`, `in shutdown`, `pmsuspended`."""
        return self._ask("domstate").strip()

    def state_and_reason(self) -> str:
        """Return the state with why it is so, `shut off (destroyed)`."""
        return self._ask("domstate", "--reason").strip()

    def definition(self) -> ET.Element:
        """Return the domain's XML: as it runs, else as it would start."""
        return parsed(self._ask("dumpxml"))

    def start(self) -> None:
        """Start a domain that is shut off."""
        self._ask("start", timeout=START_SECONDS)

    def suspend(self) -> None:
        """Let a running domain stand still."""
        self._ask("suspend")

    def resume(self) -> None:
        """Let a suspended domain go on."""
        self._ask("resume")

    def end(self) -> None:
        """Let the domain shut down by itself, so that its disk is whole; one that does not is switched off."""
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        while (state := self.state()) != OFF and time.monotonic() < deadline:
            if state == PAUSED:
                self.resume()
            with suppress(PlatformError):  # it may just have ended
                self._ask("shutdown")  # again and again: a guest that boots takes no notice
            self._await_off(min(deadline, time.monotonic() + AGAIN_SECONDS))
        if state != OFF:
            self._ask("destroy")

    def _await_off(self, deadline: float) -> None:
        while self.state() != OFF and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)

    def _ask(self, command: str, *options: str, timeout: float = ANSWER_SECONDS) -> str:
        argv = [VIRSH, "--quiet", "--connect", self.connection, command, "--domain", self.name, *options]
        try:
            done = process.capture(argv, timeout=timeout, env={**os.environ, "LC_ALL": "C"})
        except PlatformError as error:
            raise PlatformError(f"{self.who}: {error.problem}", error.remedy) from error
        if done.code != 0:
            raise self._explained(command, done.stderr)
        return done.stdout

    def _explained(self, command: str, said: str) -> PlatformError:
        lines = [line.removeprefix("error: ") for line in said.splitlines() if line.strip()]
        for pattern, problem, remedy in _FAILURES:
            if re.search(pattern, said, re.IGNORECASE):
                meant = problem.format(connection=self.connection)
                text = f"{self.who}: domain {self.name}: {meant} ({lines[-1]})"
                return PlatformError(text, remedy.format(connection=self.connection))
        last = lines[-1] if lines else "it gave no reason"
        return PlatformError(f"{self.who}: domain {self.name}: virsh {command} failed: {last}")


def missing() -> str:
    """Say that there is no virsh, with the remedy; empty if there is one."""
    return "" if shutil.which(VIRSH) else f"{VIRSH} is not there; `apt install libvirt-clients`"


def parsed(text: str) -> ET.Element:
    """Return a definition as libvirt writes it."""
    return ET.fromstring(text)  # noqa: S314 - libvirt's own output, which has no entities


def described(definition: ET.Element) -> Mapping[str, object]:
    """Return what decides a domain's speed: CPUs, memory (bytes), pinning, huge pages, NUMA, passed-through devices."""
    pins = [f"{each.get('vcpu')}:{each.get('cpuset')}" for each in definition.findall("cputune/vcpupin")]
    pages = [
        f"{each.get('size')}{each.get('unit', 'KiB')}" for each in definition.findall("memoryBacking/hugepages/page")
    ]
    return {
        "accelerator": "tcg" if definition.get("type") == "qemu" else str(definition.get("type")),
        "vcpus": int(definition.findtext("vcpu", "0")),
        "memory_bytes": int(definition.findtext("memory", "0")) << 10,
        "cpu_mode": _attribute(definition, "cpu", "mode"),
        "pinning": ",".join(pins) or "none",
        "hugepages": ",".join(pages)
        or ("default" if definition.find("memoryBacking/hugepages") is not None else "none"),
        "numa": _attribute(definition, "numatune/memory", "nodeset"),
        "disks": ",".join(_disk(each) for each in definition.findall("devices/disk")),
        "gpu": ",".join(passed_through(definition)),
    }


def passed_through(definition: ET.Element) -> list[str]:
    """Return the host's PCI addresses of the devices that the domain is given, `0000:01:00.0`."""
    found = definition.findall("devices/hostdev[@type='pci']/source/address")
    parts = [[int(each.get(name, "0"), 16) for name in ("domain", "bus", "slot", "function")] for each in found]
    return [f"{domain:04x}:{bus:02x}:{slot:02x}.{function:x}" for domain, bus, slot, function in parts]


def _attribute(definition: ET.Element, path: str, name: str) -> str:
    element = definition.find(path)
    return "none" if element is None else element.get(name, "none")


def _disk(disk: ET.Element) -> str:
    driver, target = disk.find("driver"), disk.find("target")
    kind, cache = ("?", "default") if driver is None else (driver.get("type", "?"), driver.get("cache", "default"))
    return f"{kind} on {'?' if target is None else target.get('bus', '?')}, cache={cache}"
