"""What a container engine says about itself that can explain a difference, taken from `docker info` and `version`.

Left out are the host's name, the engine's identifier, registries and proxies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.agent.inspection.facts import Fact

DESKTOP = "Docker Desktop"
WSL = "microsoft-standard-WSL2"  # in the release of the kernel
SOURCE = "docker info, docker version"
# Of `engine_facts`, what explains a difference between platforms; what only `docker info` tells.
TELLING = ("engine", "engine_place", "engine_system", "engine_kernel", "docker_desktop", "runtime_version")
BY_INFO = ("storage_driver", "cgroup_driver", "cgroup_version", "default_runtime", "security_options")
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
    place = engine_place(version, info)
    if place:
        found |= {"engine_place": place, "docker_desktop": place == DESKTOP}
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def engine_place(version: Mapping[str, Any], info: Mapping[str, Any]) -> str:
    """Return where the engine runs: Docker Desktop's own machine, a distribution of WSL2, or a Linux; empty if unknown.

    From a distribution both engines of WSL2 can be reached, by the same client and on the same kernel; Docker Desktop
    gives itself away by name, in `version` too where its `info` fails.
    """
    names = (info.get("OperatingSystem"), (version.get("Platform") or {}).get("Name"))
    if any(DESKTOP in str(name) for name in names):
        return DESKTOP
    kernel = str(info.get("KernelVersion") or version.get("KernelVersion") or "")
    if WSL in kernel:
        return "a distribution of WSL2"
    return "a Linux of its own" if info else ""


def platform_facts(engine: Mapping[str, Any], failure: str = "") -> dict[str, Fact]:
    """Return, of `engine_facts`, what belongs into the platform's inspection.

    Where `docker info` failed, for the reason `failure`, what it alone tells is unreadable, which is not absent.
    """
    told = {name: {"value": engine[name], "source": SOURCE} for name in (*TELLING, *BY_INFO) if name in engine}
    if failure:
        told |= {name: {"value": None, "source": "docker info", "error": failure} for name in BY_INFO}
    return {f"container.{name}": each for name, each in told.items()}


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
