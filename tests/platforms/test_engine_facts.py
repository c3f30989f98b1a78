from __future__ import annotations

import json

import pytest

from harness.platforms.engine_facts import engine_facts, engine_place, platform_facts

VERSION = {
    "Version": "29.1.0",
    "ApiVersion": "1.52",
    "Components": [{"Name": "Engine", "Version": "29.1.0"}, {"Name": "runc", "Version": "1.3.3"}],
}
INFO = {
    "ID": "SECRET-ID",
    "Name": "secret-host",
    "HttpProxy": "http://secret-user@proxy",
    "Driver": "overlay2",
    "CgroupDriver": "systemd",
    "CgroupVersion": "2",
    "DefaultRuntime": "runc",
    "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "/opt/secret/nvidia-container-runtime"}},
    "SecurityOptions": ["name=seccomp,profile=builtin", "name=cgroupns"],
    "KernelVersion": "6.6.87.2-microsoft-standard-WSL2",
    "OperatingSystem": "Docker Desktop",
    "LiveRestoreEnabled": False,
    "DiscoveredDevices": [
        {"Source": "cdi", "ID": "nvidia.com/gpu=all"},
        {"Source": "cdi", "ID": "nvidia.com/gpu=GPU-1"},
        {"Source": "cdi", "ID": "vendor.com/nic=0"},
    ],
}


def test_what_explains_a_difference_is_taken_and_what_names_a_machine_is_not() -> None:
    found = engine_facts(VERSION, INFO)

    assert found == {
        "engine": "29.1.0",
        "engine_api": "1.52",
        "storage_driver": "overlay2",
        "cgroup_driver": "systemd",
        "cgroup_version": "2",
        "default_runtime": "runc",
        "runtimes": ["nvidia", "runc"],
        "runtime_version": "1.3.3",
        "security_options": ["name=cgroupns", "name=seccomp,profile=builtin"],
        "engine_kernel": "6.6.87.2-microsoft-standard-WSL2",
        "engine_system": "Docker Desktop",
        "live_restore": False,
        "cdi_gpus": 2,
        "docker_desktop": True,
        "engine_place": "Docker Desktop",
    }
    assert "secret" not in json.dumps(found).lower()


def test_an_engine_whose_info_fails_still_has_its_version() -> None:
    assert engine_facts(VERSION, {}) == {"engine": "29.1.0", "engine_api": "1.52", "runtime_version": "1.3.3"}


@pytest.mark.parametrize("nothing", [None, [], {}])
def test_an_older_engine_says_less(nothing: object) -> None:
    info = {"Driver": "overlay2", "OperatingSystem": "Debian", "Runtimes": nothing, "SecurityOptions": nothing}

    assert engine_facts({"Version": "20.10.24", "Components": None}, info) == {
        "engine": "20.10.24",
        "storage_driver": "overlay2",
        "engine_system": "Debian",
        "docker_desktop": False,
        "engine_place": "a Linux of its own",
    }


KERNEL = "6.6.87.2-microsoft-standard-WSL2"


@pytest.mark.parametrize(
    ("version", "info", "place"),
    [
        ({}, {"OperatingSystem": "Docker Desktop", "KernelVersion": KERNEL}, "Docker Desktop"),
        ({"Platform": {"Name": "Docker Desktop 4.55.0 (1)"}, "KernelVersion": KERNEL}, {}, "Docker Desktop"),
        ({}, {"OperatingSystem": "Ubuntu 24.04.3 LTS", "KernelVersion": KERNEL}, "a distribution of WSL2"),
        ({"Platform": {"Name": "Docker Engine - Community"}, "KernelVersion": KERNEL}, {}, "a distribution of WSL2"),
        ({}, {"OperatingSystem": "Debian GNU/Linux 12", "KernelVersion": "6.1.0-28-amd64"}, "a Linux of its own"),
        ({"Platform": None}, {}, ""),
    ],
)
def test_docker_desktop_is_told_from_an_engine_in_a_distribution(
    version: dict[str, object], info: dict[str, object], place: str
) -> None:
    assert engine_place(version, info) == place
    facts = platform_facts(engine_facts(version, info))
    assert facts.get("container.engine_place", {}).get("value", "") == place
    assert facts.get("container.docker_desktop", {}).get("value", False) == (place == "Docker Desktop")


def test_engine_and_storage_driver_are_facts_with_their_source() -> None:
    facts = platform_facts(engine_facts(VERSION, INFO))
    assert facts["container.engine"] == {"value": "29.1.0", "source": "docker info, docker version"}
    assert facts["container.storage_driver"]["value"] == "overlay2"


def test_what_a_failing_info_keeps_back_is_unreadable_and_not_absent() -> None:
    facts = platform_facts(engine_facts(VERSION, {}), "docker: the engine broke")
    assert facts["container.engine"]["value"] == "29.1.0"
    assert facts["container.storage_driver"] == {
        "value": None,
        "source": "docker info",
        "error": "docker: the engine broke",
    }
