"""The whole CUDA catalogue, natively and in containers, on a driver that fails: each error has its status."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest
import yaml

from harness.agent.messages import Status
from tests.simulated import machine
from tests.simulated.catalogue import TASKS
from tests.simulated.driver import SimulatedDriver
from tests.simulated.engine import SimulatedEngine

pytestmark = [pytest.mark.answers, pytest.mark.docker, pytest.mark.slow]

HANGS = 20  # seconds until a process that hangs is ended

# Each strikes where one task alone comes by, but for a lost device, which two find out.
BROKEN = SimulatedDriver(
    devices=1,
    pinned_wall_mib=0.05,
    fail=("cuStreamBeginCapture_v2:801", "cuStreamQuery:719:20", "cuMemAllocAsync:801"),
    crash=("cuModuleUnload",),
    hang=("cuEventQuery",),
    throttle=0x40,
)


@dataclass(frozen=True, kw_only=True)
class Fate:
    """How a task ends on a driver that is broken."""

    status: Status
    reason: str = ""  # a pattern
    warning: str = ""


FATES = {
    "control.fma_device": Fate(
        status="failed", reason=r"cuStreamQuery: CUDA_ERROR_LAUNCH_FAILED \(719\): .*context is lost"
    ),
    "control.step": Fate(status="oom", reason=r"cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY .*ulimit -l"),
    "driver.launch": Fate(status="failed", reason=r"cuStreamQuery: CUDA_ERROR_LAUNCH_FAILED .*dmesg"),
    "driver.context": Fate(status="crashed", reason=r"ended by SIGSEGV; see logs/"),
    "driver.sync": Fate(status="ok", warning=r"GPU-.*throttled|throttled.*GPU-"),
    "driver.graph": Fate(
        status="unsupported", reason=r"cuStreamBeginCapture_v2: CUDA_ERROR_NOT_SUPPORTED .*leave this task"
    ),
    "copies.bandwidth": Fate(status="limited", reason=r"pins 8192 bytes .*give the platform more memory"),
    "copies.gated": Fate(status="timeout", reason=rf"still running after {HANGS} s; raise `timeout`"),
    "copies.overlap": Fate(status="oom", reason=r"cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY .*ulimit -l"),
    "copies.allocation": Fate(
        status="limited",
        reason=r"pinned memory ends at 0 MiB of 8 MiB",
        warning=r"pool memory left out: cuMemAllocAsync",
    ),
    "copies.peer": Fate(status="unavailable", reason=r"needs two GPUs and 1 is visible"),
}


@pytest.fixture(scope="module")
def broken(simulated: SimulatedEngine, tmp_path_factory: pytest.TempPathFactory) -> machine.Results:
    """Run the catalogue with drivers that fail in many ways."""
    folder = tmp_path_factory.mktemp("broken")
    done = machine.run(folder, simulated, TASKS, host=BROKEN, container=BROKEN, blocks=1, timeout=HANGS)
    assert done.returncode == 1, done.stdout + done.stderr
    return machine.results(folder)


@pytest.mark.parametrize("platform", machine.PLATFORMS)
@pytest.mark.parametrize("task", yaml.safe_load(TASKS))
def test_a_planted_error_has_its_status(broken: machine.Results, platform: str, task: str) -> None:
    wanted = FATES[task]
    for found in broken[platform, task]:
        assert found.status == wanted.status, found.reason
        assert re.search(wanted.reason, found.reason)
        assert (found.reason == "") == (wanted.status == "ok")
        assert any(re.search(wanted.warning, each) for each in found.warnings) or not wanted.warning
