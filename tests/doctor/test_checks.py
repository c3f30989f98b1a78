"""What each check objects to, on a machine that differs from a quiet one in one thing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.agent.inspection import windows as inspection
from harness.agent.inspection.facts import Files
from harness.doctor import gpu
from harness.doctor.examine import EVERYWHERE, LINUX, WINDOWS, checks, examine
from harness.doctor.finding import Facts, Finding
from harness.doctor.fix import Fixer
from harness.doctor.processes import Process
from tests.doctor.facts import GIB, QUIET, quiet, source, unreadable, windows, with_gpu
from tests.doctor.facts import WINDOWS as WINDOWS_FACTS


def examined(facts: Facts) -> list[Finding]:
    return examine(facts, Fixer(Files(Path("/nonexistent")), facts))


def running(name: str, share: float = 0.0) -> Facts:
    return quiet(load__processes=[Process(pid=9, name=name, share=share)])


def supply(kind: str, status: str = "", online: str = "", scope: str = "") -> dict[str, str]:
    return {"type": kind, "scope": scope, "status": status, "online": online}


ON_BATTERY = supply("Battery", status="Discharging")
SPOILT = [
    ("cpu.governor", "decisive", "powersave", quiet(cpu__governor="performance, powersave")),
    ("cpu.battery", "decisive", "battery", quiet(power__supplies=[supply("Mains", online="0"), ON_BATTERY])),
    ("cpu.clock_source", "decisive", "hpet", quiet(system__clock_source="hpet")),
    ("cpu.clock_source", "decisive", "acpi_pm", quiet(system__clock_source="acpi_pm")),
    ("cpu.heat", "relevant", "95 °C", quiet(thermal__zones=[{"type": "cpu", "celsius": 95.0, "trip": 100.0}])),
    ("cpu.heat", "decisive", "101 °C", quiet(thermal__zones=[{"type": "cpu", "celsius": 101.0, "trip": 100.0}])),
    ("cpu.limits", "relevant", "2.00 GHz of 4.00 GHz", quiet(cpu__max_scaling_hz=2e9)),
    ("cpu.turbo", "noted", "turbo is on", quiet(cpu__boost=True)),
    ("cpu.smt", "noted", "SMT", quiet(cpu__smt=True)),
    ("cpu.mitigations", "noted", "on: a, b", quiet(system__mitigations={"b": "Mitigation: PTI", "a": "Mitigation: x"})),
    ("cgroup.cpus", "decisive", "0.5 of 8 processors", quiet(cgroup__cpus=0.5)),
    ("cgroup.memory", "relevant", "4.0 GiB of 64.0 GiB", quiet(cgroup__memory_bytes=4 * GIB)),
    ("cgroup.memory", "relevant", "2.0 GiB of 64.0 GiB", quiet(cgroup__memory_high_bytes=2 * GIB)),
    ("cgroup.affinity", "noted", "2 of 8 processors", quiet(cpu__affinity=2)),
    ("memory.swapped", "relevant", "2.0 GiB", quiet(memory__swapped_bytes=2 * GIB)),
    ("memory.swapped", "noted", "5 MiB", quiet(memory__swapped_bytes=5 * 2**20)),
    ("memory.swappiness", "noted", "60", quiet(memory__swap_bytes=GIB)),
    ("memory.transparent_huge_pages", "relevant", "always", quiet(system__transparent_huge_pages="always")),
    ("memory.transparent_huge_pages", "noted", "never", quiet(system__transparent_huge_pages="never")),
    ("memory.numa_balancing", "relevant", "on", quiet(cpu__numa_nodes=2)),
    ("memory.shared", "relevant", "64 MiB", quiet(container__shared_memory_bytes=64 * 2**20)),
    ("load.average", "relevant", "1.00 on 8", quiet(load__average=1.0)),
    ("load.average", "decisive", "4.00 on 8", quiet(load__average=4.0)),
    ("load.pressure", "relevant", "2% of the last 10 s tasks waited for memory", quiet(load__pressure__memory=0.02)),
    ("load.pressure", "decisive", "50% of the last 10 s tasks waited for io", quiet(load__pressure__io=0.5)),
    ("load.processes", "relevant", "make 20%", running("make", 0.2)),
    ("load.processes", "decisive", "make 90%", running("make", 0.9)),
    ("load.updates", "relevant", "unattended-upgr", running("unattended-upgr")),
    ("load.updates", "relevant", "apt-get", running("apt-get")),
    ("load.updates", "noted", "snapd", running("snapd")),
    ("load.indexing", "relevant", "tracker-miner-f", running("tracker-miner-f")),
    ("load.antivirus", "relevant", "clamd", running("clamd")),
    ("storage.location", "decisive", "nfs4", quiet(storage__cache__filesystem="nfs4")),
    ("storage.location", "decisive", "fuse.sshfs", quiet(storage__cache__filesystem="fuse.sshfs")),
    ("storage.location", "decisive", "9p", quiet(storage__cache__filesystem="9p")),
    ("storage.location", "relevant", "overlay", quiet(storage__cache__filesystem="overlay")),
    ("storage.location", "relevant", "tmpfs", quiet(storage__cache__filesystem="tmpfs")),
    ("storage.room", "relevant", "9.0 GiB left of 900.0 GiB", quiet(storage__cache__free_bytes=9 * GIB)),
    ("storage.disk", "noted", "spins", quiet(storage__cache__rotational=True)),
    ("engine.containers", "relevant", "2 container(s) run: db, web", quiet(engine__containers=["db", "web"])),
    (
        "engine.desktop",
        "decisive",
        "7.6 GiB and 4 processors",
        quiet(engine__info={"OperatingSystem": "Docker Desktop", "MemTotal": 7.6 * GIB, "NCPU": 4}),
    ),
    ("guest.machine", "decisive", "kvm", quiet(virtualization__machine="kvm")),
    ("guest.machine", "decisive", "flag", quiet(virtualization__machine=None, virtualization__hypervisor_flag=True)),
    ("guest.container", "decisive", "docker", quiet(virtualization__container_markers=["docker"])),
    ("guest.container", "decisive", "lxc", quiet(virtualization__container="lxc")),
    ("wsl.system", "decisive", "WSL2", quiet(virtualization__wsl="WSL2", virtualization__machine="wsl")),
    ("wsl.memory", "noted", "64.0 GiB", quiet(wsl__kernel="6.6-microsoft-standard-WSL2")),
    ("gpu.taken", "relevant", "vfio-pci", quiet(pci__gpus=[{"vendor": "NVIDIA", "driver": "vfio-pci"}])),
    ("gpu.display", "relevant", "GPU 0 (H200) drives a display", with_gpu(display_active=True)),
    ("gpu.persistence", "relevant", "GPU 0 (H200) is not", with_gpu(persistence=False)),
    (
        "gpu.processes",
        "decisive",
        "2 process(es) compute on GPU 0 (H200): sshd (pid 77), pid 5",
        with_gpu(computing=[77, 5]),
    ),
    ("gpu.processes", "relevant", "1 process(es) draw", with_gpu(drawing=[77])),
    ("gpu.heat", "relevant", "85 °C, it is slowed at 90 °C", with_gpu(celsius=85)),
    ("gpu.heat", "decisive", "90 °C, it", with_gpu(celsius=90)),
    ("gpu.ecc", "relevant", "ECC on, and off from the next", with_gpu(ecc=[1, 0])),
    ("gpu.clocks", "noted", "locked", with_gpu(clock_reasons=0x1)),
    ("doctor.changes", "noted", "3 setting(s)", quiet(doctor__changes=3)),
    ("windows.power_plan", "decisive", "balanced", windows(windows__power_scheme="balanced")),
    ("windows.defender", "relevant", "Defender", windows(windows__defender_realtime=True)),
    (
        "windows.defender",
        "noted",
        "2 paths are excluded",
        windows(windows__defender_realtime=True, windows__defender_excluded_paths=2),
    ),
    (
        "windows.security",
        "noted",
        "with memory integrity",
        windows(windows__virtualization_based_security="running", windows__memory_integrity=True),
    ),
    ("load.busy", "relevant", "worked for 20% of the time", windows(load__busy=0.2)),
    ("load.busy", "decisive", "worked for 75% of the time", windows(load__busy=0.75)),
    ("storage.location", "decisive", "a network drive (NTFS)", windows(storage__cache__drive="network")),
    ("wsl.memory", "noted", "half (the default) of Windows' 64.0 GiB", windows(wsl__settings={})),
    (
        "wsl.memory",
        "noted",
        "16GB of Windows' 64.0 GiB; processors: 4",
        windows(wsl__settings={"wsl2.memory": "16GB", "wsl2.processors": "4"}),
    ),
    ("windows.long_paths", "noted", "260 characters", windows(windows__long_paths="default")),
    ("windows.long_paths", "noted", "260 characters", windows(windows__long_paths=0)),
    ("windows.wine", "decisive", "Wine 8.0", windows(windows__stand_in="Wine 8.0")),
    (
        "load.antivirus",
        "relevant",
        "MsMpEng.exe",
        windows(load__processes=[Process(pid=4, name="MsMpEng.exe", share=None)]),
    ),
]


@pytest.mark.parametrize("facts", [quiet(), windows()], ids=["Linux", "Windows"])
def test_a_quiet_machine_has_no_findings(facts: Facts) -> None:
    assert examined(facts) == []


@pytest.mark.parametrize(("id", "matter", "says", "facts"), SPOILT, ids=[f"{row[0]} {row[2]}" for row in SPOILT])
def test_one_difference_is_one_finding(id: str, matter: str, says: str, facts: Facts) -> None:  # noqa: A002 - the field's name
    (found,) = examined(facts)
    assert (found.id, found.matter) == (id, matter)
    assert says in found.what
    assert found.source
    assert found.why


def test_every_check_is_tried() -> None:
    every = {check.id for check in (*LINUX, *WINDOWS, *EVERYWHERE, *gpu.CHECKS)}
    assert every - {"gpu.driver"} == {row[0] for row in SPOILT}


def test_a_remedy_is_told_wherever_there_is_one() -> None:
    without = {row[0] for row in SPOILT if not examined(row[3])[0].remedy}
    assert without == {"cpu.mitigations"}


# What nothing depends on alone: other facts tell, or what is not there is no loss.
OPTIONAL = {
    "system.platform", "virtualization.hypervisor_flag", "virtualization.container", "engine.info", "pci.gpus",
    "storage.cache.rotational", "gpu.devices", "windows.memory_integrity", "engine.containers",
}  # fmt: skip


@pytest.mark.parametrize("name", [*sorted(QUIET.keys() - OPTIONAL), "gpu.state"])
def test_what_cannot_be_read_is_unknown_and_not_fine(name: str) -> None:
    found = examined({**quiet(virtualization__hypervisor_flag=None), **unreadable(name)})
    assert found
    assert {each.matter for each in found} == {"unknown"}
    assert all("PermissionError: Permission denied" in each.what or each.id == "guest.machine" for each in found)
    assert all(not each.fixable for each in found)


@pytest.mark.parametrize("name", sorted(WINDOWS_FACTS.keys() - OPTIONAL - {"system.memory_bytes"}))
def test_the_same_on_windows(name: str) -> None:
    found = examined({**windows(), **unreadable(name)})
    assert {each.matter for each in found} == {"unknown"}
    assert all(each.source == source(name) for each in found)


@pytest.mark.parametrize(
    ("program", "seconds", "remedy"),
    [
        (["no-such-powershell.exe"], 30.0, "on PATH"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], 0.5, "run `doctor` again"),
        ([sys.executable, "-c", "pass"], 30.0, "a policy of this machine may forbid scripts"),
    ],
)
def test_windows_without_a_powershell_that_answers_is_unknown_with_the_remedy(
    program: list[str], seconds: float, remedy: str
) -> None:
    told = inspection.from_powershell(lambda: inspection._powershell(program, seconds))
    found = examined({**windows(), **{f"windows.{name}": each for name, each in told.items()}})
    assert {each.id for each in found} == {"windows.defender", "windows.security"}
    assert {each.matter for each in found} == {"unknown"}
    assert all("PowerShell" in each.what and remedy in each.remedy for each in found)


def test_what_only_administrators_are_told_has_another_remedy() -> None:
    told = inspection.from_powershell(lambda: "{}")
    found = examined({**windows(), **{f"windows.{name}": each for name, each in told.items()}})
    assert {each.remedy for each in found} == {"run `doctor` as an administrator"}


def test_what_was_never_read_is_unknown_too() -> None:
    facts = {name: each for name, each in quiet().items() if name != "cpu.governor"}
    (found,) = examined(facts)
    assert (found.id, found.matter) == ("cpu.governor", "unknown")


def test_what_matters_most_comes_first() -> None:
    facts = {
        **quiet(cpu__boost=True, load__average=1.0, system__clock_source="hpet"),
        **unreadable("cpu.governor"),
    }
    assert [each.matter for each in examined(facts)] == ["decisive", "relevant", "unknown", "noted"]


def test_an_engine_that_refuses_is_unknown_one_that_is_not_there_is_nothing() -> None:
    refused = unreadable("engine.containers") | unreadable("engine.info")
    assert examined({**quiet(), **refused}) == []
    there = quiet(load__processes=[Process(pid=3, name="dockerd", share=0.0)])
    (found,) = examined({**there, **refused})
    assert (found.id, found.matter) == ("engine.containers", "unknown")


def test_a_battery_is_no_finding_on_mains_nor_in_a_mouse() -> None:
    for supplies in (
        [supply("Mains", online="1"), ON_BATTERY],  # a weak charger
        [supply("Battery", status="Full")],
        [{**ON_BATTERY, "scope": "Device"}],
    ):
        assert examined(quiet(power__supplies=supplies)) == []


def test_without_a_gpu_there_is_one_line_and_no_unknowns() -> None:
    facts = quiet(pci__gpus=[]) | unreadable("gpu.devices", "Library Not Found")
    facts["gpu.devices"]["value"] = []
    (found,) = examined(facts)
    assert (found.id, found.matter) == ("gpu.driver", "noted")


def test_a_gpu_without_a_driver_is_more_than_noted() -> None:
    facts = quiet() | unreadable("gpu.devices", "Driver Not Loaded")
    facts["gpu.devices"]["value"] = []
    (found,) = examined(facts)
    assert (found.matter, found.what) == (
        "relevant",
        "the driver does not answer for 1 NVIDIA GPU(s): Driver Not Loaded",
    )


def test_what_a_gpu_does_not_have_is_no_unknown_what_it_does_not_tell_is() -> None:
    lacks = with_gpu(ecc=None, errors={"ecc": "Not Supported"})
    assert examined(lacks) == []
    silent = with_gpu(ecc=None, errors={"ecc": "Unknown Error"})
    (found,) = examined(silent)
    assert (found.id, found.matter) == ("gpu.ecc", "unknown")
    assert "Unknown Error" in found.what


def test_windows_is_not_asked_for_what_only_linux_has() -> None:
    ids = {check.id for check in checks(windows())}
    assert "cpu.governor" not in ids
    assert "windows.power_plan" in ids
    assert not any(check.id.startswith("windows.") for check in checks(quiet()))
