"""From an entry of matrix.yaml to a platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from harness import platforms
from harness.matrix.model import PlatformConfig
from harness.platforms.base import Platform
from harness.platforms.container import ContainerPlatform
from harness.platforms.native import NativePlatform
from harness.platforms.remote import RemotePlatform
from harness.platforms.vm import VmPlatform
from harness.platforms.wsl import WslPlatform

ENTRIES: list[tuple[dict[str, str], type[object]]] = [
    ({"kind": "native"}, NativePlatform),
    ({"kind": "container"}, ContainerPlatform),
    ({"kind": "wsl", "distribution": "Ubuntu-24.04"}, WslPlatform),
    ({"kind": "vm", "image": "guest.qcow2"}, VmPlatform),
    ({"kind": "remote", "host": "user@lab"}, RemotePlatform),
]


def created(entry: dict[str, str], scratch: Path) -> Platform:
    config: PlatformConfig = TypeAdapter(PlatformConfig).validate_python(entry)
    return platforms.create("name", config, gpu=False, scratch=scratch, run_id="t")


@pytest.mark.parametrize(("entry", "kind"), ENTRIES)
def test_every_kind_has_its_platform(entry: dict[str, str], kind: type[object], tmp_path: Path) -> None:
    platform = created(entry, tmp_path / "scratch")
    assert isinstance(platform, kind)
    assert (platform.name, platform.kind) == ("name", entry["kind"])
    platform.close()
    assert list(tmp_path.iterdir()) == []


def test_planning_does_not_load_the_docker_sdk() -> None:
    code = "import sys, harness.platforms; print('docker' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_without_the_docker_sdk_only_containers_are_missing() -> None:
    code = (
        "import sys\nsys.modules['docker'] = None\n"
        "from pathlib import Path\nfrom harness import platforms\nfrom harness.matrix.model import Container\n"
        "made = platforms.create('docker', Container(kind='container'), gpu=False, scratch=Path('/nowhere'), "
        "run_id='t')\nprint(made.availability().reason)\nmade.close()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install docker" in done.stdout
