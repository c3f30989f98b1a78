"""The GPU's side of the samples, from NVML. Only the sampler's process calls this: the library has crashed before.

Only the GPU that the task runs on is asked: that another one was throttled says nothing of the task. CUDA counts GPUs
otherwise than NVML does, and CUDA_VISIBLE_DEVICES hides some of them, so it is found by its UUID.

While a process has NVML open, the driver keeps the GPU initialized: without persistence mode a context is then created
faster than in a machine that nobody watches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import Any

from harness.agent.telemetry.sources import Source

SELDOM = 10  # ticks; NVML measures PCIe throughput over 20 ms, during which the call waits
REASONS = "clock_event_reasons"
MEGAHERTZ = 10**6
KILOBYTE = 1000  # NVML says "KB/s" and no more

Question = tuple[str, int, Callable[[], float]]  # column, every how many ticks, how to ask


class Gpu:
    """One GPU in NVML, which stays open. `name` is by NVML's number, `gpu0`; `uuid` under MIG that of the whole GPU.

    Raises the library's NVMLError where no driver answers or it has no such GPU.
    """

    def __init__(self, nvml: ModuleType, uuid: str) -> None:
        self._nvml = nvml
        nvml.nvmlInit()
        self._handle = _handle(nvml, uuid)
        self.name = f"gpu{nvml.nvmlDeviceGetIndex(self._handle)}"
        self.uuid = str(nvml.nvmlDeviceGetUUID(self._handle))

    def sources(self) -> Iterator[Source]:
        """Yield the sources; column names begin with the GPU's, `gpu0.power_watts`."""
        errors = (self._nvml.NVMLError, AttributeError, ValueError)  # AttributeError: an older nvidia-ml-py
        for name, every, ask in _questions(self._nvml, self._handle):
            yield Source((f"{self.name}.{name}",), _single(ask), errors=errors, every=every)


def _handle(nvml: ModuleType, uuid: str) -> Any:  # noqa: ANN401 - a handle of an untyped library
    """Return the GPU of a UUID as CUDA has it; of an instance of a GPU that is divided (MIG), the whole one.

    Clocks, power and temperature are the whole GPU's.
    """
    try:
        return nvml.nvmlDeviceGetHandleByUUID(uuid)
    except nvml.NVMLError:
        instance = nvml.nvmlDeviceGetHandleByUUID(uuid.replace("GPU-", "MIG-", 1))
        return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(instance)


def _single(ask: Callable[[], float]) -> Callable[[], Sequence[float]]:
    return lambda: (ask(),)


def _questions(nvml: ModuleType, gpu: Any) -> Sequence[Question]:  # noqa: ANN401 - a handle of an untyped library
    """Return what is asked of one GPU; transmitted and received are meant from the GPU's side."""
    return (
        ("sm_clock_hz", 1, lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM) * MEGAHERTZ),
        ("memory_clock_hz", 1, lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM) * MEGAHERTZ),
        ("power_watts", 1, lambda: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000),
        ("temperature_celsius", 1, lambda: nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU)),
        (REASONS, 1, lambda: _reasons(nvml, gpu)),
        ("utilization_percent", 1, lambda: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu),
        ("ecc_errors", 1, lambda: _memory_errors(nvml, gpu)),
        ("memory_used_bytes", SELDOM, lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).used),
        ("pcie_generation", 1, lambda: nvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu)),
        ("pcie_width", 1, lambda: nvml.nvmlDeviceGetCurrPcieLinkWidth(gpu)),
        ("pcie_replays", SELDOM, lambda: nvml.nvmlDeviceGetPcieReplayCounter(gpu)),
        ("pcie_transmitted_bytes_per_second", SELDOM, lambda: _throughput(nvml, gpu, nvml.NVML_PCIE_UTIL_TX_BYTES)),
        ("pcie_received_bytes_per_second", SELDOM, lambda: _throughput(nvml, gpu, nvml.NVML_PCIE_UTIL_RX_BYTES)),
    )


def _reasons(nvml: ModuleType, gpu: Any) -> int:  # noqa: ANN401 - a handle of an untyped library
    """Return the bits; drivers before 535 know the call by its older name, which goes away in CUDA 14."""
    try:
        return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu))
    except (nvml.NVMLError_FunctionNotFound, AttributeError):
        return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu))


def _memory_errors(nvml: ModuleType, gpu: Any) -> int:  # noqa: ANN401 - likewise
    """Return how many memory errors were counted since the driver was loaded, corrected or not."""
    kinds = (nvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED)
    return sum(int(nvml.nvmlDeviceGetTotalEccErrors(gpu, kind, nvml.NVML_VOLATILE_ECC)) for kind in kinds)


def _throughput(nvml: ModuleType, gpu: Any, direction: int) -> int:  # noqa: ANN401 - likewise
    return int(nvml.nvmlDeviceGetPcieThroughput(gpu, direction)) * KILOBYTE
