"""What NVML is asked, with a fake of it: a machine with a GPU is no condition of the tests."""

from __future__ import annotations

import pynvml
import pytest

from harness import gpu


@pytest.fixture
def fake_nvml(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two GPUs; the list returned tells which calls of init and shutdown came."""
    calls: list[str] = []
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: calls.append("init"))
    monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: calls.append("shutdown"))
    monkeypatch.setattr(pynvml, "nvmlSystemGetDriverVersion", lambda: "600.1")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 2)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", lambda index: index)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUUID", lambda index: f"GPU-{index}")
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda _index: "Fake")
    return calls


def test_names_every_gpu(fake_nvml: list[str]) -> None:
    assert gpu.gpus() == [{"uuid": f"GPU-{index}", "name": "Fake", "driver": "600.1"} for index in (0, 1)]
    assert gpu.host_has_gpu()
    assert fake_nvml == ["init", "shutdown"] * 2


def test_a_simulated_device_is_marked(fake_nvml: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetName", lambda index: ("Fake", "Simulated GPU")[index])
    assert [each.get("stand_in", "") for each in gpu.gpus()] == ["", "true"]


def test_a_driver_without_a_device_is_no_gpu(fake_nvml: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 0)
    assert not gpu.host_has_gpu()


@pytest.mark.parametrize("failing", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetUUID"])
def test_any_failure_is_no_gpu(fake_nvml: list[str], monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def fail(*_arguments: object) -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, failing, fail)
    assert not gpu.host_has_gpu()
    assert fake_nvml in ([], ["init", "shutdown"])
