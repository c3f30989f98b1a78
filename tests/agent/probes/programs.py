"""Programs that a test puts on the PATH."""

from __future__ import annotations

from pathlib import Path


def script(path: Path, body: str) -> Path:
    """Write a shell script that can be run; return its path."""
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path
