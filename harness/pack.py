"""Packs the agent as one zipapp that any Python from 3.10 on runs: same sources, same bytes, same name."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from harness.agent.files import replace
from harness.agent.helper import LIBRARIES
from harness.cache import cache_dir
from harness.errors import HarnessError, ResultsError

AGENT = Path(__file__).parent / "agent"
NVML_DISTRIBUTION = "nvidia-ml-py"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can carry
MODE = 0o644
UNIX = 3  # zip's number for the system that the permissions are meant for
PACKAGE = b'"""Only what the agent needs of harness."""\n'


def agent_archive(*, cache: Path | None = None) -> Path:
    """Return `agent-<digest>.pyz` in `cache` (default: the user's cache folder), packed if it is not there yet.

    The archive is stored without compression: it is small, and its bytes then depend on the sources alone. Raises
    HarnessError if nvidia-ml-py is not installed, ResultsError if the cache cannot be written.
    """
    content = _zipped(_sources())
    folder = cache if cache is not None else cache_dir()
    path = folder / f"agent-{hashlib.sha256(content).hexdigest()[:12]}.pyz"
    try:
        if not path.exists() or path.read_bytes() != content:
            _write_atomically(path, content)
    except OSError as error:
        problem = f"the agent cannot be written to {path}: {error.strerror}"
        raise ResultsError(problem, "Make room there, or name another folder in OVERHEAD_MATRIX_CACHE") from error
    return path


def agent_digest(path: Path) -> str:
    """Return the archive's SHA-256 in hexadecimal: what the agent itself reports as its version."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _sources() -> dict[str, bytes]:
    """Return name in the archive → content."""
    packed = {
        f"harness/agent/{file.relative_to(AGENT).as_posix()}": file.read_bytes()
        for file in AGENT.rglob("*")
        if file.is_file() and _belongs(file.relative_to(AGENT))
    }
    return packed | {
        "__main__.py": packed["harness/agent/__main__.py"],
        "harness/__init__.py": PACKAGE,
        # Inside our package: on sys.path it would hide the pynvml of the stack that is measured.
        "harness/agent/pynvml.py": _nvml(),
    }


def _belongs(file: Path) -> bool:
    """Take Python modules and the built native helpers; leave caches and the helpers' sources."""
    return file.suffix == ".py" or (file.parent.as_posix() == "native/lib" and file.name in LIBRARIES.values())


def _nvml() -> bytes:
    try:
        return Path(str(distribution(NVML_DISTRIBUTION).locate_file("pynvml.py"))).read_bytes()
    except (PackageNotFoundError, OSError) as error:
        problem = f"{NVML_DISTRIBUTION}, which the agent carries, is not installed"
        raise HarnessError(problem, f"Install it: python -m pip install {NVML_DISTRIBUTION}") from error


def _zipped(sources: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(sources):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            entry.external_attr = MODE << 16
            archive.writestr(entry, sources[name])
    return buffer.getvalue()


def _write_atomically(path: Path, content: bytes) -> None:
    """Write so that several runs may pack at once: each its own temporary file, then replace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(partial).chmod(MODE)  # containers read it as another user
        replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
