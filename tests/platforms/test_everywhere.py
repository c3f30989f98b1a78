"""One machine, one matrix, every platform that a Linux machine can have, one report.

The remote host is this one through ssh, wsl.exe is a stand-in, and the guest is emulated: that all of them work, and
work together, is tested, and nothing is learnt about any of them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from harness import interpreters
from harness.platforms.guest_image import GuestImage
from tests.platforms.sshd import LoopbackSshd
from tests.platforms.wsl_machine import NAME, Machine
from tests.program import bundle_of, harness, journal_of, project

pytestmark = [pytest.mark.docker, pytest.mark.slow]

PLATFORMS = ("native", "docker", "guest", "lab", "wsl")
TASKS = ("control.fma", "control.delay", "storage.small_files")
BLOCKS = 2
MATRIX = """\
schema: 1
baseline: native
platforms:
  native: {{kind: native}}
  docker: {{kind: container}}
  guest: {{kind: vm, image: {image}, accelerator: tcg, cpus: 1, memory: 512m}}
  lab: {{kind: remote, host: loopback, config: {config}, folder: {work}, python: {python}}}
  wsl: {{kind: wsl, distribution: {distribution}}}
  gone: {{kind: wsl, distribution: Gone}}
stacks:
  driver: {{}}
tasks:
  control.fma: {{samples: 2, sample_seconds: 0.2}}
  control.delay: {{microseconds: 2000, samples: 20}}
  storage.small_files: {{files: 20, rounds: 3}}
profiles:
  all: {{tasks: ["*"], blocks: {blocks}}}
"""


@dataclass(frozen=True)
class Everywhere:
    """A run on all platforms that has ended: its project's folder, and where the platforms worked."""

    folder: Path
    work: Path  # of the remote host
    cache: Path  # of the host
    wsl: Machine

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        return json.loads((bundle_of(self.folder) / "run.json").read_text("utf-8"))  # type: ignore[no-any-return]

    @cached_property
    def report(self) -> Mapping[str, Any]:
        return json.loads(self.page.with_name("report.json").read_text("utf-8"))  # type: ignore[no-any-return]

    @property
    def page(self) -> Path:
        (found,) = (self.folder / "reports").glob("*/index.html")
        return found

    def inspection(self, platform: str) -> Mapping[str, Mapping[str, Any]]:
        return self.manifest["platforms"][platform]["inspection"]  # type: ignore[no-any-return]

    def compared(self, platform: str) -> list[dict[str, Any]]:
        return [row for row in self.report["comparisons"] if row["platform"] == platform]

    def locations(self, platform: str) -> set[str]:
        return {row["dims"]["location"] for row in self.compared(platform) if row["metric"] == "create_seconds"}


@pytest.fixture(scope="module")
def everywhere(
    base_image: str, guest_image: GuestImage, linux_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Everywhere]:
    folder = tmp_path_factory.mktemp("everywhere")
    sshd = LoopbackSshd(folder / "sshd")
    wsl = Machine(folder=folder / "windows", root=linux_root).set_up()
    (wsl.folder / "profile/.wslconfig").write_text("[wsl2]\nprocessors=2\n", encoding="utf-8")
    wsl.change(start_seconds=0.5)
    run = Everywhere(folder=folder / "project", work=folder / "work", cache=folder / "cache", wsl=wsl)
    values = {"image": guest_image.disk, "config": sshd.config, "work": run.work, "python": interpreters.base()}
    project(run.folder, MATRIX.format(**values, distribution=NAME, blocks=BLOCKS))
    environ = {**wsl.environ, "OVERHEAD_MATRIX_BASE": base_image, "OVERHEAD_MATRIX_CACHE": str(run.cache)}
    sshd.start()
    try:
        done = harness("run", "--report", cwd=run.folder, env=environ, timeout=800)
    finally:
        sshd.stop()
    assert done.returncode == 0, done.stdout + done.stderr
    yield run
    wsl.stop()
    assert "--shutdown" not in wsl.calls()


def test_every_cell_ran_on_every_platform(everywhere: Everywhere) -> None:
    ran = Counter((line["cell"], line["status"]) for line in journal_of(everywhere.folder))
    arms = [*PLATFORMS, "native@2"]
    expected = {(f"{arm}/driver/{task}", "ok"): BLOCKS for arm in arms for task in TASKS}
    assert {cell: count for cell, count in ran.items() if not cell[0].startswith("gone/")} == expected


def test_all_are_compared_in_one_report(everywhere: Everywhere) -> None:
    for platform in PLATFORMS[1:]:
        assert {row["task"].partition("[")[0] for row in everywhere.compared(platform)} == set(TASKS)
    (delay,) = (row for row in everywhere.compared("guest") if row["metric"] == "delay_seconds")
    assert 0.8 < delay["slowdown"] < 1.5, "a guest's clock that runs at another speed"


def test_the_report_says_what_stood_in(everywhere: Everywhere) -> None:
    assert everywhere.inspection("guest")["vm.stand_in"]["value"].startswith("emulated by TCG")
    assert everywhere.inspection("lab")["remote.stand_in"]["value"]
    assert everywhere.inspection("wsl")["wsl.stand_in"]["value"] == "the kernel inside is not WSL's"
    assert "A stand-in, not real hardware" in everywhere.page.read_text("utf-8")


def test_a_guest_says_how_it_ran(everywhere: Everywhere) -> None:
    assert everywhere.manifest["stacks"]["driver"]["platforms"]["guest"]["accelerator"] == "tcg"


def test_a_remote_host_that_is_this_one_is_told(everywhere: Everywhere) -> None:
    assert everywhere.inspection("lab")["remote.same_host"]["value"] is True
    assert everywhere.inspection("lab")["cpu.model"] == everywhere.inspection("native")["cpu.model"]
    assert everywhere.locations("lab") >= {"host", "tmpfs"}


def test_a_distribution_is_inspected_and_measured_on_its_locations(everywhere: Everywhere) -> None:
    facts = everywhere.inspection("wsl")
    assert facts["wsl.settings"]["value"] == {"wsl2.processors": "2"}
    assert facts["wsl.start_cold_seconds"]["value"] > 0.5
    assert facts["storage.ext4.filesystem"]["value"]
    assert everywhere.locations("wsl") == {"ext4", "mnt-c", "tmpfs"}


def test_a_distribution_that_there_is_not_is_unavailable(everywhere: Everywhere) -> None:
    lines = [line for line in journal_of(everywhere.folder) if line["cell"].startswith("gone/")]
    assert {line["status"] for line in lines} == {"unavailable"}
    reason = everywhere.manifest["platforms"]["gone"]["reason"]
    assert reason.startswith("gone: there is no distribution Gone, there are: Debian")


def test_nothing_is_left_behind(everywhere: Everywhere) -> None:
    assert not list((everywhere.work / "runs").iterdir())
    assert not list((everywhere.cache / "scratch").iterdir())
    everywhere.wsl.wsl("--terminate", NAME)
    assert not list(everywhere.wsl.cache.glob("scratch/*"))
