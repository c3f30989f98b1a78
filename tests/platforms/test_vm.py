"""The vm platform for real: a guest booted by QEMU under emulation, which proves the code and measures no overhead."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness import pack
from harness.agent.messages import CellResult, read_json
from harness.agent.task import find
from harness.errors import PlatformError
from harness.matrix.load import load
from harness.matrix.model import Vm
from harness.platforms import qmp
from harness.platforms.base import Job
from harness.platforms.guest_image import GuestImage
from harness.platforms.vm import VmPlatform
from tests.platforms.jobs import FakeAgent, Launching, driver_stack, quiet, result
from tests.platforms.test_everywhere import TASKS as ELSEWHERE  # run in a guest beside all other platforms

NODES = "sorted(name for name in os.listdir('/sys/devices/system/node') if name.startswith('node'))"


PINNED = sorted(os.sched_getaffinity(0))[:2]


SMALL: dict[str, dict[str, int | float]] = {
    "driver.syscall": {"samples": 5, "calls": 100, "warmup": 1},
    "driver.spawn": {"samples": 5, "warmup": 1},
    "driver.switch": {"samples": 5, "calls": 10, "warmup": 1},
    "driver.jitter": {"samples": 50, "warmup": 5},
    "memory.bandwidth": {"array_bytes": 1 << 20, "samples": 2, "warmup": 1},
}


def smoke_probes() -> set[str]:
    """The tasks of the profile `smoke` that need neither a GPU nor a framework."""
    matrix = load(Path(__file__).parents[2] / "matrix.yaml")
    chosen = {name for glob in matrix.profiles["smoke"].tasks for name in fnmatch.filter(matrix.tasks, glob)}
    declared = {name: find(name) for name in chosen}
    return {name for name, task in declared.items() if task and "cpu" in task.devices and "none" in task.frameworks}


def vm_config(image: GuestImage, **options: object) -> Vm:
    small = {"kind": "vm", "image": str(image.disk), "accelerator": "tcg", "memory": "1g"}
    return Vm.model_validate({**small, **options})


def platform_of(image: GuestImage, folder: Path, agent: Path | None = None, **options: object) -> VmPlatform:
    config = vm_config(image, **options)
    return VmPlatform("guest", config, root=folder, scratch=folder / "scratch" / "run", run_id="test", agent=agent)


def digest(image: GuestImage) -> str:
    with image.disk.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the module's guest and its agent lie, and the cache."""
    made = tmp_path_factory.mktemp("vm")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OVERHEAD_MATRIX_CACHE", str(made / "cache"))
        yield made


@pytest.fixture(scope="module")
def booted(guest_image: GuestImage, folder: Path) -> Iterator[VmPlatform]:
    """One guest for the module: two virtual CPUs on two nodes, pinned."""
    agent = FakeAgent(path=folder / "fake_agent.py").does(
        f"answer(verb=verb, pid=os.getpid(), cpus=os.cpu_count(), nodes={NODES}, uid=os.getuid(),"
        " places={each['name']: os.path.isdir(each['path']) for each in spec['locations']},"
        " resources={name: open(path).read() for name, path in spec['resources'].items()})\n"
        "print(spec['seed'], flush=True)\n"
        "if spec['seed'] == 5: sys.exit(5)\n"
        "if spec['seed'] == 11: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "if spec['seed'] == 60: time.sleep(600)\n"
    )
    pin = ",".join(map(str, PINNED)) if len(PINNED) == 2 else None
    platform = platform_of(guest_image, folder, agent.path, cpus=2, numa=[0, 0], pin=pin)
    before = digest(guest_image)
    said: list[str] = []
    platform.prepare(driver_stack(folder), said.append)
    assert "guest: booting the guest" in said
    yield platform
    platform.close()
    assert digest(guest_image) == before, "the image was written to"
    assert not (folder / "scratch" / "run" / "guest").exists()


def seeded(job: Job, seed: int) -> Job:
    """The fake agent does what the seed tells."""
    return replace(job, spec=replace(job.spec, seed=seed))


@pytest.mark.slow
def test_each_launch_is_a_fresh_process_in_the_guest(booted: VmPlatform, launching: Launching) -> None:
    seen = []
    for _ in range(2):
        job = launching.job(timeout=120, locations=booted.locations())
        end = booted.launch(job)
        assert (end.exit_code, end.timed_out, end.oom) == (0, False, False)
        seen.append(result(job))
    assert launching.lines == ["1", "1"]
    assert seen[0]["pid"] != seen[1]["pid"]
    assert (seen[0]["verb"], seen[0]["uid"], seen[0]["cpus"]) == ("run", 0, 2)
    assert seen[0]["nodes"] == ["node0", "node1"]
    assert seen[0]["places"] == {"host": True, "tmpfs": True}


@pytest.mark.slow
def test_a_guest_that_is_not_used_stands_still(booted: VmPlatform, launching: Launching, folder: Path) -> None:
    guest = folder / "scratch" / "run" / "guest"
    seen: list[str] = []
    job = launching.job(timeout=120, on_line=lambda _line: seen.append(qmp.ask(guest, "query-status")["status"]))
    assert booted.launch(job).exit_code == 0
    assert seen == ["running"]
    assert qmp.ask(guest, "query-status")["status"] == "paused"


@pytest.mark.slow
def test_endings_are_told_apart(booted: VmPlatform, launching: Launching) -> None:
    assert booted.launch(seeded(launching.job(timeout=120), 5)).exit_code == 5
    assert booted.launch(seeded(launching.job(timeout=120), 11)).signal == signal.SIGSEGV
    assert booted.launch(seeded(launching.job(timeout=5), 60)).timed_out


@pytest.mark.slow
def test_resources_are_copied_into_the_guest(booted: VmPlatform, launching: Launching, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("sent along", encoding="utf-8")
    resources = {"data": tmp_path / "data.txt"}
    job = launching.job(timeout=120, resources=booted.resources(resources))
    assert booted.launch(job, resources=resources).exit_code == 0
    assert result(job)["resources"] == {"data": "sent along"}


@pytest.mark.slow
def test_the_smoke_profiles_probes_run_in_the_guest(
    booted: VmPlatform, launching: Launching, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The packed agent, helper and all, in the guest that is up; small parameters, since it is emulated."""
    assert {*SMALL, *ELSEWHERE} == smoke_probes(), "some probe of the profile never ran in a guest"
    monkeypatch.setattr(booted, "_agent", pack.agent_archive())
    monkeypatch.setattr(booted, "_run_id", "probes")
    with booted._guest.up(quiet) as running:
        inside = booted._remote(running)
        try:
            inside.prepare(driver_stack(folder), quiet)
            for entry, small in SMALL.items():
                job = launching.job(timeout=120, locations=inside.locations())
                spec = replace(job.spec, cell=f"guest/driver/{entry}", task=entry, entry=entry, params=small)
                assert inside.launch(replace(job, spec=spec)).exit_code == 0, entry
                found = CellResult.from_json(read_json(job.result))
                assert (entry, found.status, found.reason) == (entry, "ok", "")
                assert any(metric.samples for metric in found.metrics)
                assert found.versions["native_helper"]
        finally:
            inside.close()


@pytest.mark.slow
def test_virtual_cpus_run_where_they_are_pinned(booted: VmPlatform, folder: Path) -> None:
    if len(PINNED) < 2:
        pytest.skip("this machine has one CPU")
    threads = qmp.ask(folder / "scratch" / "run" / "guest", "query-cpus-fast")
    assert [os.sched_getaffinity(each["thread-id"]) for each in threads] == [{cpu} for cpu in PINNED]


@pytest.mark.slow
def test_what_the_host_knows_of_the_guest(booted: VmPlatform, folder: Path) -> None:
    facts = {name: fact["value"] for name, fact in booted.facts().items()}
    assert facts["vm.accelerator"] == "tcg"
    assert facts["vm.stand_in"] == "emulated by TCG: no figure of a virtual machine"
    assert (facts["vm.vcpus"], facts["vm.memory_bytes"], facts["vm.numa"]) == (2, 1 << 30, "0,0")
    assert facts["vm.start_seconds"] > 0
    assert booted.availability().runnable
    again = booted.prepare(driver_stack(folder), quiet).provenance
    assert again["interpreter"] == "/usr/bin/python3"
    assert len(again["image_id"]) == 16


@pytest.mark.slow
def test_a_guest_that_ends_is_told_and_boots_anew_with_what_was_installed(
    booted: VmPlatform, launching: Launching, folder: Path
) -> None:
    (noted,) = folder.glob("scratch/run/guest/process.json")
    before = json.loads(noted.read_text(encoding="utf-8"))["pid"]
    assert booted._inside is not None
    booted._inside._host._patience = 0.0  # it is not waited for
    killing = launching.job(timeout=120, on_line=lambda _line: os.kill(int(before), signal.SIGKILL))
    with pytest.raises(PlatformError, match="guest: the guest ended while it was used; its console"):
        booted.launch(seeded(killing, 60))
    job = launching.job(timeout=120, locations=booted.locations())
    assert booted.launch(job).exit_code == 0
    assert result(job)["places"] == {"host": True, "tmpfs": True}
    assert json.loads(noted.read_text(encoding="utf-8"))["pid"] != before


def test_what_is_missing_is_said_before_anything_starts(tmp_path: Path) -> None:
    image = GuestImage(disk=tmp_path / "guest.qcow2")
    found = platform_of(image, tmp_path).availability()
    assert (found.runnable, found.status) == (False, "unavailable")
    assert found.reason.startswith("guest: ")
    assert f"`python -m harness vm image -o {image.disk}`" in found.reason or "apt install" in found.reason
    with pytest.raises(PlatformError, match="stack driver has not been prepared"):
        platform_of(image, tmp_path).launch(Launching(folder=tmp_path).job())


def test_offers(tmp_path: Path) -> None:
    image = GuestImage(disk=tmp_path / "guest.qcow2")
    stack = driver_stack(tmp_path)
    plain, with_gpu = platform_of(image, tmp_path), platform_of(image, tmp_path, gpu="0000:01:00.0")
    assert plain.offers(stack, "cpu").runnable
    assert with_gpu.offers(stack, "cuda:0").runnable
    assert "name one by `gpu` in matrix.yaml" in plain.offers(stack, "cuda:0").reason
    installed = plain.offers(replace(stack, variant="installed", interpreter=sys.executable), "cpu")
    assert (installed.runnable, installed.status) == (False, "unsupported")


def test_other_systems_are_told_to_boot_linux(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert "started from Linux" in platform_of(GuestImage(disk=tmp_path / "a"), tmp_path).availability().reason


def test_before_the_guest_is_up_there_is_nothing_in_it(tmp_path: Path) -> None:
    platform = platform_of(GuestImage(disk=tmp_path / "guest.qcow2"), tmp_path)
    assert (platform.locations(), platform.resources({"a": tmp_path}), platform.facts()) == ((), {}, {})
    platform.close()
    assert list(tmp_path.iterdir()) == []
