"""Asks NVML about every GPU: run by `gpu` in a process of its own, answers with JSON on stdout.

What a driver does not support is None, and `errors` of the device says why. Nothing is assumed from the platform.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from harness.agent.inspection.facts import Fact
from harness.agent.nvml_library import library

DRIVER_MODELS = {0: "WDDM", 1: "TCC", 2: "MCDM"}
# In the order of nvml.h's enumerations.
COMPUTE_MODES = ("default", "exclusive thread", "prohibited", "exclusive process")
VIRTUALIZATION = ("bare metal", "passthrough", "vGPU", "host of vGPU", "host of vSGA")
ADDRESSING = ("none", "HMM", "ATS")
Device = dict[str, Any]


def main(_arguments: Sequence[str]) -> int:
    """Write the facts as JSON to stdout."""
    sys.stdout.write(json.dumps(collect()))
    return 0


def collect() -> dict[str, Fact]:
    """Return `devices`, `driver`, `nvml` and `cuda_driver`; without a driver only `devices`, empty, with the error."""
    try:
        nvml = library()
    except ImportError:
        return _absent("nvidia-ml-py is not there: python -m pip install nvidia-ml-py")
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        return _absent(str(error))
    try:
        return _facts(nvml)
    finally:
        nvml.nvmlShutdown()


def _absent(error: str) -> dict[str, Fact]:
    return {"devices": {"value": [], "source": "nvmlInit", "error": error}}


def _facts(nvml: ModuleType) -> dict[str, Fact]:
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        return _absent(str(error))
    return {
        "devices": {"value": [_device(nvml, index) for index in range(count)], "source": "NVML"},
        "driver": _fact(nvml, "nvmlSystemGetDriverVersion", nvml.nvmlSystemGetDriverVersion),
        "nvml": _fact(nvml, "nvmlSystemGetNVMLVersion", nvml.nvmlSystemGetNVMLVersion),
        "cuda_driver": _fact(nvml, "nvmlSystemGetCudaDriverVersion", lambda: _cuda_version(nvml)),
        "confidential_computing": _fact(nvml, "nvmlSystemGetConfComputeState", lambda: _confidential(nvml)),
    }


def _fact(nvml: ModuleType, source: str, get: Callable[[], object]) -> Fact:
    try:
        return {"value": get(), "source": source}
    except _refusals(nvml) as error:
        return {"value": None, "source": source, "error": str(error)}


def _refusals(nvml: ModuleType) -> tuple[type[BaseException], ...]:
    """What a question may raise; AttributeError where an installed nvidia-ml-py is older than the question."""
    return nvml.NVMLError, AttributeError


def _confidential(nvml: ModuleType) -> bool:
    """Whether copies go through encrypted bounce buffers."""
    return bool(nvml.nvmlSystemGetConfComputeState().ccFeature)


def _cuda_version(nvml: ModuleType) -> str:
    version = nvml.nvmlSystemGetCudaDriverVersion_v2()
    return f"{version // 1000}.{version % 1000 // 10}"


def _device(nvml: ModuleType, index: int) -> Device:
    """Return one GPU's values by name; `errors` gives NVML's word for each that is None."""
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:
        return {"index": index, "errors": {"handle": str(error)}}
    values: Device = {"index": index}
    errors: dict[str, str] = {}
    for name, get in _questions(nvml, handle).items():
        try:
            values[name] = get()
        except _refusals(nvml) as error:
            values[name] = None
            errors[name] = str(error)
    return {**values, "errors": errors}


def _questions(nvml: ModuleType, gpu: object) -> Mapping[str, Callable[[], object]]:
    """Return what is asked of one GPU: name, with its unit, → how to get it."""
    return {
        **_identity(nvml, gpu),
        **_modes(nvml, gpu),
        **_power_and_clocks(nvml, gpu),
        **_bus(nvml, gpu),
    }


def _identity(nvml: ModuleType, gpu: object) -> Mapping[str, Callable[[], object]]:
    return {
        "name": lambda: nvml.nvmlDeviceGetName(gpu),
        "uuid": lambda: nvml.nvmlDeviceGetUUID(gpu),
        "compute_capability": lambda: ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(gpu))),
        "memory_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
        "vbios": lambda: nvml.nvmlDeviceGetVbiosVersion(gpu),
        "gsp_firmware": lambda: _text(nvml.nvmlDeviceGetGspFirmwareVersion(gpu)),
    }


def _modes(nvml: ModuleType, gpu: object) -> Mapping[str, Callable[[], object]]:
    def enabled(mode: object) -> bool:
        return bool(mode == nvml.NVML_FEATURE_ENABLED)

    return {
        "driver_model": lambda: _driver_model(nvml.nvmlDeviceGetCurrentDriverModel(gpu)),
        "pending_driver_model": lambda: _driver_model(nvml.nvmlDeviceGetPendingDriverModel(gpu)),
        "ecc": lambda: enabled(nvml.nvmlDeviceGetCurrentEccMode(gpu)),
        "mig": lambda: nvml.nvmlDeviceGetMigMode(gpu)[0] == nvml.NVML_DEVICE_MIG_ENABLE,
        "persistence": lambda: enabled(nvml.nvmlDeviceGetPersistenceMode(gpu)),
        "compute_mode": lambda: _named(COMPUTE_MODES, nvml.nvmlDeviceGetComputeMode(gpu)),
        "virtualization": lambda: _named(VIRTUALIZATION, nvml.nvmlDeviceGetVirtualizationMode(gpu)),
        "addressing": lambda: _named(ADDRESSING, nvml.nvmlDeviceGetAddressingMode(gpu)),
        "display_connected": lambda: enabled(nvml.nvmlDeviceGetDisplayMode(gpu)),
        "display_active": lambda: enabled(nvml.nvmlDeviceGetDisplayActive(gpu)),
    }


def _power_and_clocks(nvml: ModuleType, gpu: object) -> Mapping[str, Callable[[], object]]:
    graphics, memory = nvml.NVML_CLOCK_GRAPHICS, nvml.NVML_CLOCK_MEM
    return {
        "power_limit_watts": lambda: nvml.nvmlDeviceGetPowerManagementLimit(gpu) / 1e3,
        "default_power_limit_watts": lambda: nvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu) / 1e3,
        "enforced_power_limit_watts": lambda: nvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1e3,
        "graphics_clock_hz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, graphics) * 1e6,
        "memory_clock_hz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, memory) * 1e6,
        "max_graphics_clock_hz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, graphics) * 1e6,
        "max_memory_clock_hz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, memory) * 1e6,
        "application_graphics_clock_hz": lambda: nvml.nvmlDeviceGetApplicationsClock(gpu, graphics) * 1e6,
        "application_memory_clock_hz": lambda: nvml.nvmlDeviceGetApplicationsClock(gpu, memory) * 1e6,
    }


def _bus(nvml: ModuleType, gpu: object) -> Mapping[str, Callable[[], object]]:
    """The current link is that of an idle GPU here, which sleeps; telemetry reads it while a task runs."""
    return {
        "pcie_generation": lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu),
        "pcie_width": lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(gpu),
        "max_pcie_generation": lambda: nvml.nvmlDeviceGetMaxPcieLinkGeneration(gpu),
        "max_pcie_width": lambda: nvml.nvmlDeviceGetMaxPcieLinkWidth(gpu),
        "bar1_bytes": lambda: nvml.nvmlDeviceGetBAR1MemoryInfo(gpu).bar1Total,
        "numa_node": lambda: nvml.nvmlDeviceGetNumaNodeId(gpu),
    }


def _text(value: str | bytes) -> str:
    """Return a text that nvidia-ml-py forgets to decode."""
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value


def _driver_model(model: int) -> str:
    return DRIVER_MODELS.get(model, "unknown")


def _named(names: tuple[str, ...], value: int) -> str:
    return names[value] if value < len(names) else f"unknown ({value})"
