"""A fake of nvidia-ml-py: one GPU that answers some questions, supports others not, and no more."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import ClassVar


class FakeNvml(ModuleType):
    """Stands in for pynvml: one GPU that answers some questions, supports others not, and no more."""

    NVML_FEATURE_ENABLED = 1
    NVML_DEVICE_MIG_ENABLE = 1
    NVML_CLOCK_GRAPHICS = 0
    NVML_CLOCK_MEM = 2

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0
    NVML_PCIE_UTIL_TX_BYTES = 0
    NVML_PCIE_UTIL_RX_BYTES = 1
    NVML_MEMORY_ERROR_TYPE_CORRECTED = 0
    NVML_MEMORY_ERROR_TYPE_UNCORRECTED = 1
    NVML_VOLATILE_ECC = 0

    class NVMLError(Exception):
        pass

    class NVMLError_FunctionNotFound(NVMLError):  # noqa: N801, N818 - nvidia-ml-py's name
        pass

    answers: ClassVar[dict[str, object]] = {
        "nvmlDeviceGetCount": 1,
        "nvmlSystemGetDriverVersion": "580.95.05",
        "nvmlSystemGetNVMLVersion": "13.580.95.05",
        "nvmlSystemGetCudaDriverVersion_v2": 13020,
        "nvmlDeviceGetHandleByIndex": object(),
        "nvmlDeviceGetHandleByUUID": object(),
        "nvmlDeviceGetIndex": 0,
        "nvmlDeviceGetName": "NVIDIA H200",
        "nvmlDeviceGetUUID": "GPU-0123",
        "nvmlDeviceGetCudaComputeCapability": (9, 0),
        "nvmlDeviceGetMemoryInfo": SimpleNamespace(total=150_000_000_000),
        "nvmlDeviceGetCurrentEccMode": 1,
        "nvmlDeviceGetMigMode": [0, 0],
        "nvmlDeviceGetPersistenceMode": 0,
        "nvmlDeviceGetPowerManagementLimit": 700_000,
        "nvmlDeviceGetClockInfo": 345,
        "nvmlDeviceGetMaxClockInfo": 1980,
        "nvmlDeviceGetCurrPcieLinkGeneration": 5,
        "nvmlDeviceGetCurrPcieLinkWidth": 16,
        "nvmlDeviceGetVbiosVersion": "96.00.99.00.01",
        "nvmlDeviceGetGspFirmwareVersion": b"580.95.05",
        "nvmlDeviceGetComputeMode": 3,
        "nvmlDeviceGetVirtualizationMode": 1,
        "nvmlDeviceGetAddressingMode": 1,
        "nvmlDeviceGetDisplayActive": 0,
        "nvmlDeviceGetEnforcedPowerLimit": 650_000,
        "nvmlDeviceGetPowerManagementDefaultLimit": 700_000,
        "nvmlDeviceGetApplicationsClock": 1980,
        "nvmlDeviceGetBAR1MemoryInfo": SimpleNamespace(bar1Total=256 << 20),
        "nvmlDeviceGetNumaNodeId": 1,
        "nvmlSystemGetConfComputeState": SimpleNamespace(ccFeature=1),
        "nvmlInit": None,
        "nvmlShutdown": None,
    }

    def __init__(self, **changes: object) -> None:
        super().__init__("pynvml")
        self.asked = self.answers | changes

    def __getattr__(self, name: str) -> Callable[..., object]:
        if not name.startswith("nvml"):
            raise AttributeError(name)
        answer = self.asked.get(name, self.NVMLError("Not Supported"))

        def ask(*_arguments: object) -> object:
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask
