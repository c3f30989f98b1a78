"""A wheel of many small modules, the same bytes on every platform: what `tooling.install` installs."""

from __future__ import annotations

import base64
import hashlib
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

NAME = "overhead_matrix_sample"
VERSION = "1.0"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can carry
MODE = 0o644
UNIX = 3  # zip's number for the system that the permissions are meant for
INFO = f"{NAME}-{VERSION}.dist-info"


def write(folder: Path, *, modules: int, size: int) -> Path:
    """Write the wheel of `modules` modules of about `size` bytes each into the folder; return its path.

    Stored without compression: two versions of zlib compress the same content to different bytes.
    """
    path = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in _content(modules, size).items():
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = UNIX
            entry.external_attr = MODE << 16
            archive.writestr(entry, content)
    return path


def _content(modules: int, size: int) -> Mapping[str, bytes]:
    files = {f"{NAME}/module_{number}.py": _module(number, size) for number in range(modules)}
    files[f"{NAME}/__init__.py"] = b""
    files[f"{INFO}/METADATA"] = f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n".encode()
    files[f"{INFO}/WHEEL"] = (
        b"Wheel-Version: 1.0\nGenerator: overhead-matrix\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    )
    return {**files, f"{INFO}/RECORD": _record(files)}


def _module(number: int, size: int) -> bytes:
    """Return lines of a module, random so that no file system stores two alike as one."""
    source = random.Random(number)  # noqa: S311 - reproducible
    lines = (f"VALUE_{line} = 0x{source.getrandbits(256):064x}\n" for line in range(max(1, size // 80)))
    return "".join(lines).encode()


def _record(files: Mapping[str, bytes]) -> bytes:
    lines = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()]
    return "".join([*lines, f"{INFO}/RECORD,,\n"]).encode()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
