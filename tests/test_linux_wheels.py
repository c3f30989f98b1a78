"""Wheels for Linux on a controller that is not one: it is made up here by what `platform` says."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from harness import linux_wheels, stacks
from harness.errors import StackError
from harness.linux_wheels import lock_for_linux, pip_arguments
from harness.matrix.model import StackConfig
from tests.test_stacks import offline  # noqa: F401 - an autouse fixture
from tests.wheels import FILE, build_wheel, write_lock

ROOT = Path(__file__).parent.parent
ELSEWHERE = {"tensorflow-intel", "tensorflow-cpu-aws"}  # what TensorFlow is called on Windows, and on ARM
LOCKS = sorted(ROOT.glob("images/*/requirements*.txt"))

LOCK = """\
# a comment
    # via something
everywhere==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
linux-only==2.0 ; python_full_version < '3.15' and sys_platform == 'linux' \\
    --hash=sha256:cc
windows-only==3.0 ; sys_platform == 'win32' \\
    --hash=sha256:dd
arm-only==4.0 ; platform_machine == 'aarch64' \\
    --hash=sha256:ee
"""


def test_markers_are_judged_for_linux() -> None:
    assert [line.split()[0] for line in lock_for_linux(LOCK, "3.11", "x86_64").splitlines()] == [
        "everywhere==1.0",
        "linux-only==2.0",
    ]
    assert lock_for_linux(LOCK, "3.15", "aarch64").split() == [
        "everywhere==1.0", "--hash=sha256:aa", "--hash=sha256:bb", "arm-only==4.0", "--hash=sha256:ee",
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"not a requirement: -e \."):
        lock_for_linux("-e .\n", "3.11", "x86_64")


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_projects_locks_keep_their_linux_packages(path: Path) -> None:
    text = path.read_text("utf-8")
    lines = lock_for_linux(text, "3.11", "x86_64").splitlines()
    requirements = [line for line in lines if not line.startswith("--")]
    options = [line for line in text.splitlines() if line.startswith("--")]
    assert [line for line in lines if line.startswith("--")] == options
    locked = {line.partition("==")[0] for line in text.splitlines() if "==" in line and line[0] not in " #-"}
    assert sorted(line.partition("==")[0] for line in requirements) == sorted(locked - ELSEWHERE), "each of them once"
    assert all("--hash=sha256:" in line and ";" not in line for line in requirements)


def test_newer_wheels_come_before_older_ones() -> None:
    found = pip_arguments("x86_64")
    assert found[0] == "--platform=manylinux_2_35_x86_64"
    assert found.index("--platform=manylinux_2_28_x86_64") < found.index("--platform=manylinux2014_x86_64")
    assert found[-1] == "--platform=linux_x86_64"


def test_processors_have_linuxs_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "AMD64")
    assert linux_wheels.machine() == "x86_64"
    monkeypatch.setattr(platform, "machine", lambda: "ARM64")
    assert linux_wheels.machine() == "aarch64"


def test_a_controller_on_another_system_has_both_wheelhouses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = write_lock(tmp_path / "requirements.txt", build_wheel(tmp_path / "links"))
    text = lock.read_text("utf-8")
    lock.write_text(text.replace("==1.0 \\", "==1.0 ; sys_platform == 'linux' \\") + text.replace(
        "tiny==1.0 \\", "huge==1.0 ; sys_platform == 'win32' \\"), encoding="utf-8")  # fmt: skip
    config = StackConfig.model_validate({"requirements": "requirements.txt"})
    stack = stacks.resolve("driver-tiny", config, root=tmp_path, gpu=False)
    assert stacks.for_linux(stack) is stack
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    there = stacks.for_linux(stack)
    folder = stacks.wheelhouse(there, lambda _line: None)
    assert folder.name.endswith("-linux")
    assert [path.name for path in folder.glob("*.whl")] == [FILE]
    assert stacks.wheels_digest(there) != "" == stacks.wheels_digest(stack)
    lock.write_text("-e .\n", encoding="utf-8")
    odd = stacks.for_linux(stacks.resolve("driver-tiny", config, root=tmp_path, gpu=False))
    with pytest.raises(StackError, match="can't be read for Linux"):
        stacks.wheelhouse(odd, lambda _line: None)
