"""What the driver says of each GPU at this moment, beside what the inspection says of it.

Asked in a process of its own, as the inspection does: NVML has crashed on some platforms. What a device does not tell
is None, and its `errors` say why.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from harness.agent.inspection.facts import Fact
from harness.agent.nvml_library import library
from harness.errors import PlatformError
from harness.runner import process

SOURCE = "NVML"
SECONDS = 30.0  # as the inspection: the driver of an idle GPU may need several to wake up
Questions = Mapping[str, Callable[[], object]]


def inspect() -> Fact:
    """Return a list of one mapping a GPU, in NVML's order; temperatures are °C."""
    try:
        answer = process.capture((sys.executable, "-m", "harness.doctor.gpu_state"), timeout=SECONDS)
    except PlatformError as error:
        return _absent(str(error))
    if answer.code:
        last = (answer.stderr.strip().splitlines() or [f"exit status {answer.code}"])[-1]
        return _absent(f"NVML could not be asked: {last}")
    return {"value": json.loads(answer.stdout), "source": SOURCE}


def _absent(error: str) -> Fact:
    return {"value": None, "source": SOURCE, "error": error}


def collect(nvml: ModuleType) -> list[dict[str, Any]]:
    """Ask about every GPU. Raises NVMLError where there is no driver."""
    nvml.nvmlInit()
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        return [_device(nvml, _questions(nvml, handle)) for handle in handles]
    finally:
        nvml.nvmlShutdown()


def _device(nvml: ModuleType, questions: Questions) -> dict[str, Any]:
    values: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for name, ask in questions.items():
        try:
            values[name] = ask()
        except (nvml.NVMLError, AttributeError) as error:  # AttributeError: nvidia-ml-py is older than the question
            values[name] = None
            errors[name] = str(error)
    return {**values, "errors": errors}


def _questions(nvml: ModuleType, gpu: object) -> Questions:
    return {
        "celsius": lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU),
        "slowdown_celsius": lambda: nvml.nvmlDeviceGetTemperatureThreshold(
            gpu, nvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN
        ),
        "ecc": lambda: nvml.nvmlDeviceGetEccMode(gpu),  # current and pending
        "clock_reasons": lambda: _clock_reasons(nvml, gpu),
        "computing": lambda: [each.pid for each in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)],
        "drawing": lambda: [each.pid for each in nvml.nvmlDeviceGetGraphicsRunningProcesses(gpu)],
    }


def _clock_reasons(nvml: ModuleType, gpu: object) -> int:
    """Return the bit mask of what holds the clocks down; the second name is that of older drivers."""
    try:
        return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu))
    except (nvml.NVMLError_FunctionNotFound, AttributeError):
        return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(collect(library())))
