"""Which boot measures a platform."""

from __future__ import annotations

from pathlib import Path

from harness.matrix.load import load
from harness.platforms.reach import parts, systems


def test_the_default_matrix_is_measured_in_two_systems() -> None:
    platforms = load(Path("matrix.yaml")).platforms
    assert parts(platforms, platforms) == {
        "linux": ("native", "docker", "guest", "lab"),
        "windows": ("native", "docker", "wsl", "lab", "windows"),
    }


def test_what_any_system_reaches_asks_for_no_boot() -> None:
    platforms = load(Path("matrix.yaml")).platforms
    assert parts(platforms, ["native", "docker"]) == {}
    assert parts(platforms, ["native", "docker", "guest"]) == {}
    assert parts(platforms, ["windows", "wsl"]) == {}
    assert parts(platforms, ["native", "wsl"]) == {"linux": ("native",), "windows": ("native", "wsl")}
    assert systems(platforms["wsl"]) == ("windows",)
