"""A WSL2 distribution, reached through wsl.exe: a fresh process in it for every invocation."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from harness import pack
from harness.agent.inspection.facts import Fact
from harness.agent.messages import Location
from harness.errors import HarnessError, PlatformError
from harness.matrix.model import Wsl
from harness.platforms.agent_call import agent_arguments
from harness.platforms.base import RUNNABLE, Availability, Ending, Job, Prepared
from harness.platforms.leftovers import claim, sweep
from harness.platforms.linux_host import LinuxHost, digest_of, tree_digest
from harness.platforms.linux_launch import launch
from harness.platforms.linux_stack import Installed, install
from harness.platforms.owner import Owner
from harness.platforms.wsl_command import WslCommand, require
from harness.platforms.wsl_door import WslDoor
from harness.platforms.wsl_facts import (
    distribution_facts,
    locations_fact,
    package_facts,
    settings_fact,
    stand_in_fact,
)
from harness.stacks import Stack

WINDOWS_TEMP = "/mnt/c/Windows/Temp"  # where the run's own folder is not on a drive of Windows


@dataclass(frozen=True, kw_only=True)
class _Entered:
    """What the distribution answered when this run first came in."""

    home: str
    cache: str
    agent: str  # its path there
    locations: Mapping[str, str]
    facts: Mapping[str, Fact]


class WslPlatform:
    """Runs the agent in a distribution. Its folder there is named after the run and the platform."""

    kind: Literal["wsl"] = "wsl"

    def __init__(
        self,
        name: str,
        config: Wsl,
        *,
        gpu: bool,
        scratch: Path,
        run_id: str,
        agent: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.name = name
        self._distribution = config.distribution
        self._gpu = gpu
        self._scratch = scratch
        self._agent = agent
        self._environ = environ
        self._run_id = run_id
        self._entered: _Entered | None = None
        self._installed: dict[str, Installed] = {}
        self._resources: dict[Path, str] = {}
        self._sent: set[Path] = set()

    def availability(self) -> Availability:
        """Whether wsl.exe is there and lists the distribution; asked once, since it takes a fifth of a second."""
        return self._availability

    def offers(self, stack: Stack, device: str) -> Availability:
        """Whether the stack can be installed there, and whether there is a GPU where one is asked for."""
        if stack.variant == "installed":
            reason = f"stack {stack.name} is what is installed on the host: native only; lock it by `requirements:`"
            return Availability(runnable=False, reason=reason, status="unsupported")
        if device != "cpu" and not self._gpu:
            return Availability(runnable=False, reason=f"{self.name}: no NVIDIA GPU; `nvidia-smi` must list one")
        return RUNNABLE

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        """Start the distribution, remove what killed runs left, install the stack. Raises PlatformError, StackError."""
        sweep(*self._scratch.parent.glob("*"))
        claim(self._scratch)
        self._entered = self._entered or self._enter(progress)
        installed = install(self._host, stack, progress)
        self._installed[stack.name] = installed
        interpreter = installed.interpreter.replace(f"{self._entered.home}/", "~/", 1)
        return Prepared(provenance={"interpreter": interpreter, **installed.provenance})

    def facts(self) -> Mapping[str, Fact]:
        """WSL's versions and limits, the distribution's state before, the cost of a start, whether this is WSL."""
        return self._entered.facts if self._entered else {}

    def locations(self) -> tuple[Location, ...]:
        """`ext4` in the virtual disk, `mnt-c` on the drive of Windows, and `tmpfs`: those that are there."""
        found = self._entered.locations if self._entered else {}
        return tuple(Location(name=name, path=path) for name, path in found.items())

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:
        """Where they are copied to in the distribution."""
        if self._entered is None:
            return {}
        return {name: f"{self._entered.cache}/{self._resource(path)}" for name, path in resources.items()}

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:
        """Run the agent in a new process of the distribution. Raises PlatformError when that fails."""
        installed = self._installed.get(job.spec.stack)
        if installed is None or self._entered is None:
            raise PlatformError(f"{self.name}: stack {job.spec.stack} has not been prepared")
        for path in set((resources or {}).values()) - self._sent:
            self._host.send_tree(path, self._resource(path))
            self._sent.add(path)
        argv = (*installed.command, *agent_arguments(job, self._entered.agent, verb))
        return launch(self._host, job, argv, installed.environment)

    def close(self) -> None:
        """Remove this run's folders in the distribution."""
        if self._entered:
            with suppress(HarnessError):
                self._host.ask("release")
            self._entered = None
        shutil.rmtree(self._scratch / self.name, ignore_errors=True)

    @cached_property
    def _availability(self) -> Availability:
        command = self._command
        if command is None:
            return Availability(runnable=False, reason=f"{self.name}: {self._without_wsl()}")
        try:
            with self._named():
                require(command, self._distribution)
        except PlatformError as error:
            return Availability(runnable=False, reason=str(error))
        return RUNNABLE

    @cached_property
    def _command(self) -> WslCommand | None:
        return WslCommand.find(self._environ)

    @cached_property
    def _door(self) -> WslDoor:
        if self._command is None:
            raise PlatformError(f"{self.name}: {self._without_wsl()}")
        return WslDoor(label=self.name, distribution=self._distribution, command=self._command)

    @cached_property
    def _host(self) -> LinuxHost:
        return LinuxHost(platform=self.name, run=self._run_id, where=self._distribution, door=self._door)

    def _enter(self, progress: Callable[[str], None]) -> _Entered:
        """Start the distribution and make this run's folders in it. Raises PlatformError."""
        with self._named():
            before = require(self._door.command, self._distribution)
        progress(f"{self.name}: starting {before.name}")
        facts = {
            **package_facts(self._door.command),
            **distribution_facts(before),
            **self._door.start_costs(before.state),
            "wsl.settings": settings_fact(self._environ),
        }
        greeting = self._host.ask("greet")
        self._remove_leftovers(greeting["claims"])
        agent = self._agent or pack.agent_archive()
        path = f"agent/{digest_of(agent)[:12]}.pyz"
        self._host.send(agent, path)
        made = self._claim()
        facts["wsl.stand_in"] = stand_in_fact(greeting["release"])
        facts["wsl.locations"] = locations_fact(made["locations"], made["notes"])
        return _Entered(
            home=greeting["home"],
            cache=greeting["cache"],
            agent=f"{greeting['cache']}/{path}",
            locations=made["locations"],
            facts=facts,
        )

    def _claim(self) -> Any:  # noqa: ANN401 - JSON
        owner = Owner.of(os.getpid()).record()
        return self._host.ask("claim", owner=owner, outside={"mnt-c": self._windows_folders()})

    def _remove_leftovers(self, claims: list[dict[str, Any] | None]) -> None:
        for left in claims:
            owner = Owner.from_record(left["owner"]) if left else None
            if left and owner and owner.is_gone():
                self._host.ask("release", run=left["run"], platform=left["platform"])

    def _windows_folders(self) -> list[str]:
        """Return, as paths inside, the folders on a drive of Windows that a location can be made in, the best first."""
        if not self._scratch.drive:
            return [WINDOWS_TEMP]
        done = self._door.run("wslpath", "-a", "-u", self._scratch.as_posix())
        return [*done.stdout.splitlines()[:1], WINDOWS_TEMP] if done.code == 0 else [WINDOWS_TEMP]

    def _resource(self, path: Path) -> str:
        """Return where a folder of the controller's is copied to, below the cache there."""
        if path not in self._resources:
            self._resources[path] = f"resources/{path.name}-{tree_digest(path)[:12]}"
        return self._resources[path]

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Put the platform's name before an error."""
        try:
            yield
        except PlatformError as error:
            raise PlatformError(f"{self.name}: {error.problem}", error.remedy) from error

    def _without_wsl(self) -> str:
        if platform.system() == "Windows":
            return "there is no wsl.exe; run `wsl --install` as administrator, or update Windows"
        inside = f"run `nox -s matrix` inside {self._distribution} and report both bundles together"
        return f"there is no wsl.exe on PATH, and this is {platform.system()}; boot Windows, or {inside}"
