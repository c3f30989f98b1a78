"""Builds the simulated driver from tests/simulated/driver with the compiler of the native helper.

Kept in the temporary folder of this machine under the digest of what it is built from: the same sources, once. Windows
has no compiler of ours: who runs the tests there builds it before, and names the folder in PREBUILT.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

from harness import native

SOURCES = Path(__file__).parent / "driver"
SHARED = ("settings.c", "system.c")
CUDA = ("call.c", "objects.c", "timeline.c", "device.c", "stream.c", "memory.c", "copy.c", "launch.c", "graph.c")
NVML = ("nvml.c", "nvml_values.c")
LINUX = {"libcuda.so.1": (*SHARED, *CUDA), "libnvidia-ml.so.1": (*SHARED, *NVML)}
WINDOWS = {"nvcuda.dll": (*SHARED, *CUDA), "nvml.dll": (*SHARED, *NVML)}
FLAGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fvisibility=hidden", "-s")
LINUX_FLAGS = ("-fPIC", "-lpthread", "-ldl", "-lm")
PREBUILT = "OVERHEAD_MATRIX_SIMULATED_DRIVER"
SECONDS = 900  # a first build for Windows compiles that system's libraries too


def libraries() -> Path:
    """Return the folder of the libraries for this machine; skip the test where they can't be built."""
    if sys.platform == "win32" and PREBUILT in os.environ:
        return Path(os.environ[PREBUILT])
    if sys.platform != "linux" or native.host_target() != "linux-x86_64":
        pytest.skip("the simulated driver is built for Linux on x86-64")
    return build("linux-x86_64", LINUX)


def windows_libraries() -> Path:
    """Return the folder of nvcuda.dll and nvml.dll; skip the test where they can't be built."""
    return build("win-amd64", WINDOWS)


def build(target: str, wanted: Mapping[str, Sequence[str]]) -> Path:
    """Compile what is wanted for a target, unless it lies there already; skip without a compiler."""
    if find_spec("ziglang") is None:
        pytest.skip("ziglang is not installed")
    user = os.getuid() if hasattr(os, "getuid") else "windows"
    folder = Path(tempfile.gettempdir()) / f"simulated-driver-{user}" / f"{target}-{_digest(target, wanted)}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        fresh = Path(unfinished) / "libraries"
        fresh.mkdir()
        for name, sources in wanted.items():
            compiled(target, sources, fresh / name)
        if not folder.is_dir():
            fresh.rename(folder)
    return folder


def compiled(target: str, sources: Sequence[str], out: Path, *options: str) -> None:
    """Compile sources, named from the folder of the driver's, to a shared library.

    Without a soname: a library loaded by its path must not answer to the driver's name in the same process.
    """
    system = () if target.startswith("win") else LINUX_FLAGS
    compiler = (sys.executable, "-m", "ziglang", "cc", "-target", native.TARGETS[target])
    argv = (*compiler, *FLAGS, *options, "-I", str(native.SOURCES), *sources, *system, "-o", str(out))
    done = subprocess.run(argv, cwd=SOURCES, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stderr


def _digest(target: str, wanted: Mapping[str, Sequence[str]]) -> str:
    digest = hashlib.sha256(repr((native.TARGETS[target], wanted, FLAGS, LINUX_FLAGS)).encode())
    for path in sorted([*SOURCES.glob("*.[ch]"), *native.SOURCES.glob("*.h")]):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
