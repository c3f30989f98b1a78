"""Which NVIDIA GPUs this host has, asked of the driver's management library (NVML)."""

from __future__ import annotations

import pynvml

SIMULATED = "Simulated"  # in the name of every device of the tests' simulated driver


def gpus() -> list[dict[str, str]]:
    """Return uuid, name and driver version of each GPU; none where there is no driver or it can't be asked.

    What a simulated driver reports is marked as a `stand_in`: its figures describe no hardware.
    """
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [_gpu(handle, driver) for handle in handles]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _gpu(handle: object, driver: str) -> dict[str, str]:
    name = str(pynvml.nvmlDeviceGetName(handle))
    mark = {"stand_in": "true"} if SIMULATED in name else {}
    return {"uuid": str(pynvml.nvmlDeviceGetUUID(handle)), "name": name, "driver": driver, **mark}


def host_has_gpu() -> bool:
    """Whether stacks with CUDA make sense here. Quick; any failure means no."""
    return bool(gpus())
