"""The creation request of a container, compared as a whole, without an engine."""

from __future__ import annotations

from pathlib import Path, PureWindowsPath
from typing import Any

import pytest

from harness.errors import PlatformError
from harness.platforms.container_options import container_options, gpu_request, parse_mount
from tests.platforms.jobs import container_config

LABELS = {"org.overhead-matrix.run": "t"}
ALL_GPUS = {"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}


def options(device: str = "cpu", environ: dict[str, str] | None = None, **config: object) -> dict[str, Any]:
    return container_options(
        container_config(**config),
        image="sha256:1",
        command=("/opt/stack/bin/python", "-I", "/overhead/agent.pyz", "run", "spec.json", "result.json"),
        device=device,
        work=Path("/cache/work"),
        agent=Path("/cache/agent.pyz"),
        bind=Path("/cache/bind"),
        volume="overhead-matrix-t-docker",
        resources={"tf_benchmarks": Path("/cache/tf")},
        labels=LABELS,
        needed={},
        environ=environ or {},
    )


def bound(source: str, target: str, *, read_only: bool) -> dict[str, object]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}


MOUNTS = [
    bound("/cache/work", "/overhead/work", read_only=False),
    bound("/cache/agent.pyz", "/overhead/agent.pyz", read_only=True),
    bound("/cache/bind", "/overhead/bind", read_only=False),
    {
        "Type": "volume",
        "Source": "overhead-matrix-t-docker",
        "Target": "/overhead/volume",
        "ReadOnly": False,
        "VolumeOptions": {"Labels": LABELS},
    },
    {"Type": "tmpfs", "Target": "/overhead/tmpfs"},
    bound("/cache/tf", "/overhead/resources/tf_benchmarks", read_only=True),
]


def test_a_container_without_options() -> None:
    assert options() == {
        "Image": "sha256:1",
        "Entrypoint": ["/opt/stack/bin/python", "-I", "/overhead/agent.pyz", "run", "spec.json", "result.json"],
        "Cmd": [],
        "WorkingDir": "/overhead/work",
        "Env": [],
        "Labels": LABELS,
        "HostConfig": {
            "Init": True,
            "NetworkMode": "none",
            "LogConfig": {"Type": "none"},
            "SecurityOpt": ["label=disable"],
            "Mounts": MOUNTS,
        },
    }


def test_every_option() -> None:
    found = options(
        "cuda:0",
        {"CUDA_VISIBLE_DEVICES": "1", "OMP_NUM_THREADS": "7"},
        gpus="all",
        cpus=0.5,
        cpuset="0-1",
        memory="1g",
        shm_size="64m",
        ipc="host",
        ulimits={"memlock": -1},
        runtime="nvidia",
        network="host",
        environment={"A": "b c"},
        mounts=["/data:/data:ro", "/more:/more"],
    )
    assert found["Env"] == ["NVIDIA_DRIVER_CAPABILITIES=compute,utility", "CUDA_VISIBLE_DEVICES=1", "A=b c"]
    assert found["HostConfig"] == {
        "Init": True,
        "NetworkMode": "host",
        "LogConfig": {"Type": "none"},
        "SecurityOpt": ["label=disable"],
        "Mounts": [
            *MOUNTS,
            bound("/data", "/data", read_only=True),
            bound("/more", "/more", read_only=False),
        ],
        "DeviceRequests": [ALL_GPUS],
        "NanoCpus": 500_000_000,
        "CpusetCpus": "0-1",
        "Memory": 1 << 30,
        "ShmSize": 64 << 20,
        "IpcMode": "host",
        "Runtime": "nvidia",
        "Ulimits": [{"Name": "memlock", "Soft": -1, "Hard": -1}],
    }


@pytest.mark.parametrize(
    ("gpus", "device", "request_"),
    [
        (None, "cpu", None),
        ("all", "cpu", None),
        ("none", "cuda:0", None),
        (None, "cuda:0", ALL_GPUS),
        ("all", "cuda:1", ALL_GPUS),
        ("GPU-1a2b", "cuda:0", {"Driver": "", "DeviceIDs": ["GPU-1a2b"], "Capabilities": [["gpu"]]}),
        ("GPU-1a, GPU-2b", "cuda:0", {"Driver": "", "DeviceIDs": ["GPU-1a", "GPU-2b"], "Capabilities": [["gpu"]]}),
        ("nvidia.com/gpu=all", "cuda:0", {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=all"]}),
    ],
)
def test_gpu_requests(gpus: str | None, device: str, request_: dict[str, object] | None) -> None:
    assert gpu_request(container_config(gpus=gpus), device) == request_


def test_the_users_environment_wins_over_what_a_gpu_needs() -> None:
    found = options("cuda:0", environment={"NVIDIA_DRIVER_CAPABILITIES": "all"})
    assert found["Env"] == ["NVIDIA_DRIVER_CAPABILITIES=all"]


@pytest.mark.parametrize(
    ("text", "source", "target", "read_only"),
    [
        ("/a:/b", "/a", "/b", False),
        ("/a b:/b c:ro", "/a b", "/b c", True),
        (r"C:\data:/data:ro", r"C:\data", "/data", True),
        ("C:/data:/data", "C:/data", "/data", False),
    ],
)
def test_mounts(text: str, source: str, target: str, *, read_only: bool) -> None:
    assert parse_mount(text) == bound(source, target, read_only=read_only)


@pytest.mark.parametrize("text", ["/a", "/a:b", ":/b", "/a:/b:rw:x", ""])
def test_a_mount_that_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(PlatformError, match="can't be read"):
        parse_mount(text)


def test_folders_of_windows_are_named_as_docker_desktop_takes_them() -> None:
    """By drive letter, as Docker's own client for Windows sends them."""
    found = container_options(
        container_config(mounts=["D:\\data:/data:ro"]),
        image="sha256:1",
        command=("python3",),
        device="cpu",
        work=PureWindowsPath(r"C:\Users\me\work"),
        agent=PureWindowsPath(r"C:\Users\me\agent.pyz"),
        bind=PureWindowsPath(r"C:\Users\me\bind"),
        volume="overhead-matrix-t-docker",
        resources={},
        labels=LABELS,
        needed={},
        environ={},
    )
    mounts = {each["Target"]: each.get("Source") for each in found["HostConfig"]["Mounts"]}
    assert mounts["/overhead/work"] == r"C:\Users\me\work"
    assert mounts["/overhead/agent.pyz"] == r"C:\Users\me\agent.pyz"
    assert mounts["/data"] == r"D:\data"
