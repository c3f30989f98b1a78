"""Which NVIDIA GPUs this host has, asked of the driver's management library (NVML)."""

from __future__ import annotations

import pynvml


def gpus() -> list[dict[str, str]]:
    """Return uuid, name and driver version of each GPU; none where there is no driver or it can't be asked."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [
            {
                "uuid": str(pynvml.nvmlDeviceGetUUID(handle)),
                "name": str(pynvml.nvmlDeviceGetName(handle)),
                "driver": driver,
            }
            for handle in handles
        ]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def host_has_gpu() -> bool:
    """Whether stacks with CUDA make sense here. Quick; any failure means no."""
    return bool(gpus())
