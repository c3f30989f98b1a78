"""Asks NVML about every GPU: run by `gpu` in a process of its own, answers with JSON on stdout.

What a driver does not support is None, and `errors` of the device says why. Nothing is assumed from the platform.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from harness.agent.inspection.facts import Fact
from harness.agent.nvml_library import library

DRIVER_MODELS = {0: "WDDM", 1: "TCC", 2: "MCDM"}
Device = dict[str, Any]


def main() -> int:
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
    }


def _fact(nvml: ModuleType, source: str, get: Callable[[], object]) -> Fact:
    try:
        return {"value": get(), "source": source}
    except nvml.NVMLError as error:
        return {"value": None, "source": source, "error": str(error)}


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
        except nvml.NVMLError as error:
            values[name] = None
            errors[name] = str(error)
    return {**values, "errors": errors}


def _questions(nvml: ModuleType, gpu: object) -> Mapping[str, Callable[[], object]]:
    """Return what is asked of one GPU: name, with its unit, → how to get it."""
    return {
        "name": lambda: nvml.nvmlDeviceGetName(gpu),
        "uuid": lambda: nvml.nvmlDeviceGetUUID(gpu),
        "compute_capability": lambda: ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(gpu))),
        "memory_bytes": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
        "driver_model": lambda: DRIVER_MODELS.get(nvml.nvmlDeviceGetCurrentDriverModel(gpu), "unknown"),
        "ecc": lambda: nvml.nvmlDeviceGetCurrentEccMode(gpu) == nvml.NVML_FEATURE_ENABLED,
        "mig": lambda: nvml.nvmlDeviceGetMigMode(gpu)[0] == nvml.NVML_DEVICE_MIG_ENABLE,
        "persistence": lambda: nvml.nvmlDeviceGetPersistenceMode(gpu) == nvml.NVML_FEATURE_ENABLED,
        "power_limit_watts": lambda: nvml.nvmlDeviceGetPowerManagementLimit(gpu) / 1e3,
        "graphics_clock_hz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_GRAPHICS) * 1e6,
        "memory_clock_hz": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM) * 1e6,
        "max_graphics_clock_hz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_GRAPHICS) * 1e6,
        "max_memory_clock_hz": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_MEM) * 1e6,
        "pcie_generation": lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu),
        "pcie_width": lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(gpu),
        "max_pcie_generation": lambda: nvml.nvmlDeviceGetMaxPcieLinkGeneration(gpu),
        "max_pcie_width": lambda: nvml.nvmlDeviceGetMaxPcieLinkWidth(gpu),
    }
