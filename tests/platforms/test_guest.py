"""When a guest boots, under what, and with whose GPU. QEMU is a fake here, and the machine a made-up one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.matrix.model import Vm
from harness.platforms import guest as guests
from harness.platforms import qemu, vm_machine
from harness.platforms.guest import Guest, recover
from harness.platforms.guest_image import GuestImage
from harness.platforms.owner import Owner
from harness.platforms.qemu import PortTakenError, Running
from harness.platforms.qemu_command import Accelerator, Machine
from harness.platforms.vfio import driver
from tests.agent.trees import tree, values
from tests.platforms.jobs import quiet
from tests.platforms.planted_gpu import AUDIO, GPU, HOME, PlantedKernel, planted


@dataclass(kw_only=True)
class FakeQemu:
    """A fake in QEMU's place: a process that sleeps. `fails` are the accelerators under which nothing boots."""

    booted: list[Accelerator] = field(default_factory=list)
    fails: dict[str, PlatformError] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    paused: bool = False

    def boot(self, name: str, machine: Machine, accelerator: Accelerator, folder: Path) -> Running:
        self.booted.append(accelerator)
        if accelerator in self.fails:
            raise self.fails[accelerator]
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        self.processes.append(process)
        return Running(folder=folder, owner=Owner.of(process.pid), port=1, accelerator=accelerator, seconds=1.25)

    def shut_down(self, running: Running) -> None:
        for process in self.processes:
            if str(process.pid) == running.owner.pid:
                process.kill()
                process.wait()

    def pause(self, running: Running) -> None:
        self.paused = True

    def resume(self, running: Running) -> None:
        self.paused = False

    def running(self) -> int:
        return sum(process.poll() is None for process in self.processes)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeQemu]:
    made = FakeQemu()
    monkeypatch.setattr(qemu, "boot", made.boot)
    for name in ("shut_down", "pause", "resume"):
        monkeypatch.setattr(qemu, name, getattr(made, name))
    monkeypatch.setattr(qemu, "version", lambda: "7.2.0")
    monkeypatch.setattr(vm_machine, "_make_overlay", lambda _name, _image, disk: disk.touch())
    monkeypatch.setattr(vm_machine, "FIRMWARE_VARIABLES", Path(__file__))
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlantedKernel:
    monkeypatch.setenv("OVERHEAD_MATRIX_CACHE", str(tmp_path / "cache"))
    made = planted(tmp_path / "machine")
    tree(made.root, {"/dev/kvm": ""})
    return made


def guest(tmp_path: Path, system: PlantedKernel, name: str = "guest", **options: object) -> Guest:
    image = GuestImage(disk=tmp_path / "guest.qcow2")
    image.disk.touch()
    config = Vm.model_validate({"kind": "vm", "image": "guest.qcow2", "cpus": 2, "memory": "1g", **options})
    return Guest(name, config, image, folder=tmp_path / "cache" / "scratch" / "run" / name, system=system)


def drivers(system: PlantedKernel) -> dict[str, str]:
    return {each: driver(system, each) for each in HOME}


LENT = {**HOME, GPU: "vfio-pci", AUDIO: "vfio-pci"}


def test_a_guest_boots_once_and_ends_with_its_folder(tmp_path: Path, system: PlantedKernel, fake: FakeQemu) -> None:
    made = guest(tmp_path, system)
    for _ in range(2):
        with made.up(quiet) as running:
            assert running.is_alive()
            assert not fake.paused
        assert fake.paused, "an idle guest takes CPU time"
    assert fake.booted == ["kvm"]
    assert fake.running() == 1
    made.discard()
    assert fake.running() == 0
    assert list((tmp_path / "cache" / "scratch" / "run").glob("guest")) == []


def test_a_guest_that_ended_boots_anew(tmp_path: Path, system: PlantedKernel, fake: FakeQemu) -> None:
    made = guest(tmp_path, system)
    with made.up(quiet) as first:
        fake.shut_down(first)
    with made.up(quiet) as second:
        assert second.is_alive()
    assert fake.booted == ["kvm", "kvm"]


def test_the_hosts_gpu_is_lent_for_one_use_at_a_time(tmp_path: Path, system: PlantedKernel, fake: FakeQemu) -> None:
    made = guest(tmp_path, system, gpu=GPU)
    for count in (1, 2):
        with made.up(quiet):
            assert drivers(system) == LENT
        assert drivers(system) == HOME
        assert (len(fake.booted), fake.running()) == (count, 0)
    assert made.facts()["vm.gpu_bar1_bytes"]["value"] == 256 << 20


def test_a_gpu_that_the_host_does_not_use_stays_in_the_guest(
    tmp_path: Path, system: PlantedKernel, fake: FakeQemu
) -> None:
    for each in (GPU, AUDIO):
        system.bind(each, "vfio-pci")
    made = guest(tmp_path, system, gpu=GPU)
    for _ in range(2):
        with made.up(quiet):
            assert drivers(system) == LENT
    assert (fake.booted, fake.running()) == (["kvm"], 1)
    made.discard()
    assert drivers(system) == LENT


@pytest.mark.parametrize("held", ["nvidia", "vfio-pci"])
def test_the_gpu_comes_back_from_a_guest_that_does_not_boot(
    tmp_path: Path, system: PlantedKernel, fake: FakeQemu, held: str
) -> None:
    system.bind(GPU, held)
    before = drivers(system)
    fake.fails["kvm"] = PlatformError("it hung")
    made = guest(tmp_path, system, gpu=GPU, accelerator="kvm")
    for _ in range(2):
        with pytest.raises(PlatformError, match="it hung"), made.up(quiet):
            pass
        assert drivers(system) == before


def test_a_gpu_that_did_not_come_back_is_told_before_the_next_use(
    tmp_path: Path, system: PlantedKernel, fake: FakeQemu
) -> None:
    made = guest(tmp_path, system, gpu=GPU)
    with made.up(quiet):
        system.refuses.add("nvidia")
    with pytest.raises(PlatformError, match=r"guest: 0000:01:00\.0 could not be given back to nvidia"), made.up(quiet):
        pass
    made.discard()


def test_where_kvm_fails_the_guest_is_emulated_and_says_so(
    tmp_path: Path, system: PlantedKernel, fake: FakeQemu
) -> None:
    fake.fails["kvm"] = PlatformError("guest: under KVM the guest stopped in state internal-error", "Whatever.")
    said: list[str] = []
    made = guest(tmp_path, system)
    with made.up(said.append) as running:
        assert running.accelerator == "tcg"
    assert "internal-error; so the guest is emulated" in said[-1]
    found = values(made.facts())
    assert found["vm.accelerator"] == "tcg"
    assert found["vm.stand_in"] == "emulated by TCG: no figure of a virtual machine"
    assert "internal-error" in str(found["vm.kvm_problem"])
    with guest(tmp_path, system, "second").up(quiet) as other:
        assert other.accelerator == "tcg"
    assert fake.booted == ["kvm", "tcg", "tcg"], "KVM was tried again in the same run"


def test_under_kvm_nothing_is_marked(tmp_path: Path, system: PlantedKernel, fake: FakeQemu) -> None:
    made = guest(tmp_path, system, pin="0-1", numa=[0, 0])
    assert made.facts() == {}
    with made.up(quiet):
        found = values(made.facts())
    assert (found["vm.accelerator"], found["vm.stand_in"], found["vm.kvm_problem"]) == ("kvm", "", "")
    assert (found["vm.vcpus"], found["vm.memory_bytes"], found["vm.start_seconds"]) == (2, 1 << 30, 1.2)
    assert (found["vm.pinning"], found["vm.numa"], found["vm.hugepage_bytes"]) == ("0,1", "0,0", 0)
    assert found["vm.qemu_version"] == "7.2.0"


def test_who_asks_for_kvm_gets_nothing_else(tmp_path: Path, system: PlantedKernel, fake: FakeQemu) -> None:
    fake.fails["kvm"] = PlatformError("it hung")
    with pytest.raises(PlatformError, match="it hung"), guest(tmp_path, system, accelerator="kvm").up(quiet):
        pass
    assert fake.booted == ["kvm"]


def test_a_port_that_is_taken_says_nothing_about_kvm(tmp_path: Path, system: PlantedKernel, fake: FakeQemu) -> None:
    fake.fails["kvm"] = PortTakenError("the port is taken")
    with pytest.raises(PortTakenError), guest(tmp_path, system).up(quiet):
        pass
    assert fake.booted == ["kvm"]


def test_a_run_begins_with_what_killed_ones_left(tmp_path: Path, system: PlantedKernel, fake: FakeQemu) -> None:
    made = guest(tmp_path, system, gpu=GPU)
    with made.up(quiet) as running:
        scratch = running.folder.parent
        gone = replace(Owner.of(os.getpid()), start="1").record()
        (running.folder / "process.json").write_text(json.dumps(running.owner.record()), encoding="utf-8")
        assert recover(system, scratch.parent) == []
        assert (drivers(system), running.is_alive()) == (LENT, True), "a living run's guest was ended"
        for note in (scratch / "owner.json", *(tmp_path / "cache" / "vfio").glob("*.json")):
            record = json.loads(note.read_text(encoding="utf-8"))
            note.write_text(json.dumps({**record, "owner": gone} if "owner" in record else gone), encoding="utf-8")
        assert recover(system, scratch.parent) == []
        fake.processes[0].wait(timeout=10)
        assert drivers(system) == HOME
        assert not scratch.exists()


def test_the_memo_lies_in_the_runs_folder(tmp_path: Path, system: PlantedKernel, fake: FakeQemu) -> None:
    fake.fails["kvm"] = PlatformError("it hung")
    made = guest(tmp_path, system)
    with made.up(quiet) as running:
        assert (running.folder.parent / guests.KVM_FAILED).read_text(encoding="utf-8") == "it hung"
