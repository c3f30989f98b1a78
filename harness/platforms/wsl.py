"""A WSL2 distribution. Listed only, in this version."""

from __future__ import annotations

import platform

from harness.matrix.model import Wsl
from harness.platforms.absent import AbsentPlatform


class WslPlatform(AbsentPlatform):
    """Says how to measure inside the distribution instead."""

    def __init__(self, name: str, config: Wsl, *, system: str | None = None) -> None:
        inside = f"run `nox -s matrix` inside {config.distribution} and report both bundles together"
        if (system or platform.system()) == "Windows":
            reason = f"starting WSL2 from Windows is not implemented in this version; {inside}"
        else:
            reason = f"WSL2 is started from Windows, and this is {system or platform.system()}; {inside}"
        super().__init__(name, config.kind, reason)
