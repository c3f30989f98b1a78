"""One machine, one matrix, every platform that a Linux machine can have, one report.

The remote host is this one through ssh, wsl.exe is a stand-in, and the guest runs under emulation where KVM does not
work: that all of them work together is tested, and nothing is learnt about any of them.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness import interpreters
from harness.platforms.guest_image import GuestImage
from tests.platforms.sshd import LoopbackSshd
from tests.platforms.wsl_machine import NAME, Machine
from tests.program import bundle_of, harness, journal_of, project

pytestmark = [pytest.mark.docker, pytest.mark.slow]

PLATFORMS = ("native", "docker", "guest", "lab", "wsl")
MATRIX = """\
schema: 1
baseline: native
platforms:
  native: {{kind: native}}
  docker: {{kind: container}}
  guest: {{kind: vm, image: {image}, cpus: 1, memory: 512m}}
  lab: {{kind: remote, host: loopback, config: {config}, folder: {work}, python: {python}}}
  wsl: {{kind: wsl, distribution: {distribution}}}
stacks:
  driver: {{}}
tasks:
  control.fma: {{samples: 2, sample_seconds: 0.5}}
  control.delay: {{microseconds: 2000, samples: 20}}
  driver.syscall: {{samples: 20}}
  storage.small_files: {{files: 20, rounds: 3}}
profiles:
  all: {{tasks: ["*"], blocks: 2}}
"""


@pytest.fixture
def wsl(linux_root: Path, tmp_path: Path) -> Machine:
    return Machine(folder=tmp_path / "windows", root=linux_root).set_up()


def test_every_platform_in_one_matrix_and_one_report(
    base_image: str, guest_image: GuestImage, sshd: LoopbackSshd, wsl: Machine, tmp_path: Path
) -> None:
    matrix = MATRIX.format(
        image=guest_image.disk,
        config=sshd.config,
        work=tmp_path / "work",
        python=interpreters.base(),
        distribution=NAME,
    )
    folder = project(tmp_path / "project", matrix)
    environ = {**wsl.environ, "OVERHEAD_MATRIX_BASE": base_image}
    done = harness("run", "--report", cwd=folder, env=environ, timeout=800)
    wsl.stop()

    assert done.returncode == 0, done.stdout + done.stderr
    lines = journal_of(folder)
    assert {line["status"] for line in lines} == {"ok"}, done.stdout
    cells = Counter(line["cell"].partition("/")[0] for line in lines)
    assert cells == {**dict.fromkeys(PLATFORMS, 4 * 2), "native@2": 4 * 2}
    platforms = json.loads((bundle_of(folder) / "run.json").read_text("utf-8"))["platforms"]
    for name in ("lab", "wsl"):
        assert platforms[name]["inspection"][f"{platforms[name]['kind']}.stand_in"]["value"]
    (page,) = (folder / "reports").glob("*/index.html")
    document = json.loads(page.with_name("report.json").read_text("utf-8"))
    assert {row["platform"] for row in document["comparisons"]} == set(PLATFORMS) - {"native"}
    assert "A stand-in, not real hardware" in page.read_text("utf-8")
    (delay,) = (
        row for row in document["comparisons"] if (row["platform"], row["metric"]) == ("guest", "delay_seconds")
    )
    assert 0.8 < delay["slowdown"] < 1.5, "a guest's clock that runs at another speed"
