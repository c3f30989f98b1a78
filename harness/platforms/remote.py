"""Another host through the user's own ssh: a fresh process there for every invocation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from harness import pack, stacks
from harness.agent.inspection.facts import Fact
from harness.agent.messages import Location
from harness.errors import PlatformError
from harness.matrix.model import Remote
from harness.platforms.agent_call import agent_arguments, isolation
from harness.platforms.base import RUNNABLE, Availability, Ending, Job, Prepared
from harness.platforms.native import locked_environment
from harness.platforms.owner import boot_id
from harness.platforms.ssh import Connection, Target, client_version, resolved
from harness.platforms.ssh_host import Host
from harness.platforms.ssh_stack import Installed, install
from harness.stacks import Stack

SOURCE = "harness.platforms.remote"
NOBODYS = (".example", ".invalid")  # names that RFC 6761 keeps free: they are in the default matrix, and never resolve


class RemotePlatform:
    """Runs the agent on another host. Nothing is sent there before `prepare`.

    `target` is where to go instead of what the configuration says: a platform that has started the host knows better.
    """

    kind: Literal["remote"] = "remote"

    def __init__(
        self, name: str, config: Remote, *, run_id: str, agent: Path | None = None, target: Target | None = None
    ) -> None:
        self.name = name
        file = Path(config.config).expanduser() if config.config else None
        self._target = target or Target(host=config.host, config=file)
        connection = Connection(name, self._target)
        self._host = Host(connection, label=f"{run_id}-{name}", python=config.python, folder=config.folder)
        self._agent = agent
        self._agent_there = ""
        self._installed: dict[str, Installed] = {}
        self._sent: set[str] = set()  # names of resources

    def availability(self) -> Availability:
        """Whether there is an ssh client with a sound configuration for the host. No network: `prepare` tries that."""
        try:
            address = resolved(self.name, self._target).get("hostname", "")
        except PlatformError as error:
            return Availability(runnable=False, reason=str(error))
        if address.endswith(NOBODYS):
            reason = f"{self.name}: {address} is a placeholder; name a host of yours in matrix.yaml"
            return Availability(runnable=False, reason=reason)
        return RUNNABLE

    def offers(self, stack: Stack, device: str) -> Availability:
        """Whether the stack can be sent. What the host has of GPUs is known once it has been reached."""
        if stack.variant == "installed":
            reason = f"stack {stack.name} is what is installed on the host: native only; lock it by `requirements:`"
            return Availability(runnable=False, reason=reason, status="unsupported")
        survey = self._host.survey
        if device != "cpu" and survey is not None and not survey.gpu:
            reason = f"{self.name}: {self._target.host} has no NVIDIA GPU; `nvidia-smi` must list one there"
            return Availability(runnable=False, reason=reason)
        return RUNNABLE

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        """Reach the host, send the agent and install the stack there. Raises PlatformError, StackError."""
        if self._host.survey is None:
            progress(f"{self.name}: connecting to {self._target.host}")
        survey = self._host.reach()
        self._agent = self._agent or pack.agent_archive()
        self._agent_there = self._host.keep(self._agent, "agent")
        installed = install(self._host, stack, progress)
        self._installed[stack.name] = installed
        home = survey.environ.get("HOME", "")
        interpreter = installed.python.replace(home, "~", 1) if len(home) > 1 else installed.python
        digests = {"lock_sha256": stack.lock_sha256, "wheels_sha256": stacks.wheels_digest(stack)}
        return Prepared(provenance={"interpreter": interpreter, **digests})

    def facts(self) -> Mapping[str, Fact]:
        """Which ssh client, and whether the host is another machine: then hardware is compared, not platforms."""
        survey = self._host.survey
        if survey is None:
            return {}
        same = bool(survey.boot_id) and survey.boot_id == boot_id()
        found: dict[str, object] = {"client": client_version(), "same_host": same}
        if same:
            found["stand_in"] = "this very host through ssh"
        return {f"remote.{name}": {"value": value, "source": SOURCE} for name, value in found.items()}

    def locations(self) -> tuple[Location, ...]:
        """`host`, the file system of the work folder there, and `tmpfs` where there is one."""
        return self._host.locations()

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:
        """Where `launch` puts them there; none before `prepare`."""
        if self._host.survey is None:
            return {}
        return {name: self._host.place(path, name) for name, path in resources.items()}

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:
        """Run the agent in a process of its own there. Raises PlatformError when the host can't be reached."""
        installed = self._installed.get(job.spec.stack)
        if installed is None:
            raise PlatformError(f"{self.name}: stack {job.spec.stack} has not been prepared")
        for name, path in (resources or {}).items():
            if name not in self._sent:
                self._host.keep(path, name)
                self._sent.add(name)
        argv = (installed.python, *isolation(installed.stack), *agent_arguments(job, self._agent_there, verb))
        return self._host.launch(job, argv, environment(self._host.reach().environ, installed))

    def close(self) -> None:
        """Remove this run's folders there and end the connection; what was sent by digest stays for the next run."""
        self._host.close()


def environment(environ: Mapping[str, str], installed: Installed) -> dict[str, str]:
    """Return the variables of the measured process: as on the native platform, those of the host's own login."""
    return locked_environment(environ, installed.stack, installed.libraries)
