"""A virtual machine that libvirt knows: a domain of the user's, in which the agent runs as on a remote host, by ssh.

The domain is the user's: what decides its speed stands in its definition, and ssh reaches it by the user's own
configuration. One that is shut off is started for the run and shut down with it, suspended between two uses; one that
runs already is used as it runs, and left so.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from harness.agent.inspection.facts import Fact
from harness.agent.messages import Location
from harness.cache import cache_dir
from harness.errors import PlatformError, StackError
from harness.matrix.model import Libvirt, Remote
from harness.platforms import libvirt, vfio
from harness.platforms.base import Availability, Ending, Job, Prepared
from harness.platforms.guest import EMULATED
from harness.platforms.leftovers import orphaned_record
from harness.platforms.libvirt import OFF, PAUSED, RUNNING, Domain
from harness.platforms.owner import Owner
from harness.platforms.remote import RemotePlatform
from harness.platforms.ssh import Connection, Target
from harness.platforms.ssh_errors import ConnectionLostError
from harness.stacks import Stack

FOLDER = "libvirt"  # in the cache: notes of the domains that a run has started
UP_SECONDS = 300.0
POLL_SECONDS = 1.0


def recover(cache: Path) -> list[str]:
    """Shut down the domains that killed runs have started; return what can't be, one line each."""
    problems = []
    for note in sorted((cache / FOLDER).glob("*.json")):
        domain = _orphaned(note)
        if domain is not None:
            try:
                domain.end()
                note.unlink(missing_ok=True)
            except PlatformError as error:
                problems.append(f"a killed run has left it running: {error}")
    return problems


def lent_facts(system: vfio.Sysfs, connection: str, lent: Sequence[str]) -> Mapping[str, Fact]:
    """Return what this host sees of the first device that a domain is given; nothing of another host's."""
    here = urlsplit(connection).hostname is None
    return vfio.facts(system, lent[0]) if lent and here else {}


class StartedDomain:
    """A domain that is up while it is used."""

    def __init__(self, domain: Domain, connection: Connection) -> None:
        self._domain = domain
        self._connection = connection
        digest = hashlib.sha256(f"{domain.connection} {domain.name}".encode()).hexdigest()[:16]
        self._note = cache_dir() / FOLDER / f"{digest}.json"
        self._ours = False  # started by this run
        self.starts = 0  # by this run
        self.lent: list[str] = []  # PCI addresses of what the host has while it is off
        self.seconds: float | None = None  # of its first start
        self.facts: Mapping[str, object] = {}

    @contextmanager
    def up(self, say: Callable[[str], None]) -> Iterator[None]:
        """Start the domain unless it runs, let it go on if it stands still, and wait until ssh gets in."""
        try:
            self._start(say)
            yield
        except BaseException:
            if self.seconds is None:  # it never came up: nobody will use it
                self.down()
            raise
        finally:
            if self._ours and self.lent:
                self.down()
            elif self._ours:
                with suppress(PlatformError):  # one that has ended needs no pause
                    self._domain.suspend()

    def go_on(self) -> None:
        """Let it go on after its last use. Never raises."""
        with suppress(PlatformError):
            if self._ours and self._domain.state() == PAUSED:
                self._domain.resume()

    def down(self) -> None:
        """Shut down what this run has started. Raises PlatformError."""
        if self._ours:
            self._domain.end()
            self._ours = False
            self._note.unlink(missing_ok=True)

    def _start(self, say: Callable[[str], None]) -> None:
        began = time.monotonic()
        state = self._domain.state()
        if state == PAUSED and self._ours:
            self._domain.resume()
        elif state == OFF:
            say(f"{self._domain.who}: starting domain {self._domain.name}")
            self._write_note()
            self._ours = True
            self._domain.start()
            self.starts += 1
            self._connection.close()  # a shared connection leads to the boot before
        elif state != RUNNING:
            problem = f"{self._domain.who}: domain {self._domain.name} is {self._domain.state_and_reason()}"
            raise PlatformError(problem, f"Start it by hand, or shut it down: `virsh start {self._domain.name}`")
        self._await_ssh(began + UP_SECONDS)
        if self.seconds is None:
            self.seconds = time.monotonic() - began
            definition = self._domain.definition()
            self.lent = libvirt.passed_through(definition)
            self.facts = {**libvirt.described(definition), "started_by_run": self._ours}

    def _await_ssh(self, deadline: float) -> None:
        while True:
            try:
                self._connection.run(["true"])
            except ConnectionLostError as error:
                state = self._domain.state_and_reason()
                if not state.startswith(RUNNING) or time.monotonic() > deadline:
                    problem = f"{error.problem}; domain {self._domain.name} is {state}"
                    raise PlatformError(problem, f"See its console: `virsh console {self._domain.name}`") from error
                time.sleep(POLL_SECONDS)
            else:
                return

    def _write_note(self) -> None:
        """Before the start: whoever comes after a killed run ends the domain."""
        self._note.parent.mkdir(parents=True, exist_ok=True)
        record = {
            "owner": Owner.of(os.getpid()).record(),
            "name": self._domain.name,
            "connection": self._domain.connection,
        }
        self._note.write_text(json.dumps(record), encoding="utf-8")


class DomainPlatform:
    """Starts the domain, and leaves what happens in it to the remote platform."""

    kind: Literal["vm"] = "vm"

    def __init__(self, name: str, config: Libvirt, *, run_id: str, agent: Path | None = None) -> None:
        self.name = name
        self._domain = Domain(who=name, name=config.name, connection=config.connection)
        file = Path(config.config).expanduser() if config.config else None
        self._guest = StartedDomain(self._domain, Connection(name, Target(host=config.host, config=file)))
        self._config = Remote.model_validate({"kind": "remote", "host": config.host, "config": config.config})
        self._run_id, self._agent = run_id, agent
        self._inside = self._remote()
        self._entered = 0  # the start that `_inside` is about
        self._stacks: dict[str, Stack] = {}

    def availability(self) -> Availability:
        """Whether libvirt knows the domain and ssh its host; whether it comes up is known once it has been tried."""
        found = libvirt.missing()
        if found:
            return Availability(runnable=False, reason=f"{self.name}: {found}")
        try:
            self._domain.state()
        except PlatformError as error:
            return Availability(runnable=False, reason=str(error))
        return self._inside.availability()

    def offers(self, stack: Stack, device: str) -> Availability:
        """Whether the stack can be installed in the domain, and it is given a GPU."""
        if device != "cpu" and not libvirt.passed_through(self._domain.definition()):
            reason = f"{self.name}: domain {self._domain.name} is given no device; add a <hostdev> to its definition"
            return Availability(runnable=False, reason=reason)
        return self._inside.offers(stack, device)

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        """Start the domain and install the stack in it. Raises PlatformError, StackError."""
        with self._guest.up(progress):
            self._enter()
            prepared = self._inside.prepare(stack, progress)
            self._stacks[stack.name] = stack
        own = {"domain": self._domain.name, "accelerator": str(self._guest.facts["accelerator"])}
        return Prepared(provenance={**prepared.provenance, **own})

    def facts(self) -> Mapping[str, Fact]:
        """What the host knows of the domain, and whether it is emulated."""
        if self._guest.seconds is None:
            return {}
        emulated = self._guest.facts["accelerator"] == "tcg"
        values: dict[str, object] = {
            **self._guest.facts,
            "stand_in": EMULATED if emulated else "",
            "start_seconds": round(self._guest.seconds, 1),
        }
        own: dict[str, Fact] = {f"vm.{name}": {"value": value, "source": "libvirt"} for name, value in values.items()}
        lent = lent_facts(vfio.SYSTEM, self._domain.connection, self._guest.lent)
        return {**self._inside.facts(), **own, **lent}

    def locations(self) -> tuple[Location, ...]:
        """Those of the guest; `host` is its own disk."""
        return self._inside.locations()

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:
        """Where they lie in the guest."""
        return self._inside.resources(resources)

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:
        """Run the agent in the domain, which is started anew if it has ended. Raises PlatformError."""
        with self._guest.up(_unsaid):
            self._enter()
            return self._inside.launch(job, verb=verb, resources=resources)

    def close(self) -> None:
        """Remove what was installed for the run, and shut down what it has started."""
        self._guest.go_on()
        self._inside.close()
        self._guest.down()

    def _remote(self) -> RemotePlatform:
        return RemotePlatform(self.name, self._config, run_id=self._run_id, agent=self._agent)

    def _enter(self) -> None:
        """Find the way into a domain that was started anew, and what was installed: its disk may have lost it."""
        if self._entered == self._guest.starts:
            return
        self._entered = self._guest.starts
        self._inside.close()
        self._inside = self._remote()
        try:
            for stack in self._stacks.values():
                self._inside.prepare(stack, _unsaid)
        except StackError as error:
            raise PlatformError(error.problem, error.remedy) from error


def _unsaid(_line: str) -> None:
    """A domain that starts between two measurements is not worth a line."""


def _orphaned(note: Path) -> Domain | None:
    """Return the domain that a process has started which is gone; after a reboot there is none."""
    record = orphaned_record(note)
    if record is None or not {"name", "connection"} <= record.keys():
        return None
    return Domain(who=str(record["name"]), name=str(record["name"]), connection=str(record["connection"]))
