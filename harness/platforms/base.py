"""What every platform offers: say whether it is there, make ready, launch one invocation, clean up.

A platform is a class in its own module; its peculiarities stay there. The runner knows only this protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from harness.agent.inspection.facts import Fact
from harness.agent.messages import CellSpec, Location, Status
from harness.stacks import Stack


@dataclass(frozen=True, kw_only=True)
class Availability:
    """Whether something can run here. The reason names what is missing and the command that mends it."""

    runnable: bool
    reason: str = ""
    status: Status = "unavailable"  # of a cell that can't run: unavailable (this host lacks it) or unsupported


RUNNABLE = Availability(runnable=True)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One launch: `folder` is empty, private to it and on the controller; the result must end up there.

    `on_line` gets each line of the agent's stdout (without newline) as it comes; stderr and stdout go to `log`.
    """

    spec: CellSpec
    folder: Path
    log: Path
    timeout: float  # seconds
    on_line: Callable[[str], None]

    @property
    def result(self) -> Path:
        """Where the agent's result lies after a launch that wrote one."""
        return self.folder / "result.json"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How the process of a launch ended. Exactly one of the first four says it."""

    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool = False
    oom: bool = False
    seconds: float = 0.0  # from the start of the launch until its end, on the controller's clock
    detail: str = ""  # what the engine or the system said about it, one line


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What `prepare` made: provenance that goes into run.json (digests, image, interpreter, seconds)."""

    provenance: Mapping[str, Any] = field(default_factory=dict)


class Platform(Protocol):
    """One entry of `platforms:` in matrix.yaml."""

    @property
    def name(self) -> str:
        """The name in matrix.yaml, `docker-half`."""

    @property
    def kind(self) -> str:
        """native, container, wsl, vm or remote."""

    def availability(self) -> Availability:
        """Whether this host has the platform. Quick (well under a second), without side effects, never raises."""

    def offers(self, stack: Stack, device: str) -> Availability:
        """Whether the platform can run this stack on this device. Quick, without side effects, never raises.

        A stack that `prepare` would still have to install counts as runnable.
        """

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        """Install the stack (environment, image…). Idempotent; unchanged, it takes seconds.

        `progress` takes one line on what is being done. Raises PlatformError or StackError.
        """

    def facts(self) -> Mapping[str, Fact]:
        """What the controller alone knows of the platform (a guest's accelerator, a stand-in), after `prepare`.

        Names are as in an inspection, `vm.accelerator`, and go into it; a `….stand_in` that is not empty says that
        the platform is not the real one, and why.
        """

    def locations(self) -> tuple[Location, ...]:
        """The directories for storage probes, as paths inside the platform."""

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:
        """The paths inside the platform of these paths of the controller (shared read-only)."""

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:
        """Run the agent's `verb` ("run" or "inspect") on `job.spec` in a fresh process and wait for its end.

        Writes spec.json into `job.folder`, starts `python agent.pyz VERB spec.json result.json` there with the
        stack's interpreter, passes stdout lines on, enforces `job.timeout`. On KeyboardInterrupt the process (all
        its children, the container) is ended within seconds and the exception goes on. Raises PlatformError when
        the launch itself fails (engine gone, no such image): the error says what to do.
        """

    def close(self) -> None:
        """Remove whatever this run left on the platform. Never raises for what is already gone."""
