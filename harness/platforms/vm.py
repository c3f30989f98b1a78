"""A virtual machine. Listed only, in this version."""

from __future__ import annotations

from harness.matrix.model import Vm
from harness.platforms.absent import AbsentPlatform


class VmPlatform(AbsentPlatform):
    """Says how to measure inside the guest instead."""

    def __init__(self, name: str, config: Vm) -> None:
        reason = "starting a VM is not implemented in this version; run `nox -s matrix` inside the guest"
        super().__init__(name, config.kind, f"{reason} and report both bundles together")
