from __future__ import annotations

from types import SimpleNamespace

import pytest

from harness.agent import nvml_library
from harness.agent.telemetry import gpu
from tests.agent.fake_nvml import FakeNvml

ANSWERS = {
    "nvmlDeviceGetPowerUsage": 312_500,
    "nvmlDeviceGetTemperature": 71,
    "nvmlDeviceGetCurrentClocksEventReasons": 0x44,
    "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=97, memory=40),
    "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=8_000, used=5_000),
    "nvmlDeviceGetTotalEccErrors": 2,  # of each kind
    "nvmlDeviceGetPcieReplayCounter": 3,
    "nvmlDeviceGetPcieThroughput": 12,
}
LOST = FakeNvml.NVMLError("GPU is lost")


def made(**changes: object) -> gpu.Gpu:
    return gpu.Gpu(FakeNvml(**{**ANSWERS, **changes}), "GPU-0123")


def sampled(**changes: object) -> dict[str, float | None]:
    """Return column → value at the first tick; what is refused is left out."""
    found = [source for source in made(**changes).sources() if not source.refusal()]
    return {source.names[0]: source.values(0)[0] for source in found}


def test_a_gpu_is_sampled_in_units_of_the_si() -> None:
    assert sampled() == {
        "gpu0.sm_clock_hz": 345e6,
        "gpu0.memory_clock_hz": 345e6,
        "gpu0.power_watts": 312.5,
        "gpu0.temperature_celsius": 71,
        "gpu0.clock_event_reasons": 0x44,
        "gpu0.utilization_percent": 97,
        "gpu0.ecc_errors": 4,
        "gpu0.memory_used_bytes": 5_000,
        "gpu0.pcie_generation": 5,
        "gpu0.pcie_width": 16,
        "gpu0.pcie_replays": 3,
        "gpu0.pcie_transmitted_bytes_per_second": 12_000,
        "gpu0.pcie_received_bytes_per_second": 12_000,
    }


def test_an_older_driver_knows_the_reasons_by_another_name() -> None:
    older = {
        "nvmlDeviceGetCurrentClocksEventReasons": FakeNvml.NVMLError_FunctionNotFound("Function Not Found"),
        "nvmlDeviceGetCurrentClocksThrottleReasons": 0x8,
    }

    assert sampled(**older)["gpu0.clock_event_reasons"] == 0x8


def test_reasons_that_are_not_supported_are_no_reasons_of_an_older_name() -> None:
    refused = {
        "nvmlDeviceGetCurrentClocksEventReasons": FakeNvml.NVMLError("Not Supported"),
        "nvmlDeviceGetCurrentClocksThrottleReasons": 0x8,
    }

    assert "gpu0.clock_event_reasons" not in sampled(**refused)


def test_what_is_not_supported_says_so_and_is_no_column() -> None:
    found = made(nvmlDeviceGetUtilizationRates=FakeNvml.NVMLError("Not Supported"))
    refused = {source.names[0]: why for source in found.sources() if (why := source.refusal())}

    assert refused == {"gpu0.utilization_percent": "NVMLError: Not Supported"}
    assert (found.name, found.uuid) == ("gpu0", "GPU-0123")


def test_slow_questions_are_asked_seldom() -> None:
    [source] = [each for each in made().sources() if each.names[0].endswith("replays")]

    assert [source.values(tick)[0] for tick in range(gpu.SELDOM + 1)] == [3, *[None] * (gpu.SELDOM - 1), 3]


def test_a_gpu_that_fell_off_the_bus_is_told() -> None:
    with pytest.raises(FakeNvml.NVMLError, match="GPU is lost"):
        made(nvmlDeviceGetUUID=LOST)


def test_without_a_driver_the_librarys_error_is_raised() -> None:
    with pytest.raises(FakeNvml.NVMLError, match="Driver Not Loaded"):
        made(nvmlInit=FakeNvml.NVMLError("Driver Not Loaded"))


def test_the_installed_library_has_every_name_that_is_used() -> None:
    real = nvml_library.library()

    used = ("nvmlDeviceGetHandleByUUID", "nvmlDeviceGetIndex", "nvmlDeviceGetDeviceHandleFromMigDeviceHandle")
    for name in (
        *ANSWERS,
        *used,
        "nvmlDeviceGetCurrentClocksThrottleReasons",
        "NVMLError_FunctionNotFound",
        "NVML_CLOCK_SM",
    ):
        assert hasattr(real, name)
    assert (real.NVML_PCIE_UTIL_TX_BYTES, real.NVML_PCIE_UTIL_RX_BYTES) == (0, 1)
