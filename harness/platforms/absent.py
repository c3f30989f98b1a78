"""A platform that this version lists and cannot run: its cells are in the plan and the report, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.agent.inspection.facts import Fact
from harness.agent.messages import Location
from harness.errors import PlatformError
from harness.platforms.base import Availability, Ending, Job, Prepared
from harness.stacks import Stack


class AbsentPlatform:
    """Answers every question with the same reason."""

    def __init__(self, name: str, kind: str, reason: str) -> None:
        self.name = name
        self.kind = kind
        self._absence = Availability(runnable=False, reason=f"{name}: {reason}")

    def availability(self) -> Availability:
        """Not here, and what to do instead."""
        return self._absence

    def offers(self, stack: Stack, device: str) -> Availability:  # noqa: ARG002 - the protocol's signature
        """As `availability`."""
        return self._absence

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:  # noqa: ARG002 - the protocol's signature
        """Raise PlatformError."""
        raise PlatformError(self._absence.reason)

    def facts(self) -> Mapping[str, Fact]:
        """None."""
        return {}

    def locations(self) -> tuple[Location, ...]:
        """None."""
        return ()

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:  # noqa: ARG002 - the protocol's signature
        """None."""
        return {}

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:  # noqa: ARG002 - the protocol's signature
        """Raise PlatformError."""
        raise PlatformError(self._absence.reason)

    def close(self) -> None:
        """There is nothing to remove."""
