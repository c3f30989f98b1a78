"""Which software runs the cell: recorded with every result, whatever its status."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from importlib import import_module
from pathlib import Path


def collect() -> dict[str, str]:
    """Return name → version; what cannot be found out is left out."""
    found = {
        "python": platform.python_version(),
        "python.implementation": platform.python_implementation(),
        "python.compiler": platform.python_compiler(),
        "python.build": " ".join(platform.python_build()).strip(),
        "libc": libc(),
        "agent": agent_sha256(),
        "native_helper": _helper_sha256(),
    }
    return {name: version for name, version in found.items() if version}


def libc() -> str:
    """Return the C library's name and version, `glibc 2.36` or `musl`; empty where there is none to be found."""
    if sys.platform == "win32":
        return ""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (ValueError, OSError):  # not glibc
        return "musl" if any(Path("/lib").glob("ld-musl-*")) else " ".join(platform.libc_ver()).strip()


def agent_sha256() -> str:
    """Return the digest of the archive that this code was loaded from; empty when it runs from a source tree."""
    archive = getattr(__spec__.loader, "archive", None) if __spec__ else None
    try:
        return sha256(Path(archive)) if archive else ""
    except OSError:  # removed or replaced while it runs
        return ""


def sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _helper_sha256() -> str:
    """Return the native helper's digest; empty where it is not packed or does not load."""
    try:
        loaded = import_module("harness.agent.helper").load()
    except (ImportError, OSError):
        return ""
    return loaded.sha256 if loaded is not None else ""
