"""From which systems of a machine a platform can be reached: which boot measures it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import assert_never

from harness.matrix.model import Container, Native, PlatformConfig, Remote, Vm, Wsl

LINUX, WINDOWS = "linux", "windows"
SYSTEMS = (LINUX, WINDOWS)


def systems(config: PlatformConfig) -> tuple[str, ...]:
    """Return the systems that a boot must be of to measure the platform; of several, any."""
    match config:
        case Native(os=None) | Container() | Remote():
            return SYSTEMS
        case Native(os="linux") | Vm():  # a GPU is passed through to a guest by Linux's VFIO alone
            return (LINUX,)
        case Native() | Wsl():
            return (WINDOWS,)
        case _:
            assert_never(config)


def parts(platforms: Mapping[str, PlatformConfig], names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return system → those of the named platforms that it reaches; nothing where one system is enough.

    A platform that any system reaches asks for no boot by itself. A native one that names no system is the baseline
    under Linux first.
    """
    reached = {name: systems(platforms[name]) for name in names}
    needed = {found[0] for found in reached.values() if len(found) == 1}
    if any(isinstance(platforms[name], Native) and len(found) > 1 for name, found in reached.items()):
        needed.add(LINUX)
    if len(needed) < 2:
        return {}
    return {each: tuple(name for name, found in reached.items() if each in found) for each in SYSTEMS}
