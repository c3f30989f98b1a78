"""What NVML says, asked with nvidia-ml-py as the harness asks, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulated.driver import SimulatedDriver

pytestmark = pytest.mark.answers

ROOT = Path(__file__).resolve().parents[2]
EVERYTHING = """
import json, pynvml as n

def ask(function, *arguments):
    try:
        answer = getattr(n, function)(*arguments)
    except n.NVMLError as error:
        return str(error)
    fields = getattr(answer, "_fields_", None)
    return {name: str(getattr(answer, name)) for name, *_ in fields} if fields else answer

n.nvmlInit()
gpu = n.nvmlDeviceGetHandleByIndex(0)
last = n.nvmlDeviceGetHandleByIndex(n.nvmlDeviceGetCount() - 1)
answers = {name: ask(name, gpu) for name in NAMES}
answers["nvmlDeviceGetTemperature"] = ask("nvmlDeviceGetTemperature", gpu, n.NVML_TEMPERATURE_GPU)
answers["nvmlDeviceGetTemperatureV"] = ask("nvmlDeviceGetTemperatureV", gpu, n.NVML_TEMPERATURE_GPU)
answers["tx"] = ask("nvmlDeviceGetPcieThroughput", gpu, n.NVML_PCIE_UTIL_TX_BYTES)
answers["rx"] = ask("nvmlDeviceGetPcieThroughput", gpu, n.NVML_PCIE_UTIL_RX_BYTES)
answers["sm"] = ask("nvmlDeviceGetClockInfo", gpu, n.NVML_CLOCK_SM)
answers["memory v2"] = ask("nvmlDeviceGetMemoryInfo", gpu, n.nvmlMemory_v2)
answers["affinity"] = list(ask("nvmlDeviceGetMemoryAffinity", gpu, 1, 0))
answers["confidential"] = ask("nvmlSystemGetConfComputeState")["ccFeature"]
answers["processes"] = [
    (each.pid, each.usedGpuMemory) for each in n.nvmlDeviceGetComputeRunningProcesses(gpu)
]
answers["graphics"] = n.nvmlDeviceGetGraphicsRunningProcesses(gpu)
answers["found"] = [
    n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(last))),
    n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByPciBusId(n.nvmlDeviceGetPciInfo(last).busId)),
]
n.nvmlShutdown()
answers["after"] = ask("nvmlDeviceGetCount")
print(json.dumps(answers))
"""
SINGLE = {
    "nvmlDeviceGetPowerUsage": 91_000,
    "nvmlDeviceGetPowerManagementLimit": 250_000,
    "nvmlDeviceGetEnforcedPowerLimit": 250_000,
    "nvmlDeviceGetPowerManagementDefaultLimit": 250_000,
    "nvmlDeviceGetPowerManagementLimitConstraints": [0, 250_000],
    "nvmlDeviceGetCurrentClocksEventReasons": 0x44,
    "nvmlDeviceGetCurrentClocksThrottleReasons": 0x44,
    "nvmlDeviceGetCurrPcieLinkGeneration": 2,
    "nvmlDeviceGetCurrPcieLinkWidth": 4,
    "nvmlDeviceGetMaxPcieLinkGeneration": 5,
    "nvmlDeviceGetMaxPcieLinkWidth": 32,
    "nvmlDeviceGetPcieReplayCounter": 13,
    "nvmlDeviceGetPersistenceMode": 0,
    "nvmlDeviceGetDisplayMode": 1,
    "nvmlDeviceGetDisplayActive": 1,
    "nvmlDeviceGetVirtualizationMode": 1,
    "nvmlDeviceGetNumaNodeId": 3,
    "nvmlDeviceGetDriverModel": [0, 0],
    "nvmlDeviceGetEccMode": [1, 1],
    "nvmlDeviceGetMigMode": [0, 0],
    "nvmlDeviceGetUtilizationRates": {"gpu": "55", "memory": "55"},
    "nvmlDeviceGetMemoryInfo": {"total": str(8 << 30), "free": str(8 << 30), "used": "0"},
    "nvmlDeviceGetBAR1MemoryInfo": {"bar1Total": str(16 << 30), "bar1Free": str(16 << 30), "bar1Used": "0"},
}
PLANTED = SimulatedDriver(
    devices=2,
    power_mw=91_000,
    power_limit_mw=250_000,
    throttle=0x44,
    pcie_gen=2,
    pcie_width=4,
    max_pcie_gen=5,
    max_pcie_width=32,
    pcie_replays=13,
    pcie_tx_kbps=111,
    pcie_rx_kbps=222,
    persistence=0,
    display=1,
    virtualization=1,
    numa_node=3,
    driver_model=0,
    ecc=1,
    mig=0,
    utilization=55,
    temperature_c=77,
    memory_mib=8192,
    bar1_mib=16384,
    sm_clock_mhz=1234,
    processes=2,
)


def python(code: str, driver: SimulatedDriver) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", code]
    return subprocess.run(argv, cwd=ROOT, env=driver.environment(), capture_output=True, text=True, check=False)


def answers(driver: SimulatedDriver) -> dict[str, Any]:
    done = python(f"NAMES = {list(SINGLE)}\n{EVERYTHING}", driver)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_planted_value_is_said() -> None:
    found = answers(PLANTED)
    assert {name: found[name] for name in SINGLE} == SINGLE
    assert (found["nvmlDeviceGetTemperature"], found["nvmlDeviceGetTemperatureV"]) == (77, 77)
    assert (found["tx"], found["rx"], found["sm"], found["affinity"]) == (111, 222, 1234, [1 << 3])
    assert found["memory v2"]["total"] == str(8 << 30)
    assert found["confidential"] == "0"
    assert found["processes"] == [[1_000_001, None], [1_000_002, None]]  # WDDM knows no process's memory
    assert (found["graphics"], found["found"], found["after"]) == ([], [1, 1], "Uninitialized")


def test_no_mode_is_taken_for_another() -> None:
    found = answers(SimulatedDriver(ecc=1, display=0, persistence=1, mig=0))
    modes = {name: found[f"nvmlDeviceGet{name}"] for name in ("EccMode", "DisplayActive", "PersistenceMode", "MigMode")}
    assert modes == {"EccMode": [1, 1], "DisplayActive": 0, "PersistenceMode": 1, "MigMode": [0, 0]}


def test_what_is_not_supported_says_so() -> None:
    unsupported = SimulatedDriver(
        persistence=-1,
        display=-1,
        virtualization=-1,
        numa_node=-1,
        driver_model=-1,
        ecc=-1,
        mig=-1,
        not_supported=("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage"),
        processes=1,
    )
    found = answers(unsupported)
    names = (
        "PersistenceMode DisplayMode DisplayActive VirtualizationMode NumaNodeId DriverModel EccMode MigMode"
        " UtilizationRates PowerUsage"
    )
    assert {found[f"nvmlDeviceGet{name}"] for name in names.split()} == {"Not Supported"}
    assert found["processes"] == [[1_000_001, 64 << 20]]


INSPECT = "import json; from harness.agent.inspection import gpu; print(json.dumps(gpu.inspect()))"


def inspect(driver: SimulatedDriver) -> dict[str, Any]:
    done = python(INSPECT, driver)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_the_agent_s_inspection_finds_it() -> None:
    facts = inspect(PLANTED)
    devices = facts["devices"]["value"]
    assert [each["name"] for each in devices] == ["Simulated GPU"] * 2
    unknown = {error for each in devices for error in each["errors"].values()}
    assert unknown <= {"Function Not Found"}  # what the simulation does not have
    assert devices[0]["driver_model"] == "WDDM"
    assert devices[0]["pcie_generation"] == 2
    assert devices[1]["uuid"].endswith("0001")


def test_the_agent_outlives_its_crash() -> None:
    facts = inspect(SimulatedDriver(crash=("nvmlDeviceGetName",)))
    assert facts["devices"]["value"] == []
    assert facts["devices"]["error"] == "NVML crashed (signal 11)"


@pytest.mark.parametrize(
    ("fault", "said"), [("nvmlInitWithFlags:9", "Driver Not Loaded"), ("nvmlDeviceGetCount_v2:999", "Unknown Error")]
)
def test_its_errors_are_told(fault: str, said: str) -> None:
    assert inspect(SimulatedDriver(fail=(fault,)))["devices"]["error"] == said


def test_the_controller_s_question() -> None:
    done = python("from harness import gpu; print(gpu.gpus())", SimulatedDriver())
    simulated = {"name": "Simulated GPU", "driver": "0.0-simulated", "stand_in": "true"}
    assert done.stdout.strip() == str([{"uuid": "GPU-53494d55-4c41-5445-442d-4750552d0000", **simulated}])


def test_both_libraries_name_the_same_device() -> None:
    both = """
import ctypes, uuid, pynvml
pynvml.nvmlInit(); said = pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(0))
cuda = ctypes.CDLL("libcuda.so.1"); cuda.cuInit(0); raw = ctypes.create_string_buffer(16)
cuda.cuDeviceGetUuid_v2(raw, 0)
print(said == f"GPU-{uuid.UUID(bytes=raw.raw)}")
"""
    assert python(both, SimulatedDriver(uuid=5)).stdout == "True\n"
