"""Inspection and telemetry with a simulated NVML: planted values come back, a fault costs nothing but itself."""

from __future__ import annotations

import time
from typing import Any

import pytest

from harness.agent.execute import execute
from harness.agent.inspection import gpu
from harness.agent.messages import CellResult
from harness.agent.telemetry import child
from harness.agent.telemetry.recorder import Recorder
from tests.agent.conftest import MakeSpec
from tests.agent.systems import not_on_windows
from tests.simulated.driver import SimulatedDriver

pytestmark = pytest.mark.measures

UUID = "GPU-53494d55-4c41-5445-442d-4750552d0000"


def plant(monkeypatch: pytest.MonkeyPatch, driver: SimulatedDriver) -> None:
    """Give the driver to the child processes that this test starts."""
    for name, value in driver.environment().items():
        monkeypatch.setenv(name, value)


def sampled(monkeypatch: pytest.MonkeyPatch, driver: SimulatedDriver, device: str = "cuda:0") -> dict[str, Any]:
    plant(monkeypatch, driver)
    recorder = Recorder()
    recorder.watch(device)
    recorder.begin()
    time.sleep(0.35)
    return recorder.end()


def run(make_spec: MakeSpec) -> CellResult:
    return execute(make_spec("fake.device", device="cuda:0"), lambda *_: None)


def test_planted_values_are_in_the_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = SimulatedDriver(
        devices=2,
        sm_clock_mhz=1234,
        mem_clock_mhz=5678,
        power_mw=91_500,
        temperature_c=77,
        utilization=55,
        pcie_gen=2,
        pcie_width=4,
        pcie_replays=13,
        pcie_tx_kbps=111,
        pcie_rx_kbps=222,
    )
    for number in (0, 1):
        samples = sampled(monkeypatch, driver, f"cuda:{number}")["samples"]
        columns = samples["columns"]
        assert samples["gpus"] == {f"gpu{number}": UUID[:-1] + str(number)}, "the cell's alone"
        assert not any(name.startswith(f"gpu{1 - number}") for name in columns)
        first = {name: columns[f"gpu{number}.{name}"][0] for name in GPU_COLUMNS}
        assert first == {
            "sm_clock_hz": 1234e6,
            "memory_clock_hz": 5678e6,
            "power_watts": 91.5,
            "temperature_celsius": 77,
            "clock_event_reasons": 0,
            "utilization_percent": 55,
            "pcie_generation": 2,
            "pcie_width": 4,
            "pcie_replays": 13,
            "pcie_transmitted_bytes_per_second": 111_000,
            "pcie_received_bytes_per_second": 222_000,
        }
        assert {len(column) for column in columns.values()} == {len(samples["times"])}
        assert samples["summary"][f"gpu{number}.power_watts"] == {"min": 91.5, "median": 91.5, "max": 91.5}


@pytest.mark.usefixtures("fake_probes")
def test_what_the_gpu_did_in_the_timed_steps_is_measured(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half busy at 100 W for two seconds, in which ten images were done: 20 J each; the start does not count."""
    plant(monkeypatch, SimulatedDriver(power_mw=100_000, utilization=50))
    result = execute(make_spec("fake.steps", device="cuda:0"), lambda *_: None)
    metrics = {metric.name: metric for metric in result.metrics}
    begin, end = result.telemetry["timed"]
    assert 0.29 < begin < end
    assert metrics["gpu_utilization"].samples[0] == pytest.approx(0.5)
    assert metrics["gpu_utilization"].better == "higher"
    assert metrics["energy_per_image"].samples[0] == pytest.approx(100 * (end - begin) / 10)
    assert metrics["energy_per_image"].unit == "J"


@pytest.mark.usefixtures("fake_probes")
def test_without_these_samples_there_are_no_such_metrics(make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    unsupported = ("nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage")
    plant(monkeypatch, SimulatedDriver(not_supported=unsupported))
    for device in ("cuda:0", "cpu"):
        result = execute(make_spec("fake.steps", device=device), lambda *_: None)
        assert [metric.name for metric in result.metrics] == ["fake_seconds"]


GPU_COLUMNS = (
    "sm_clock_hz",
    "memory_clock_hz",
    "power_watts",
    "temperature_celsius",
    "clock_event_reasons",
    "utilization_percent",
    "pcie_generation",
    "pcie_width",
    "pcie_replays",
    "pcie_transmitted_bytes_per_second",
    "pcie_received_bytes_per_second",
)


@pytest.mark.parametrize("bits", [0x8, 0x20, 0x40, 0x80, 0x40 | 0x1])
@pytest.mark.usefixtures("fake_probes")
def test_a_gpu_that_is_throttled_is_a_mark_and_a_warning(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    plant(monkeypatch, SimulatedDriver(throttle=bits))
    result = run(make_spec)

    assert result.status == "ok"
    throttled = [mark for mark in result.telemetry["marks"] if mark["name"] == "throttled"]
    assert [(mark["share"], mark["gpu"]) for mark in throttled] == [(1.0, UUID)]
    assert any(UUID in warning for warning in result.warnings)


@pytest.mark.parametrize("throttled", [0, 1])
@pytest.mark.usefixtures("fake_probes")
def test_another_gpu_that_is_throttled_is_not_this_cells_business(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, throttled: int
) -> None:
    plant(monkeypatch, SimulatedDriver(devices=2, throttle=0x40, throttled_device=throttled))
    result = execute(make_spec("fake.device", device="cuda:1"), lambda *_: None)

    marked = [mark["gpu"] for mark in result.telemetry["marks"] if mark["name"] == "throttled"]
    assert marked == ([UUID[:-1] + "1"] if throttled == 1 else [])


def test_of_an_instance_the_whole_gpu_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = sampled(monkeypatch, SimulatedDriver(devices=2, mig=1, power_mw=91_500), "cuda:1")["samples"]

    assert samples["gpus"] == {"gpu1": UUID[:-1] + "1"}
    assert samples["columns"]["gpu1.power_watts"][0] == 91.5


def test_a_gpu_that_cuda_does_not_have_is_told_and_the_host_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = sampled(monkeypatch, SimulatedDriver(devices=2), "cuda:5")["samples"]

    assert samples["missing"]["gpu"].startswith("cuda:5 is asked for and 2 GPUs are visible")
    assert samples["times"]


@pytest.mark.parametrize(("bits", "names"), [(0x1 | 0x2 | 0x10 | 0x100, set()), (0x4, {"power_capped"})])
@pytest.mark.usefixtures("fake_probes")
def test_idle_settings_and_a_power_cap_warn_of_nothing(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, bits: int, names: set[str]
) -> None:
    plant(monkeypatch, SimulatedDriver(throttle=bits))
    result = run(make_spec)

    assert {mark["name"] for mark in result.telemetry["marks"]} - {"contended"} == names
    assert not any(UUID in warning for warning in result.warnings)


@not_on_windows("ctypes turns a crash into an OSError")
@pytest.mark.parametrize("function", ["nvmlInitWithFlags", "nvmlDeviceGetPowerUsage"])
@pytest.mark.usefixtures("fake_probes")
def test_a_crash_in_nvml_costs_the_samples_alone(
    make_spec: MakeSpec, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    plant(monkeypatch, SimulatedDriver(crash=(function,)))
    result = run(make_spec)

    assert (result.status, result.reason) == ("ok", "")
    assert result.telemetry["samples"] == {"error": "the sampler crashed (signal 11)"}
    assert result.telemetry["seconds"] >= 0


def test_nvml_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "READY_SECONDS", 1.0)

    found = sampled(monkeypatch, SimulatedDriver(hang=("nvmlDeviceGetTemperature",)))
    assert found["samples"] == {"error": "the sampler was not ready within 1 s"}


def test_what_is_not_supported_is_missing_with_nvmls_word(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = sampled(monkeypatch, SimulatedDriver(not_supported=("nvmlDeviceGetUtilizationRates",)))["samples"]

    assert "Not Supported" in samples["missing"]["gpu0.utilization_percent"]
    assert "gpu0.utilization_percent" not in samples["columns"]
    assert samples["columns"]["gpu0.power_watts"][0] == 100


def test_an_answer_that_fails_later_is_null(monkeypatch: pytest.MonkeyPatch) -> None:
    lost_after_two = SimulatedDriver(fail=("nvmlDeviceGetPowerUsage:15:2",))
    columns = sampled(monkeypatch, lost_after_two)["samples"]["columns"]

    assert columns["gpu0.power_watts"][0] == 100
    assert set(columns["gpu0.power_watts"][1:]) == {None}
    assert None not in columns["gpu0.sm_clock_hz"]


def test_a_driver_that_is_not_loaded_is_told_and_the_host_is_sampled(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = sampled(monkeypatch, SimulatedDriver(fail=("nvmlInitWithFlags:9",)))["samples"]

    assert samples["missing"]["gpu"] == "Driver Not Loaded"
    assert samples["times"]


def test_the_inspection_finds_what_is_planted(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(
        monkeypatch,
        SimulatedDriver(driver_model=0, bar1_mib=256, numa_node=1, virtualization=2, power_limit_mw=250_000, display=1),
    )
    [device] = gpu.inspect()["devices"]["value"]

    assert device["driver_model"] == "WDDM"
    assert device["bar1_bytes"] == 256 << 20
    assert device["numa_node"] == 1
    assert device["virtualization"] == "vGPU"
    assert device["power_limit_watts"] == 250
    assert device["display_active"] is True


def test_the_inspection_says_what_is_not_supported(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, SimulatedDriver(not_supported=("nvmlDeviceGetBAR1MemoryInfo",)))
    [device] = gpu.inspect()["devices"]["value"]

    assert device["bar1_bytes"] is None
    assert device["errors"]["bar1_bytes"] == "Not Supported"
    assert device["uuid"] == UUID
