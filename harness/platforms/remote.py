"""Another host through ssh. Listed only, in this version."""

from __future__ import annotations

from harness.matrix.model import Remote
from harness.platforms.absent import AbsentPlatform


class RemotePlatform(AbsentPlatform):
    """Says how to measure on that host instead."""

    def __init__(self, name: str, config: Remote) -> None:
        reason = f"ssh is not implemented in this version; run `nox -s matrix` on {config.host}"
        super().__init__(name, config.kind, f"{reason} and report both bundles together")
