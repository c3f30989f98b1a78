from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest

from harness.agent import nvml_library
from harness.agent.inspection import nvml
from tests.agent.fake_nvml import FakeNvml


def collect(monkeypatch: pytest.MonkeyPatch, **changes: object) -> dict[str, Any]:
    monkeypatch.setattr(nvml, "library", lambda: FakeNvml(**changes))
    facts = nvml.collect()
    assert json.loads(json.dumps(facts)) == facts
    return facts


def test_a_gpu_is_read_with_its_units(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = collect(monkeypatch)
    [device] = facts["devices"]["value"]

    assert device["name"] == "NVIDIA H200"
    assert device["uuid"] == "GPU-0123"
    assert device["compute_capability"] == "9.0"
    assert (device["ecc"], device["mig"], device["persistence"]) == (True, False, False)
    assert device["power_limit_watts"] == 700
    assert device["graphics_clock_hz"] == 345e6
    assert device["max_graphics_clock_hz"] == 1980e6
    assert (device["pcie_generation"], device["pcie_width"]) == (5, 16)
    assert facts["driver"]["value"] == "580.95.05"
    assert facts["cuda_driver"]["value"] == "13.2"


def test_modes_limits_and_bus_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = collect(monkeypatch)
    [device] = facts["devices"]["value"]

    assert device["compute_mode"] == "exclusive process"
    assert device["virtualization"] == "passthrough"
    assert device["addressing"] == "HMM"
    assert device["display_active"] is False
    assert device["enforced_power_limit_watts"] == 650
    assert device["default_power_limit_watts"] == 700
    assert device["application_graphics_clock_hz"] == 1980e6
    assert device["bar1_bytes"] == 256 << 20
    assert device["numa_node"] == 1
    assert (device["vbios"], device["gsp_firmware"]) == ("96.00.99.00.01", "580.95.05")
    assert facts["confidential_computing"]["value"] is True


def test_a_mode_that_is_newer_than_this_is_given_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    [device] = collect(monkeypatch, nvmlDeviceGetVirtualizationMode=9)["devices"]["value"]

    assert device["virtualization"] == "unknown (9)"


def test_an_older_library_lacks_a_question_and_the_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = AttributeError("module 'pynvml' has no attribute 'nvmlDeviceGetAddressingMode'")
    [device] = collect(monkeypatch, nvmlDeviceGetAddressingMode=lacking)["devices"]["value"]

    assert device["addressing"] is None
    assert "no attribute" in device["errors"]["addressing"]
    assert device["name"] == "NVIDIA H200"


def test_what_is_not_supported_is_none_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    [device] = collect(monkeypatch)["devices"]["value"]

    assert device["driver_model"] is None
    assert device["max_pcie_width"] is None
    assert device["errors"]["driver_model"] == "Not Supported"
    assert "name" not in device["errors"]


@pytest.mark.parametrize(("model", "name"), [(0, "WDDM"), (1, "TCC"), (2, "MCDM"), (7, "unknown")])
def test_windows_driver_models_have_names(monkeypatch: pytest.MonkeyPatch, model: int, name: str) -> None:
    [device] = collect(monkeypatch, nvmlDeviceGetCurrentDriverModel=model)["devices"]["value"]

    assert device["driver_model"] == name


@pytest.mark.parametrize("question", ["nvmlInit", "nvmlDeviceGetCount"])
def test_without_a_driver_there_are_no_devices(monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    facts = collect(monkeypatch, **{question: FakeNvml.NVMLError("Driver Not Loaded")})

    assert facts["devices"]["value"] == []
    assert facts["devices"]["error"] == "Driver Not Loaded"


def test_a_gpu_that_fell_off_the_bus_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = FakeNvml.NVMLError("GPU is lost")
    facts = collect(monkeypatch, nvmlDeviceGetCount=2, nvmlDeviceGetHandleByIndex=lost)

    assert facts["devices"]["value"] == [{"index": index, "errors": {"handle": "GPU is lost"}} for index in range(2)]
    assert facts["driver"]["value"] == "580.95.05"


def test_without_the_library_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> ModuleType:
        raise ImportError

    monkeypatch.setattr(nvml, "library", missing)

    assert "pip install nvidia-ml-py" in nvml.collect()["devices"]["error"]


def test_the_installed_library_has_every_name_that_is_used() -> None:
    real = nvml_library.library()

    for name in FakeNvml.answers:
        assert hasattr(real, name)
    for name in ("nvmlDeviceGetCurrentDriverModel", "nvmlDeviceGetMaxPcieLinkGeneration", "NVMLError"):
        assert hasattr(real, name)
