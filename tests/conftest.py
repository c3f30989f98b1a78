"""Shared by all tests: a cache of their own for what is small, and no silent skips where nothing may skip.

With OVERHEAD_MATRIX_NO_SKIPS=1 (set by .ci/run) a skip is a failure, except for what no CI machine can have.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # a busy machine must not fail a property by its deadline
settings.load_profile("unhurried")

# What a CI machine without a GPU and with one Python may lack. Everything else must run there.
UNAVOIDABLE = re.compile(
    r"no NVIDIA GPU|no Python \d\.\d+ on this machine|TF_BENCHMARKS is not set|"
    + (
        r"needs Windows|not on Windows: |not under Wine: |needs .*Linux"
        if sys.platform == "win32"
        else r"needs Windows"
    )
)


# As a shell's background job has it: what the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).parent
MEASURING = (TESTS / "agent/probes", TESTS / "simulated", TESTS / "test_docker_end_to_end.py")


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run fast tests first: then what needs a browser, an engine, a framework, and last what takes minutes.

    In lanes the other way round, so that none ends long after the others.

    Those whose outcome depends on how fast this machine is are marked `measures`, by their place or by themselves, but
    for those marked `answers`; a probe on a framework's stack answers, too.
    """
    for item in items:
        on_stack = item.path.is_relative_to(TESTS / "agent") and item.get_closest_marker("stack")
        answers = on_stack or item.get_closest_marker("answers")
        if not answers and any(item.path.is_relative_to(place) for place in MEASURING):
            item.add_marker("measures")
    costs = ("browser", "docker", "stack", "slow")
    items.sort(
        key=lambda item: max(
            (costs.index(mark.name) + 1 for mark in item.iter_markers() if mark.name in costs), default=0
        ),
        reverse=hasattr(config, "workerinput"),
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and os.environ.get("OVERHEAD_MATRIX_NO_SKIPS") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not UNAVOIDABLE.search(reason):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: skipped where nothing may skip: {reason}"
    return report


@pytest.fixture(scope="session")
def base_image() -> str:
    """The base image of the containers; a skip where there is none, or no engine."""
    from harness.platforms import engine  # noqa: PLC0415 - the controller's: the agent's tests also run on older Pythons

    found = engine.availability(None)
    if not found.runnable:
        pytest.skip(f"no container engine: {found.reason}")
    name = os.environ.get("OVERHEAD_MATRIX_BASE", "")
    if not name:
        pytest.skip("OVERHEAD_MATRIX_BASE names no base image")
    return name


@pytest.fixture(scope="session")
def linux_root(base_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tree of Debian with Python in it, to be entered by chroot: what the base image holds."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("entering a tree of another Linux needs root")
    root = tmp_path_factory.mktemp("linux") / "root"
    root.mkdir()
    created = subprocess.run(["docker", "create", base_image, "true"], check=True, capture_output=True, text=True)
    container = created.stdout.strip()
    try:
        with subprocess.Popen(["docker", "export", container], stdout=subprocess.PIPE) as export:
            subprocess.run(["tar", "-x", "-C", str(root)], stdin=export.stdout, check=True)
    finally:
        subprocess.run(["docker", "rm", container], check=True, capture_output=True)
    yield root
    subprocess.run(["rm", "-rf", "--one-file-system", str(root)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Return a function that mounts a file system of so many KiB, which is soon full."""
    folder = tmp_path / "small-disk"

    def mount(kibibytes: int) -> Path:
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "tmpfs", str(folder)]
        if sys.platform == "win32":
            pytest.skip("not on Windows: it mounts nothing")
        if os.geteuid() != 0:
            pytest.skip("mounting a small file system needs root")
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("mounting a small file system is not allowed here")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture
def ext4_disk(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that mounts a new ext4 file system of so many MiB: a disk whose pages can be dropped."""
    folder = tmp_path / "ext4-disk"

    def mount(mebibytes: int, feature: str = "has_journal") -> Path:
        folder.mkdir()
        image = tmp_path / "ext4-image"
        with image.open("wb") as file:
            file.truncate(mebibytes * 2**20)
        if sys.platform == "win32":
            pytest.skip("not on Windows: it mounts nothing")
        if os.geteuid() != 0:
            pytest.skip("mounting an ext4 image needs root")
        make = ["mkfs.ext4", "-q", "-F", "-O", feature, str(image)]
        for command in (make, ["mount", "-o", "loop", str(image), str(folder)]):
            if subprocess.run(command, check=False, capture_output=True).returncode != 0:
                pytest.skip(f"{command[0]} is not allowed here")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)
