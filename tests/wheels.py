"""Tiny wheels and lock files, made in a moment, for tests of stacks and images."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

NAME = "tiny"
FILE = "tiny-1.0-py3-none-any.whl"


def build_wheel(folder: Path, *, padding: bytes = b"") -> Path:
    """Write a wheel of one module that says `answer = 42`."""
    files = {
        "tiny.py": b"answer = 42\n",
        "tiny-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if padding:
        files["tiny_padding.bin"] = padding
    record = "".join(f"{name},,\n" for name in (*files, "tiny-1.0.dist-info/RECORD"))
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / FILE
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in (files | {"tiny-1.0.dist-info/RECORD": record.encode()}).items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return wheel


def write_lock(path: Path, wheel: Path) -> Path:
    """Lock the wheel by its hash."""
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{NAME}==1.0 \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    return path
