"""What a container engine says about itself that can explain a difference, taken from `docker info` and `version`.

Left out are the host's name, the engine's identifier, registries and proxies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DESKTOP = "Docker Desktop"
NVIDIA_CDI = "nvidia.com/"


def engine_facts(version: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    """Return name → value; what the engine does not say is left out. `info` is empty where it failed."""
    found = {
        "engine": version.get("Version"),
        "engine_api": version.get("ApiVersion"),
        "storage_driver": info.get("Driver"),
        "cgroup_driver": info.get("CgroupDriver"),
        "cgroup_version": info.get("CgroupVersion"),
        "default_runtime": info.get("DefaultRuntime"),
        "runtimes": sorted(info.get("Runtimes") or ()),
        "runtime_version": _component(version, "runc"),
        "containerd_version": _component(version, "containerd"),
        "security_options": sorted(info.get("SecurityOptions") or ()),
        "engine_kernel": info.get("KernelVersion"),
        "engine_system": info.get("OperatingSystem"),
        "live_restore": info.get("LiveRestoreEnabled"),
        "cdi_gpus": _cdi_gpus(info),
    }
    desktop = {"docker_desktop": DESKTOP in str(info.get("OperatingSystem"))} if info else {}
    return {name: value for name, value in {**found, **desktop}.items() if value not in (None, "", [])}


def _component(version: Mapping[str, Any], name: str) -> str | None:
    components = version.get("Components") or ()
    return next((each.get("Version") for each in components if each.get("Name") == name), None)


def _cdi_gpus(info: Mapping[str, Any]) -> int | None:
    """Return how many NVIDIA devices the engine would inject by CDI; engines before 28.3 do not say.

    Their names are left out: they may hold a GPU's UUID.
    """
    devices = info.get("DiscoveredDevices")
    if devices is None:
        return None
    return sum(str(each.get("ID", "")).startswith(NVIDIA_CDI) for each in devices)
