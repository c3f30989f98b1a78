"""lock file → wheelhouse → environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.agent.task import Framework


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The software under test, resolved for this host.

    `variant` is `cpu` or `cuda` for a locked stack (which of its lock files), `installed` for an interpreter that is
    measured as it is, and empty for a stack without packages.
    """

    name: str
    framework: Framework
    python: str  # `3.11`
    variant: str
    requirements: Path | None
    interpreter: str | None
    lock_sha256: str  # of the lock file; empty without one
    image_folder: Path  # images/<stack>


def wheelhouse(stack: Stack, progress: Callable[[str], None]) -> Path:
    """Download the stack's wheels once; return their folder."""
    raise NotImplementedError


def environment(stack: Stack, progress: Callable[[str], None]) -> Path:
    """Install the stack's native environment once; return its interpreter."""
    raise NotImplementedError
