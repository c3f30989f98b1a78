"""Made-up /proc and /sys trees for inspections."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.agent.inspection.facts import Fact, Files


def tree(root: Path, contents: Mapping[str, str]) -> Files:
    """Write path → text below `root`."""
    for path, text in contents.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return Files(root)


def offline_processors(monkeypatch: pytest.MonkeyPatch, *folders: str) -> None:
    """Let files below these folders answer as the kernel's do for a processor that is offline: with EBUSY."""
    read = Files.text

    def text(files: Files, path: str) -> str:
        if path.startswith(folders):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        return read(files, path)

    monkeypatch.setattr(Files, "text", text)


def values(facts: Mapping[str, Fact]) -> dict[str, object]:
    """Return name → value of the facts that could be read."""
    return {name: each["value"] for name, each in facts.items() if "error" not in each}
