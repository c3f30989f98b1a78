from __future__ import annotations

from pathlib import Path

import pytest

from harness.agent.inspection import virtualization
from harness.agent.inspection.facts import Files
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree, values

RELEASE = "/proc/sys/kernel/osrelease"


@pytest.fixture(autouse=True)
def _no_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("container", raising=False)


def detector(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in for systemd-detect-virt on the PATH."""
    program = folder / "bin" / "systemd-detect-virt"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_a_virtual_machine_is_read(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "/proc/cpuinfo": "flags\t\t: fpu vme hypervisor lm\n",
            "/sys/hypervisor/type": "xen\n",
            "/sys/class/dmi/id/sys_vendor": "QEMU\n",
            "/sys/class/dmi/id/product_name": "Standard PC (Q35 + ICH9, 2009)\n",
            "/sys/class/dmi/id/product_serial": "SECRET\n",
            RELEASE: "6.1.0-28-cloud-amd64\n",
        },
    )
    facts = virtualization.inspect(files)
    found = values(facts)

    assert found["hypervisor_flag"] is True
    assert found["hypervisor"] == "xen"
    assert found["vendor"] == "QEMU"
    assert found["product"] == "Standard PC (Q35 + ICH9, 2009)"
    assert found["container_markers"] == []
    assert found["wsl"] == "no"
    assert "SECRET" not in str(facts)
    assert facts["machine"]["error"] == "LookupError: systemd-detect-virt is not installed"


@pytest.mark.parametrize(
    ("release", "wsl"),
    [
        ("5.15.167.4-microsoft-standard-WSL2", "WSL2"),
        ("6.6.87.2-microsoft-standard-WSL2+", "WSL2"),
        ("4.4.0-19041-Microsoft", "WSL1"),
        ("5.15.0-1089-azure", "no"),
        ("6.1.0-mshv", "no"),
    ],
)
def test_wsl_is_told_by_its_kernel(tmp_path: Path, release: str, wsl: str) -> None:
    assert virtualization.inspect(tree(tmp_path, {RELEASE: release}))["wsl"]["value"] == wsl


def test_what_wsl_leaves_behind_is_listed(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {"/proc/sys/fs/binfmt_misc/WSLInterop": "enabled", "/usr/lib/wsl/lib/libcuda.so.1": "", "/dev/dxg": ""},
    )
    found = values(virtualization.inspect(files))

    assert found["wsl_markers"] == ["/proc/sys/fs/binfmt_misc/WSLInterop"]
    assert found["wsl_cuda"] is True


@pytest.mark.parametrize(
    ("contents", "markers"),
    [
        ({"/.dockerenv": ""}, ["docker"]),
        ({"/run/.containerenv": "", "/run/systemd/container": "podman"}, ["podman", "systemd"]),
        ({"/proc/self/cgroup": "4:memory:/docker/0123456789\n0::/\n"}, ["docker"]),
        ({"/proc/self/cgroup": "0::/kubepods/burstable/pod1\n"}, ["kubepods"]),
        ({"/proc/self/cgroup": "0::/kubepods.slice/x.slice\n"}, ["kubepods"]),
        ({"/proc/self/cgroup": "0::/system.slice/docker-0123456789ab.scope\n"}, ["docker"]),
        ({"/proc/self/cgroup": "0::/system.slice/docker.service\n"}, []),
        ({}, []),
    ],
)
def test_containers_leave_marks(tmp_path: Path, contents: dict[str, str], markers: list[str]) -> None:
    assert virtualization.inspect(tree(tmp_path, contents))["container_markers"]["value"] == markers


@not_on_windows("the detector is a shell script")
def test_systemd_is_asked_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector(tmp_path, '[ "$1" = --vm ] && echo kvm && exit 0; echo none; exit 1', monkeypatch)
    found = values(virtualization.inspect(tree(tmp_path, {})))

    assert (found["machine"], found["container"]) == ("kvm", "none")


@not_on_windows("the detector is a shell script")
def test_a_detector_that_hangs_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector(tmp_path, "exec sleep 30", monkeypatch)
    monkeypatch.setattr(virtualization, "DETECTION_TIMEOUT", 0.2)
    facts = virtualization.inspect(tree(tmp_path, {}))

    assert facts["machine"]["error"] == "TimeoutError: no answer within 0.2 s"


@not_on_windows("the detector is a shell script")
def test_a_detector_that_says_nothing_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector(tmp_path, "exit 1", monkeypatch)

    assert virtualization.inspect(tree(tmp_path, {}))["machine"]["error"] == "ValueError: no answer, exit status 1"


def test_the_hypervisor_names_itself_where_the_processor_has_a_flag() -> None:
    """The instruction's answer and the kernel's word for it agree on this machine."""
    fact = virtualization.inspect(Files())["hypervisor_signature"]
    flag = virtualization.inspect(Files())["hypervisor_flag"]
    if "error" in fact or "error" in flag:
        pytest.skip("needs the native helper and Linux on x86-64")

    assert (fact["value"] != "none") == flag["value"]


@pytest.mark.parametrize(
    ("registers", "name"),
    [
        ([0x4B4D564B, 0x564B4D56, 0x0000004D], "KVMKVMKVM"),
        ([0x7263694D, 0x666F736F, 0x76482074], "Microsoft Hv"),
        ([0, 0, 0], "none"),
    ],
)
def test_signatures_are_twelve_characters(registers: list[float], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Helper:
        def call(self, *_arguments: object) -> list[float]:
            return registers

    monkeypatch.setattr(virtualization, "load", Helper)

    assert virtualization.inspect(Files())["hypervisor_signature"]["value"] == name


def test_without_the_helper_the_signature_is_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtualization, "load", lambda: None)

    assert "helper is not there" in virtualization.inspect(Files())["hypervisor_signature"]["error"]
