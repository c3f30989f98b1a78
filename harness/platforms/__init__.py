"""Where a measurement can run: one module each, all of them behind the protocol in `base`."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

from harness.matrix.model import Container, Libvirt, Native, PlatformConfig, Remote, Vm, Wsl
from harness.platforms.base import Platform
from harness.platforms.container import ContainerPlatform
from harness.platforms.domain import DomainPlatform
from harness.platforms.native import NativePlatform
from harness.platforms.remote import RemotePlatform
from harness.platforms.vm import VmPlatform
from harness.platforms.wsl import WslPlatform


def create(
    name: str, config: PlatformConfig, *, gpu: bool, scratch: Path, run_id: str, root: Path = Path()
) -> Platform:
    """Return the platform that an entry of matrix.yaml describes. Touches nothing yet.

    `gpu` says whether this host has one that CUDA can use. `scratch` is the run's own folder on this host;
    `run_id` names the run in what it leaves elsewhere (containers, volumes, /dev/shm). `root` is where relative paths
    of matrix.yaml begin.
    """
    match config:
        case Native():
            return NativePlatform(name, config, gpu=gpu, scratch=scratch, run_id=run_id)
        case Container():
            return ContainerPlatform(name, config, gpu=gpu, scratch=scratch, run_id=run_id)
        case Wsl():
            return WslPlatform(name, config, gpu=gpu, scratch=scratch, run_id=run_id)
        case Vm(domain=Libvirt() as domain):
            return DomainPlatform(name, domain, run_id=run_id)
        case Vm():
            return VmPlatform(name, config, root=root, scratch=scratch, run_id=run_id)
        case Remote():
            return RemotePlatform(name, config, run_id=run_id)
        case _:
            assert_never(config)
