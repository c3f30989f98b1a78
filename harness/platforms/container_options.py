"""A container's creation request: a pure function of the platform's options and the job.

The keys are those of the Engine API's `POST /containers/create`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from harness.agent.messages import Location
from harness.errors import PlatformError
from harness.matrix.model import Container
from harness.matrix.units import size
from harness.platforms.agent_call import GPU_CHOICE

WORK = "/overhead/work"
AGENT = "/overhead/agent.pyz"
BIND = "/overhead/bind"
VOLUME = "/overhead/volume"
TMPFS = "/overhead/tmpfs"
RESOURCES = "/overhead/resources"

LOCATIONS = (
    Location(name="overlay", path="/tmp"),  # noqa: S108 - the container's writable layer
    Location(name="bind", path=BIND),
    Location(name="volume", path=VOLUME),
    Location(name="tmpfs", path=TMPFS),
)


def container_options(
    config: Container,
    *,
    image: str,
    command: Sequence[str],
    device: str,
    work: PurePath,
    agent: PurePath,
    bind: PurePath,
    volume: str,
    resources: Mapping[str, PurePath],
    labels: Mapping[str, str],
    needed: Mapping[str, str],
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """Return the request for one invocation's container.

    Folders are named as this host names them: Docker Desktop's engine takes a drive letter.
    `needed` are the variables that the stack cannot do without, `environ` is the controller's environment. Raises
    PlatformError for a mount that can't be read.
    """
    gpus = gpu_request(config, device)
    return {
        "Image": image,
        "Entrypoint": list(command),
        "Cmd": [],
        "WorkingDir": WORK,
        "Env": [f"{name}={value}" for name, value in {**needed, **_environment(config, gpus, environ)}.items()],
        "Labels": dict(labels),
        "HostConfig": {
            "Init": True,  # a process 1 that passes signals on and reaps what the agent leaves
            "NetworkMode": config.network,
            "LogConfig": {"Type": "none"},  # the output is read while it comes; the engine need not keep it too
            "SecurityOpt": ["label=disable"],  # under SELinux the bound folders could not be read otherwise
            "Mounts": [
                _mount("bind", str(work), WORK),
                _mount("bind", str(agent), AGENT, read_only=True),
                _mount("bind", str(bind), BIND),
                {**_mount("volume", volume, VOLUME), "VolumeOptions": {"Labels": dict(labels)}},
                {"Type": "tmpfs", "Target": TMPFS},
                *(_mount("bind", str(path), inside(name), read_only=True) for name, path in resources.items()),
                *map(parse_mount, config.mounts),
            ],
            **({"DeviceRequests": [gpus]} if gpus else {}),
            **_limits(config),
        },
    }


def inside(resource: str) -> str:
    """Return where a resource is mounted."""
    return f"{RESOURCES}/{resource}"


def gpu_request(config: Container, device: str) -> dict[str, Any] | None:
    """Return the device request of a CUDA cell: all GPUs, those named (`GPU-…,GPU-…`), or CDI devices."""
    if device == "cpu" or config.gpus == "none":
        return None
    if config.gpus in {None, "all"}:
        return {"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}
    named = [part.strip() for part in str(config.gpus).split(",")]
    if all(re.fullmatch(r"[\w.-]+/[\w.-]+=[\w.:-]+", part) for part in named):
        return {"Driver": "cdi", "DeviceIDs": named}
    return {"Driver": "", "DeviceIDs": named, "Capabilities": [["gpu"]]}


def parse_mount(text: str) -> dict[str, Any]:
    """Read `/host/path:/path/inside[:ro]`; a drive letter may come first."""
    match = re.fullmatch(r"(?P<source>(?:[A-Za-z]:)?[^:]+):(?P<target>/[^:]*)(?P<read_only>:ro)?", text)
    if not match:
        raise PlatformError(f"mount {text!r} can't be read", "Write /host/path:/path/inside or add :ro to it.")
    return _mount("bind", match["source"], match["target"], read_only=match["read_only"] is not None)


def _mount(kind: str, source: str, target: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"Type": kind, "Source": source, "Target": target, "ReadOnly": read_only}


def _environment(config: Container, gpus: Mapping[str, Any] | None, environ: Mapping[str, str]) -> dict[str, str]:
    if gpus is None:
        return dict(config.environment)
    chosen = {name: environ[name] for name in GPU_CHOICE if name in environ}
    # Without `utility` there is no NVML inside, whatever an image's own default says.
    return {"NVIDIA_DRIVER_CAPABILITIES": "compute,utility"} | chosen | config.environment


def _limits(config: Container) -> dict[str, Any]:
    limits: dict[str, Any] = {
        "NanoCpus": round(config.cpus * 1e9) if config.cpus is not None else None,
        "CpusetCpus": config.cpuset,
        "Memory": size(config.memory) if config.memory is not None else None,
        "ShmSize": size(config.shm_size) if config.shm_size is not None else None,
        "IpcMode": config.ipc,
        "Runtime": config.runtime,
        "Ulimits": [{"Name": name, "Soft": limit, "Hard": limit} for name, limit in config.ulimits.items()] or None,
    }
    return {name: value for name, value in limits.items() if value is not None}
