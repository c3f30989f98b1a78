"""A slower disk: the kernel holds back what this process reads from a device (cgroup v1, blkio.throttle; root)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CONTROLLER = Path("/sys/fs/cgroup/blkio")


@contextmanager
def throttled(disk: Path, *, bytes_per_second: int = 0, reads_per_second: int = 0) -> Iterator[None]:
    """Let this process read no more than that (0: no limit) from the device under `disk`. Skips where it can't be."""
    group = CONTROLLER / f"overhead-matrix-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup v1 blkio controller to throttle a device with: {error.strerror}")
    home = _own_group()
    device = disk.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        (group / "blkio.throttle.read_bps_device").write_text(f"{number} {bytes_per_second}\n")
        (group / "blkio.throttle.read_iops_device").write_text(f"{number} {reads_per_second}\n")
        (group / "cgroup.procs").write_text(f"{os.getpid()}\n")
        yield
    finally:
        (home / "cgroup.procs").write_text(f"{os.getpid()}\n")
        group.rmdir()


def _own_group() -> Path:
    """Return the blkio group that this process is in, as /proc names it; the controller's root if it can't be seen."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    names = [line.split(":", 2)[2] for line in lines if "blkio" in line.split(":", 2)[1].split(",")]
    group = CONTROLLER / names[0].lstrip("/") if names else CONTROLLER
    return group if group.is_dir() else CONTROLLER
