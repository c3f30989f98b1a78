"""A libvirt domain for real: started, used and shut down through a daemon of the tests' own, under emulation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.matrix.model import Libvirt
from harness.platforms import domain, libvirt
from harness.platforms.domain import FOLDER, DomainPlatform, recover
from harness.platforms.guest_image import GuestImage
from tests.platforms.jobs import FakeAgent, Launching, driver_stack, quiet, result
from tests.platforms.libvirtd import DOMAIN, LIBVIRTD, LibvirtDaemon

pytestmark = pytest.mark.slow

OWNER = "import json, os; from harness.platforms.owner import Owner; print(json.dumps(Owner.of(os.getpid()).record()))"
AGENT = "answer(verb=verb, cpus=os.cpu_count(), uid=os.getuid())\n"


@pytest.fixture(scope="module")
def daemon(guest_image: GuestImage) -> Iterator[LibvirtDaemon]:
    if LIBVIRTD is None or shutil.which("virsh") is None:
        pytest.skip("no libvirt: install libvirt-daemon, libvirt-daemon-driver-qemu and libvirt-clients")
    parent = Path(tempfile.mkdtemp(prefix="libvirt-", dir="/tmp"))  # its sockets' paths are short, others may enter
    parent.chmod(0o755)
    (parent / "d").mkdir(mode=0o755)
    made = LibvirtDaemon(parent / "d", guest_image)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(parent, ignore_errors=True)


@pytest.fixture(autouse=True)
def off(daemon: LibvirtDaemon) -> Iterator[None]:
    """Each test finds the domain shut off, whatever became of the one before."""
    yield
    if daemon.state() != "shut off":
        daemon.virsh("destroy", DOMAIN)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("OVERHEAD_MATRIX_CACHE", str(folder))
    return folder


def platform_of(daemon: LibvirtDaemon, folder: Path, run_id: str = "test", **changes: str) -> DomainPlatform:
    named = {"name": DOMAIN, "host": "guest", "connection": daemon.connection, "config": str(daemon.config)}
    agent = FakeAgent(path=folder / "fake_agent.py").does(AGENT)
    return DomainPlatform("guest", Libvirt.model_validate({**named, **changes}), run_id=run_id, agent=agent.path)


def test_a_domain_is_started_used_suspended_and_shut_down(
    daemon: LibvirtDaemon, launching: Launching, cache: Path, tmp_path: Path
) -> None:
    platform = platform_of(daemon, tmp_path)
    assert platform.availability().runnable
    assert daemon.state() == "shut off"
    said: list[str] = []
    prepared = platform.prepare(driver_stack(tmp_path), said.append)
    assert said[0] == f"guest: starting domain {DOMAIN}"
    assert (prepared.provenance["domain"], prepared.provenance["accelerator"]) == (DOMAIN, "tcg")
    assert daemon.state() == "paused"
    assert len(list((cache / FOLDER).iterdir())) == 1

    job = launching.job(timeout=120)
    assert platform.launch(job).exit_code == 0
    assert (result(job)["uid"], result(job)["cpus"]) == (0, 1)
    assert daemon.state() == "paused"
    facts = {name: fact["value"] for name, fact in platform.facts().items()}
    assert (facts["vm.vcpus"], facts["vm.memory_bytes"], facts["vm.started_by_run"]) == (1, 512 << 20, True)
    assert facts["vm.stand_in"].startswith("emulated by TCG")
    assert facts["vm.disks"] == "qcow2 on virtio, cache=unsafe"
    assert not platform.offers(driver_stack(tmp_path), "cuda:0").runnable

    another_run_leaves_it_running(daemon, launching, tmp_path)
    daemon.virsh("destroy", DOMAIN)  # somebody switches it off in the middle
    job = launching.job(timeout=120)
    assert platform.launch(job).exit_code == 0, "it is started anew"
    platform.close()
    assert daemon.state() == "shut off"
    assert list((cache / FOLDER).iterdir()) == []


def another_run_leaves_it_running(daemon: LibvirtDaemon, launching: Launching, folder: Path) -> None:
    """It finds the domain running, so it is not the one to suspend it or to shut it down."""
    daemon.virsh("resume", DOMAIN)
    other = platform_of(daemon, folder, run_id="other")
    other.prepare(driver_stack(folder), quiet)
    assert other.launch(launching.job(timeout=120)).exit_code == 0
    assert other.facts()["vm.started_by_run"]["value"] is False
    other.close()
    assert daemon.state() == "running"


def test_one_that_does_not_come_up_is_told_and_shut_off(
    daemon: LibvirtDaemon, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "UP_SECONDS", 2.0)
    monkeypatch.setattr(libvirt, "SHUTDOWN_SECONDS", 1.0)
    with pytest.raises(PlatformError, match=f"domain {DOMAIN} is running.*See its console: `virsh console"):
        platform_of(daemon, tmp_path).prepare(driver_stack(tmp_path), quiet)
    assert daemon.state() == "shut off"
    assert list((cache / FOLDER).iterdir()) == []


def test_what_a_killed_run_has_started_is_shut_down(
    daemon: LibvirtDaemon, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirt, "SHUTDOWN_SECONDS", 1.0)
    (cache / FOLDER).mkdir(parents=True)
    gone = subprocess.run([sys.executable, "-c", OWNER], capture_output=True, text=True, check=True)
    record = {"owner": json.loads(gone.stdout), "name": DOMAIN, "connection": daemon.connection}
    (cache / FOLDER / "left.json").write_text(json.dumps(record), encoding="utf-8")
    daemon.virsh("start", "--paused", DOMAIN)
    assert recover(cache) == []
    assert daemon.state() == "shut off"
    assert list((cache / FOLDER).iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "problem", "remedy"),
    [
        ({"name": "gone"}, "there is no such domain", "list --all` names them"),
        ({"connection": "qemu+unix:///session?socket=/nowhere"}, "libvirt does not answer", "systemctl start libvirtd"),
    ],
)
def test_what_is_not_there_is_unavailable_and_says_what_to_do(
    daemon: LibvirtDaemon, cache: Path, tmp_path: Path, changes: dict[str, str], problem: str, remedy: str
) -> None:
    found = platform_of(daemon, tmp_path, **changes).availability()
    assert not found.runnable
    assert problem in found.reason
    assert remedy in found.reason


def test_a_domain_that_stands_still_is_not_touched(daemon: LibvirtDaemon, cache: Path, tmp_path: Path) -> None:
    """Suspended by somebody else: whatever for, it is not ours to wake."""
    daemon.virsh("start", "--paused", DOMAIN)
    with pytest.raises(PlatformError, match="is paused"):
        platform_of(daemon, tmp_path).prepare(driver_stack(tmp_path), quiet)
    assert daemon.state() == "paused"


def test_without_virsh_it_says_what_to_install(
    tmp_path: Path, daemon: LibvirtDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.devnull)
    assert "apt install libvirt-clients" in platform_of(daemon, tmp_path).availability().reason
