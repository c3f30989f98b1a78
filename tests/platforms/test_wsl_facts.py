"""What the controller knows of a distribution."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.platforms.wsl_command import Distribution, WslCommand
from harness.platforms.wsl_facts import (
    distribution_facts,
    locations_fact,
    package_facts,
    settings,
    settings_fact,
    stand_in_fact,
)
from tests.platforms.wsl_machine import Machine

CONFIG = """\
\ufeff# mine
[wsl2]
memory=16GB   # limits
Processors = 8
swap=0
swapFile=C:\\\\Users\\\\somebody\\\\swap.vhdx
kernel=C:\\\\Users\\\\somebody\\\\bzImage
kernelCommandLine = mitigations=off vsyscall=emulate
networkingMode="mirrored"
[Experimental]
autoMemoryReclaim=gradual
ignoredPorts=3000
[other]
x=1
"""


def test_settings_that_tell_are_taken_and_paths_are_not() -> None:
    found = settings(CONFIG)
    assert found == {
        "wsl2.memory": "16GB",
        "wsl2.processors": "8",
        "wsl2.swap": "0",
        "wsl2.kernelcommandline": "mitigations=off vsyscall=emulate",
        "wsl2.networkingmode": "mirrored",
        "experimental.automemoryreclaim": "gradual",
        "wsl2.kernel": "custom",
    }
    assert "somebody" not in str(found)
    with pytest.raises(ValueError, match=r"not a \.wslconfig"):
        settings("memory=1\n")


def test_where_the_settings_come_from(tmp_path: Path) -> None:
    profile = {"USERPROFILE": str(tmp_path)}
    assert settings_fact(profile) == {"value": {}, "source": ".wslconfig"}
    (tmp_path / ".wslconfig").write_text("[wsl2]\nmemory=4GB\n", encoding="utf-8")
    assert settings_fact(profile)["value"] == {"wsl2.memory": "4GB"}
    (tmp_path / ".wslconfig").write_text("[wsl2\n", encoding="utf-8")
    assert "not a .wslconfig" in settings_fact(profile)["error"]
    unknown = settings_fact({})
    assert unknown["value"] is None
    assert "USERPROFILE" in unknown["error"]
    assert str(tmp_path) not in str(settings_fact(profile))


def test_versions_or_why_not(windows: Machine) -> None:
    command = WslCommand.find(windows.environ)
    assert command
    found = package_facts(command)
    assert found["wsl.version"] == {"value": "2.6.1.0", "source": "wsl.exe --version"}
    assert found["wsl.windows"]["value"] == "10.0.26200.6584"
    windows.change(package="")
    assert package_facts(command)["wsl.version"]["value"] is None


def test_the_state_before() -> None:
    found = distribution_facts(Distribution(name="Debian", state="Stopped", version=2))
    assert [each["value"] for each in found.values()] == ["Debian", "Stopped", 2]


def test_a_kernel_of_microsofts_is_wsl_and_no_other() -> None:
    assert stand_in_fact("6.6.87.2-microsoft-standard-WSL2")["value"] == ""
    assert stand_in_fact("6.1.0-28-amd64")["value"] == "the kernel inside is not WSL's"


def test_locations_and_why_one_is_missing() -> None:
    assert "error" not in locations_fact({"ext4": "/a"}, {})
    found = locations_fact({"tmpfs": "/b", "ext4": "/a"}, {"mnt-c": "not mounted"})
    assert found["value"] == ["ext4", "tmpfs"]
    assert found["error"] == "mnt-c: not mounted"
