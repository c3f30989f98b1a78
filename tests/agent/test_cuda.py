from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.agent import cuda, execute
from harness.agent.cuda import open_driver
from harness.agent.cuda_errors import (
    KNOWN,
    CudaError,
    CudaOutOfMemoryError,
    CudaUnavailableError,
    CudaUnsupportedError,
    error,
)
from harness.agent.messages import CellResult, read_json, to_json, write_json
from harness.agent.task import Unavailable
from tests.agent.conftest import MakeSpec, Plant
from tests.agent.systems import not_on_windows


def test_a_device_says_what_it_is(plant: Plant) -> None:
    plant(name="Simulated A", driver_version=13010, devices=2)
    driver = open_driver()
    first, second = driver.device(0), driver.device(1)
    assert driver.version == "13.1"
    assert first.name == "Simulated A"
    assert re.fullmatch(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", first.uuid)
    assert first.uuid != second.uuid


def test_a_gpu_that_is_not_there_is_unavailable(plant: Plant) -> None:
    plant()
    with pytest.raises(Unavailable, match=r"cuda:1 is asked for and 1 GPUs are visible: .*--gpus all"):
        open_driver().device(1)


def test_without_a_driver_it_says_how_to_get_one() -> None:
    with pytest.raises(Unavailable, match=r"no CUDA driver: .*libnone\.so\.1.*install the NVIDIA driver"):
        open_driver(["libnone.so.1"])


def test_a_library_that_is_no_driver_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_bytes(b"no library")
    with pytest.raises(Unavailable, match="no CUDA driver"):
        open_driver([str(tmp_path / "libcuda.so.1")])


def test_the_places_of_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    assert cuda.library_names() == ("libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")
    monkeypatch.setattr(sys, "platform", "win32")
    assert cuda.library_names() == ("nvcuda.dll",)


def test_memory_is_given_back(plant: Plant) -> None:
    plant()
    with open_driver().device(0).context() as gpu:
        before = gpu.free_memory()
        with gpu.memory(2**20), gpu.pinned(2**20):
            assert gpu.free_memory() == before - 2**20
        assert gpu.free_memory() == before
        with pytest.raises(RuntimeError), gpu.memory(2**20):
            raise RuntimeError
        assert gpu.free_memory() == before


def test_an_error_that_nobody_asked_for_ends_the_context_too(plant: Plant) -> None:
    """A kernel that failed is found at the end even where no call reports it."""
    plant(fail=("cuCtxSynchronize:719",))
    with pytest.raises(CudaError, match="CUDA_ERROR_LAUNCH_FAILED") as raised, open_driver().device(0).context():
        pass
    assert raised.value.lost


def test_the_cause_is_not_hidden_by_the_failures_that_follow_it(plant: Plant) -> None:
    plant(fail=("cuLaunchKernel:700",))
    with (
        pytest.raises(CudaError, match=r"^cuLaunchKernel: CUDA_ERROR_ILLEGAL_ADDRESS \(700\): .*dmesg"),
        open_driver().device(0).context() as gpu,
        gpu.memory(4096),
    ):
        gpu.driver.call("cuLaunchKernel", 1, *(1,) * 6, 0, None, None, None)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (2, CudaOutOfMemoryError),
        (2, MemoryError),
        (100, CudaUnavailableError),
        (100, Unavailable),
        (801, CudaUnsupportedError),
        (700, CudaError),
    ],
)
def test_the_class_tells_what_kind_of_failure_it_is(code: int, kind: type[Exception]) -> None:
    assert isinstance(error(code, "cuCall"), kind)
    assert isinstance(error(code, "cuInit"), CudaUnavailableError)


@pytest.mark.parametrize("code", sorted(KNOWN))
def test_every_known_error_is_one_line_with_its_name_and_a_remedy(code: int) -> None:
    text = str(error(code, "cuCall"))
    assert re.fullmatch(rf"cuCall: CUDA_ERROR_[A-Z_]+ \({code}\): [^;]+; .+", text)
    assert "\n" not in text


def test_the_remedy_for_memory_is_for_the_memory_that_was_refused() -> None:
    assert "free memory of the GPU" in str(error(2, "cuMemAlloc_v2"))
    assert "locked memory" in str(error(2, "cuMemHostAlloc"))


def test_an_unknown_error_has_the_drivers_own_words() -> None:
    assert "CUDA_ERROR (12345): made up; " in str(error(12345, "cuCall", "made up"))


@pytest.mark.parametrize(
    ("fail", "status", "reason"),
    [
        ("cuInit:100", "unavailable", r"cuInit: CUDA_ERROR_NO_DEVICE \(100\): .*--gpus all"),
        ("cuInit:999", "unavailable", r"cuInit: CUDA_ERROR_UNKNOWN \(999\): .*nvidia-smi"),
        ("cuInit:804", "unavailable", r"CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE .*update the driver"),
        ("cuCtxCreate_v2:2", "oom", r"cuCtxCreate_v2: CUDA_ERROR_OUT_OF_MEMORY \(2\): .*lower the sizes"),
        ("cuLaunchKernel:700", "failed", r"CudaError: cuLaunchKernel: CUDA_ERROR_ILLEGAL_ADDRESS .*context is lost"),
        ("cuStreamSynchronize:719:40", "failed", r"cuStreamSynchronize: CUDA_ERROR_LAUNCH_FAILED .*context is lost"),
        ("cuCtxDestroy_v2:719", "failed", "CUDA_ERROR_LAUNCH_FAILED"),
        ("cuModuleLoadData:222", "unsupported", r"CUDA_ERROR_UNSUPPORTED_PTX_VERSION .*update the driver"),
    ],
)
def test_a_planted_failure_becomes_its_status(
    plant: Plant, make_spec: MakeSpec, fail: str, status: str, reason: str
) -> None:
    plant(fail=(fail,))
    result = execute.execute(make_spec("driver.sync", device="cuda:0"), lambda done, total, note: None)
    assert result.status == status
    assert re.search(reason, result.reason)
    assert "\n" not in result.reason
    assert result.metrics == ()


def test_a_graph_that_is_not_supported_is_unsupported(plant: Plant, make_spec: MakeSpec) -> None:
    plant(fail=("cuGraphInstantiateWithFlags:801",))
    result = execute.execute(make_spec("driver.graph", device="cuda:0"), lambda done, total, note: None)
    assert result.status == "unsupported"
    assert result.reason.startswith("cuGraphInstantiateWithFlags: CUDA_ERROR_NOT_SUPPORTED (801)")


def agent_on(spec: object, agent: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    write_json(folder / "spec.json", spec)
    command = [sys.executable, str(agent), "run", str(folder / "spec.json"), str(folder / "result.json")]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_the_packed_agent_finds_the_library_by_its_name(
    plant: Plant, make_spec: MakeSpec, agent: Path, tmp_path: Path
) -> None:
    plant()
    ended = agent_on(to_json(make_spec("driver.sync", device="cuda:0")), agent, tmp_path)
    result = CellResult.from_json(read_json(tmp_path / "result.json"))
    assert (ended.returncode, result.status, result.reason) == (0, "ok", "")
    assert result.versions["gpu"] == "Simulated GPU"


@not_on_windows("ctypes turns a crash into an OSError, which is a result")
def test_a_crash_inside_the_driver_ends_the_agent_by_a_signal(
    plant: Plant, make_spec: MakeSpec, agent: Path, tmp_path: Path
) -> None:
    plant(crash=("cuStreamCreate",))
    ended = agent_on(to_json(make_spec("driver.sync", device="cuda:0")), agent, tmp_path)
    assert ended.returncode == -signal.SIGSEGV
    assert not (tmp_path / "result.json").exists()
    assert "cuda.py" in ended.stderr  # faulthandler's traceback
