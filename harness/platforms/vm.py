"""A virtual machine on this host: a guest under QEMU, in which the agent runs as on a remote host, through ssh."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from harness.agent.inspection.facts import Fact
from harness.agent.messages import Location
from harness.errors import PlatformError, StackError
from harness.matrix.model import Remote, Vm
from harness.platforms.base import RUNNABLE, Availability, Ending, Job, Prepared
from harness.platforms.guest import Guest
from harness.platforms.guest_image import GuestImage
from harness.platforms.qemu import Running, last_words
from harness.platforms.remote import RemotePlatform
from harness.platforms.ssh import Target
from harness.platforms.vfio import SYSTEM, Sysfs
from harness.platforms.vm_machine import obstacle
from harness.stacks import Stack

ALIAS = "overhead-matrix-guest"  # by which ssh knows the guest's key, whatever its port


class VmPlatform:
    """Boots the guest, and leaves what happens in it to the remote platform. `root` is the folder of matrix.yaml."""

    kind: Literal["vm"] = "vm"

    def __init__(
        self,
        name: str,
        config: Vm,
        *,
        root: Path,
        scratch: Path,
        run_id: str,
        agent: Path | None = None,
        system: Sysfs = SYSTEM,
    ) -> None:
        self.name = name
        self._config = config
        self._scratch = scratch
        self._run_id = run_id
        self._agent = agent
        self._system = system
        self._image = GuestImage(disk=(root / (config.image or "")).resolve())
        self._guest = Guest(name, config, self._image, folder=scratch / name, system=system)
        self._stacks: dict[str, Stack] = {}
        self._running: Running | None = None  # the boot that `_inside` is about
        self._inside: RemotePlatform | None = None

    def availability(self) -> Availability:
        """Whether this host can start the guest; whether it boots is known once it has been tried."""
        if self._guest.started is not None:
            return RUNNABLE
        if not sys.platform.startswith("linux"):
            reason = f"{self.name}: guests are started from Linux; run `nox -s matrix` there"
            return Availability(runnable=False, reason=reason)
        found = obstacle(self._config, self._image, self._system)
        return Availability(runnable=False, reason=f"{self.name}: {found}") if found else RUNNABLE

    def offers(self, stack: Stack, device: str) -> Availability:
        """Whether the stack can be installed in the guest, and a GPU be passed to it."""
        if stack.variant == "installed":
            reason = f"stack {stack.name} is what is installed on the host: native only; lock it by `requirements:`"
            return Availability(runnable=False, reason=reason, status="unsupported")
        if device != "cpu" and not self._config.gpu:
            reason = f"{self.name}: the guest has no GPU; name one by `gpu` in matrix.yaml"
            return Availability(runnable=False, reason=reason)
        return RUNNABLE

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        """Boot the guest and install the stack in it. Raises PlatformError, StackError."""
        with self._guest.up(progress) as running:
            prepared = self._entered(running).prepare(stack, progress)
            self._stacks[stack.name] = stack
        own = {
            "image_id": self._image.identity(),
            "accelerator": running.accelerator,
            "start_seconds": round(running.seconds, 1),
        }
        return Prepared(provenance={**prepared.provenance, **own})

    def facts(self) -> Mapping[str, Fact]:
        """What the host knows of the guest, and whether it is emulated."""
        return {**(self._inside.facts() if self._inside else {}), **self._guest.facts()}

    def locations(self) -> tuple[Location, ...]:
        """Those of the guest; `host` is its own disk."""
        return self._inside.locations() if self._inside else ()

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:
        """Where they lie in the guest."""
        return self._inside.resources(resources) if self._inside else {}

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:
        """Run the agent in the guest, which boots anew if it has ended. Raises PlatformError."""
        if job.spec.stack not in self._stacks:
            raise PlatformError(f"{self.name}: stack {job.spec.stack} has not been prepared")
        with self._guest.up(_unsaid) as running:
            try:
                return self._entered(running).launch(job, verb=verb, resources=resources)
            except PlatformError as error:
                if running.is_alive():
                    raise
                problem = f"{self.name}: the guest ended while it was used{last_words(running.folder)}"
                raise PlatformError(problem, "The next use boots it anew; see `dmesg` if QEMU was killed.") from error

    def close(self) -> None:
        """End the guest, remove its disk, give the GPU back."""
        self._guest.resume()
        if self._inside is not None:
            self._inside.close()
        self._guest.discard()

    def _entered(self, running: Running) -> RemotePlatform:
        """Return the way into a running guest. One that has booted anew finds on its disk what was installed."""
        if self._inside is not None and self._running is running:
            return self._inside
        if self._inside is not None:
            self._inside.close()
        self._inside, self._running = self._remote(running), running
        try:
            for stack in self._stacks.values():
                self._inside.prepare(stack, _unsaid)
        except StackError as error:
            raise PlatformError(error.problem, error.remedy) from error
        return self._inside

    def _remote(self, running: Running) -> RemotePlatform:
        known = running.folder / "known_hosts"
        known.write_text(f"{ALIAS} {self._image.host_key.read_text(encoding='ascii')}", encoding="ascii")
        host = f"{self._config.user}@127.0.0.1"
        target = Target(
            host=host,
            port=running.port,
            identity=self._image.key,
            known_hosts=known,
            config=Path(os.devnull),  # the user's own configuration is about other hosts
            options=(f"HostKeyAlias={ALIAS}",),
        )
        inside = Remote.model_validate({"kind": "remote", "host": host})
        return RemotePlatform(self.name, inside, run_id=self._run_id, agent=self._agent, target=target)


def _unsaid(_line: str) -> None:
    """A guest that boots between two measurements is not worth a line."""
