"""`--gpus all` on a real Docker daemon, with the simulated driver: the way a GPU takes into a container."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError, ContainerError
from docker.types import DeviceRequest

from harness.platforms import engine
from harness.platforms.container import ContainerPlatform
from tests.platforms.jobs import FakeAgent, Launching, container_config, driver_stack, quiet, result
from tests.program import ROOT, harness, project
from tests.simulated.driver import SimulatedDriver
from tests.simulated.engine import SimulatedEngine, simulated_engine

pytestmark = [pytest.mark.answers, pytest.mark.docker, pytest.mark.slow]

ALL = DeviceRequest(count=-1, capabilities=[["gpu"]])
LOOK = """
import ctypes, json, os
name = ctypes.create_string_buffer(100)
def cuda():
    driver = ctypes.CDLL("libcuda.so.1")
    code = driver.cuInit(0) or driver.cuDeviceGetName(name, 100, 0)
    return name.value.decode() if code == 0 else code
def nvml():
    library, gpu = ctypes.CDLL("libnvidia-ml.so.1"), ctypes.c_void_p()
    code = library.nvmlInit_v2() or library.nvmlDeviceGetHandleByIndex_v2(0, ctypes.byref(gpu))
    code = code or library.nvmlDeviceGetName(gpu, name, 100)
    return name.value.decode() if code == 0 else code
def seen(look):
    try:
        return look()
    except OSError:
        return None
found = {"cuda": seen(cuda), "nvml": seen(nvml), "variable": os.environ.get("SIMULATED_GPU")}
"""


def look(
    simulated: SimulatedEngine,
    base: str,
    gpus: DeviceRequest | None = None,
    environment: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return what a container finds."""
    command = ["python3", "-c", f"{LOOK}\nprint(json.dumps(found))"]
    with closing(engine.connect(simulated.host)) as client:
        requests = [gpus] if gpus else []
        said = client.containers.run(base, command, remove=True, device_requests=requests, environment=environment)
    found: dict[str, Any] = json.loads(said)
    return found


def test_a_container_that_asks_gets_both_libraries(planted: SimulatedEngine, base_image: str) -> None:
    planted.plant(SimulatedDriver(name="Simulated Planted One"))
    found = look(planted, base_image, gpus=ALL)
    assert found == {"cuda": "Simulated Planted One", "nvml": "Simulated Planted One", "variable": None}


def test_a_container_that_does_not_ask_gets_none(simulated: SimulatedEngine, base_image: str) -> None:
    assert look(simulated, base_image) == {"cuda": None, "nvml": None, "variable": None}


def test_without_the_capability_utility_there_is_no_nvml(simulated: SimulatedEngine, base_image: str) -> None:
    compute = {"NVIDIA_DRIVER_CAPABILITIES": "compute"}
    found = look(simulated, base_image, gpus=ALL, environment=compute)
    assert (found["cuda"], found["nvml"]) == ("Simulated GPU", None)


def test_a_driver_that_fails_fails_inside(planted: SimulatedEngine, base_image: str) -> None:
    planted.plant(SimulatedDriver(fail=("cuInit:999",), crash=("nvmlInit_v2",)))
    with pytest.raises(ContainerError) as error:
        look(planted, base_image, gpus=ALL)
    assert error.value.exit_status == 139


def test_what_is_not_simulated_is_refused(simulated: SimulatedEngine, base_image: str) -> None:
    named = DeviceRequest(device_ids=["GPU-1"], capabilities=[["gpu"]])
    with pytest.raises(APIError, match="only `all` is simulated"):
        look(simulated, base_image, gpus=named)


def test_a_cuda_cell_of_a_container_platform_has_the_gpu(simulated: SimulatedEngine, tmp_path: Path) -> None:
    agent = FakeAgent(path=tmp_path / "fake_agent.py").does(f"{LOOK}\nanswer(**found)")
    platform = ContainerPlatform(
        "docker",
        container_config(engine=simulated.host),
        gpu=True,
        scratch=tmp_path / "scratch" / "run",
        run_id=f"test-{os.getpid()}",
        agent=agent.path,
    )
    launching = Launching(folder=tmp_path / "jobs")
    try:
        platform.prepare(driver_stack(tmp_path), quiet)
        on_gpu, on_cpu = launching.job(device="cuda:0"), launching.job()
        for job in (on_gpu, on_cpu):
            assert platform.launch(job).exit_code == 0, job.log.read_text()
    finally:
        platform.close()
    assert result(on_gpu) == {"cuda": "Simulated GPU", "nvml": "Simulated GPU", "variable": None}
    assert result(on_cpu) == {"cuda": None, "nvml": None, "variable": None}


MATRIX = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
  docker: {kind: container}
stacks:
  torch: {requirements: images/torch/requirements.txt, cpu_requirements: images/torch/requirements-cpu.txt}
tasks:
  torch_cnn.trivial:
profiles:
  gpu: {tasks: ["*"], platforms: [docker], blocks: 2}
"""


@pytest.mark.parametrize("devices", [1, 0])
def test_the_harness_plans_gpu_cells_where_there_is_one(
    simulated: SimulatedEngine, tmp_path: Path, devices: int
) -> None:
    environment = SimulatedDriver(devices=devices).environment({**os.environ, "DOCKER_HOST": simulated.host})
    done = harness("plan", "--json", cwd=project(tmp_path, MATRIX), env=environment)
    assert done.returncode == 0, done.stderr
    cells = {cell["cell"]: (cell["device"], cell["runnable"]) for cell in json.loads(done.stdout)["cells"]}
    assert cells["docker/torch/torch_cnn.trivial"] == ("cuda:0" if devices else "cpu", True)


def test_nothing_is_left(base_image: str) -> None:
    """Whatever happens inside: here an error while a container runs."""
    with pytest.raises(RuntimeError, match="boom"), simulated_engine(base_image) as started:  # noqa: PT012
        folder = started.hook.parent
        with closing(engine.connect(started.host)) as client:
            client.containers.run(base_image, ["sleep", "600"], detach=True)
        raise RuntimeError("boom")
    assert not folder.exists()
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert is_gone(str(folder))
    assert not list(Path("/sys/fs/cgroup").glob(f"*/simulated-engine-{os.getpid()}"))


def is_gone(folder: str) -> bool:
    """Whether no process names the folder any more; a killed one may need a moment."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        if folder not in running:
            return True
        time.sleep(0.2)
    return False


def test_it_ends_with_the_process_that_started_it() -> None:
    code = """
import os, signal
from tests.simulated.engine import simulated_engine
with simulated_engine() as started:
    print(started.hook.parent, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    folder = Path(done.stdout.strip())
    assert is_gone(str(folder))
    assert list((folder / "data").iterdir()) == []
    shutil.rmtree(folder)
