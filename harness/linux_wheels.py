"""The wheels of a Linux, for a controller on another system: what runs in WSL2 or a container there needs these.

pip can fetch for another system, but judges a lock's markers by the one that it runs on: they are judged here instead.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator

from packaging.markers import Marker

MACHINES = {"AMD64": "x86_64", "x86_64": "x86_64", "ARM64": "aarch64", "arm64": "aarch64", "aarch64": "aarch64"}
OLDEST, NEWEST = 5, 35  # minor versions of glibc 2 whose wheels are taken: up to that of Ubuntu 22.04
LEGACY = ("manylinux2014", "manylinux2010", "manylinux1", "linux")
REQUIREMENT = re.compile(r"(?P<name>[^\s;#-][^\s;#]*)\s*(?:;\s*(?P<marker>.*?))?(?P<hashes>(?:\s+--hash=\S+)*)\s*")


def machine() -> str:
    """Return Linux's name of this machine's kind of processor, which its WSL2 and containers share."""
    return MACHINES.get(platform.machine(), platform.machine())


def pip_arguments(kind: str) -> list[str]:
    """Return what makes pip fetch wheels for Linux on this kind of processor, those for newer systems first."""
    tags = [f"manylinux_2_{minor}" for minor in range(NEWEST, OLDEST - 1, -1)]
    return [f"--platform={tag}_{kind}" for tag in (*tags, *LEGACY)]


def lock_for_linux(lock: str, python: str, kind: str) -> str:
    """Return what of a lock holds on Linux: its options, its requirements without markers. Raises ValueError."""
    environment = {
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": kind,
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    return "".join(
        f"{name}{hashes}\n"
        for name, marker, hashes in _parsed(lock)
        if not marker or Marker(marker).evaluate(environment)
    )


def _parsed(lock: str) -> Iterator[tuple[str, str, str]]:
    for line in lock.replace("\\\r\n", "").replace("\\\n", "").splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line.startswith("--"):  # an index
            yield line, "", ""
            continue
        found = REQUIREMENT.fullmatch(line)
        if found is None:
            raise ValueError(f"not a requirement: {line.strip()[:80]}")
        yield found["name"], found["marker"] or "", found["hashes"]
