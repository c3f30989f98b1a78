"""A container engine on this host: a fresh container for every invocation, removed whatever happens."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness import images, pack
from harness.agent.inspection.facts import Fact
from harness.agent.messages import Location
from harness.errors import HarnessError, PlatformError
from harness.matrix.model import Container
from harness.platforms import engine
from harness.platforms.agent_call import agent_arguments, isolation, write_spec
from harness.platforms.base import RUNNABLE, Availability, Ending, Job, Prepared
from harness.platforms.container_image import Image, library_path, run_in, stack_image, vendor_image
from harness.platforms.container_leftovers import labels, reap
from harness.platforms.container_options import AGENT, LOCATIONS, WORK, container_options, inside
from harness.platforms.engine_errors import engine_errors, explain
from harness.platforms.engine_facts import engine_facts, platform_facts
from harness.platforms.leftovers import claim, sweep
from harness.runner.output import Chunk, Pump, Tee
from harness.stacks import Stack

if TYPE_CHECKING:
    from docker import APIClient
    from docker.types import CancellableStream
    from requests import Response

NAME = "overhead-matrix"
VENDOR_PYTHON = "python3"
END_SECONDS = 10.0  # a killed container that still lives after this hangs in the kernel
QUIET, DRAIN = 0.5, 10.0  # as in harness.runner.process
TAIL = 4096  # characters of the log in which an explanation is looked for
# Changes the owner of everything in the folder argv[1] to argv[2]:argv[3].
OWN_CODE = """
import os, sys
for folder, folders, files in os.walk(sys.argv[1]):
    for name in folders + files:
        os.lchown(os.path.join(folder, name), int(sys.argv[2]), int(sys.argv[3]))
"""
SIGNAL_BASE = 128  # a shell's and the engine's way to say "ended by signal n": 128 + n


@dataclass(frozen=True, kw_only=True)
class _Installed:
    """A stack and its image."""

    stack: Stack
    image: Image
    environment: Mapping[str, str]  # what the stack itself needs


class ContainerPlatform:
    """Runs the agent in containers. `scratch` is the run's folder; this platform works in `scratch/<name>`."""

    kind: Literal["container"] = "container"

    def __init__(
        self, name: str, config: Container, *, gpu: bool, scratch: Path, run_id: str, agent: Path | None = None
    ) -> None:
        self.name = name
        self._config = config
        self._gpu = gpu
        self._scratch = scratch
        self._agent = agent
        self._token = run_id
        self._volume = f"{NAME}-{run_id}-{name}"
        self._installed: dict[str, _Installed] = {}
        self._engine: Mapping[str, Any] = {}  # what the engine says about itself
        self._engine_silence = ""  # why it does not say more

    def availability(self) -> Availability:
        """Whether an engine answers that runs Linux containers; at most about half a second."""
        found = engine.availability(self._config.engine)
        return found if found.runnable else Availability(runnable=False, reason=f"{self.name}: {found.reason}")

    def offers(self, stack: Stack, device: str) -> Availability:
        """Whether the stack can go into an image, and a GPU into the container."""
        if stack.variant == "installed":
            reason = f"stack {stack.name} is what is installed on the host: native only; lock it by `requirements:`"
            return Availability(runnable=False, reason=reason, status="unsupported")
        if device != "cpu" and self._config.gpus == "none":
            reason = f"{self.name}: matrix.yaml says `gpus: none`; remove it to measure with the GPU"
            return Availability(runnable=False, reason=reason)
        if device != "cpu" and not self._gpu:
            return Availability(runnable=False, reason=f"{self.name}: no NVIDIA GPU; `nvidia-smi` must list one")
        return RUNNABLE

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        """Build or pull the stack's image, after removing what killed runs left. Raises PlatformError, StackError."""
        sweep(*self._scratch.parent.glob("*"))
        claim(self._scratch)
        self._bind.mkdir(parents=True, exist_ok=True)
        self._agent = self._agent or pack.agent_archive()
        with engine_errors(self.name):
            reap(self._api)
            installed = self._install(stack, progress)
            self._installed[stack.name] = installed
            self._engine = self._engine or self._engine_facts()
            return Prepared(provenance={**installed.image.provenance, **self._engine})

    def facts(self) -> Mapping[str, Fact]:
        """Where the engine runs: inside, a container of Docker Desktop looks like one of any engine on WSL2."""
        return platform_facts(self._engine, self._engine_silence)

    def locations(self) -> tuple[Location, ...]:
        """The writable layer, a bound folder of the host, a named volume, and memory."""
        return LOCATIONS

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:
        """Where they are mounted."""
        return {name: inside(name) for name in resources}

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:
        """Run the agent in a new container. Raises PlatformError when the engine refuses, ResultsError for the log."""
        began = time.monotonic()
        request = self._request(job, verb, resources or {})
        write_spec(job)
        with engine_errors(self.name), Tee(job.log, job.on_line) as tee, self._container(request) as container:
            ending = self._run(container, tee, job, began)
            tee.finish()
        self._take_over(job.folder, job.spec.stack)
        return ending

    def close(self) -> None:
        """Remove this platform's volume and folders."""
        if self._installed:
            self._take_over(self._bind, next(iter(self._installed)))
            with suppress(HarnessError), engine_errors(self.name):
                self._remove_volume()
        shutil.rmtree(self._scratch / self.name, ignore_errors=True)
        if "_api" in vars(self):  # an engine was talked to
            self._api.close()

    @cached_property
    def _api(self) -> APIClient:
        return engine.connect(self._config.engine).api

    @property
    def _bind(self) -> Path:
        return self._scratch / self.name / "bind"

    def _install(self, stack: Stack, progress: Callable[[str], None]) -> _Installed:
        if self._config.image:
            vendor = vendor_image(self._api, self._config.image, progress)
            return _Installed(stack=stack, image=vendor, environment={})
        marks = labels(self._token)
        image = stack_image(self._api, stack, progress, marks)
        libraries = library_path(self._api, stack, image.identity, marks)
        return _Installed(stack=stack, image=image, environment=libraries)

    def _engine_facts(self) -> dict[str, Any]:
        info: Mapping[str, Any] = {}
        try:
            with engine_errors(self.name):
                info = self._api.info()
        except HarnessError as error:  # Docker Desktop's `info` has been seen to fail
            self._engine_silence = error.problem
        return engine_facts(self._api.version(), info)

    def _request(self, job: Job, verb: str, resources: Mapping[str, Path]) -> dict[str, Any]:
        installed = self._installed.get(job.spec.stack)
        if installed is None or self._agent is None:
            raise PlatformError(f"{self.name}: stack {job.spec.stack} has not been prepared")
        interpreter = (VENDOR_PYTHON,) if self._config.image else (images.PYTHON, *isolation(installed.stack))
        return container_options(
            self._config,
            image=installed.image.identity,
            command=(*interpreter, *agent_arguments(job, AGENT, verb)),
            device=job.spec.device,
            work=job.folder,
            agent=self._agent,
            bind=self._bind,
            volume=self._volume,
            resources=resources,
            labels=labels(self._token),
            needed=installed.environment,
            environ=os.environ,
        )

    @contextmanager
    def _container(self, request: dict[str, Any]) -> Iterator[str]:
        """Create a container; remove it at the end, even if Ctrl-C comes before its id is known."""
        name = f"{NAME}-{secrets.token_hex(8)}"
        try:
            warnings = engine.create_container(self._api, request, name)
            dropped = [text for text in warnings if "discarded" in text.lower()]
            if dropped:  # measuring without the limit would be measuring something else
                raise PlatformError(f"{self.name}: {dropped[0]}", "Remove the option, or use an engine that has it.")
            yield name
        finally:
            with suppress(HarnessError), engine_errors(self.name):  # what stays is reaped by the next run
                engine.remove_container(self._api, name)

    def _run(self, container: str, tee: Tee, job: Job, began: float) -> Ending:
        pump: Pump[int] = Pump(tee)
        output = self._api.attach(container, stream=True, demux=True)
        try:
            self._api.start(container)
            pump.read(_chunks(output))
            pump.watch(lambda: int(self._api.wait(container)["StatusCode"]))
            in_time = pump.wait(job.timeout)
            seconds = time.monotonic() - began
            if not in_time:
                self._kill(container, pump)
            pump.drain(quiet=QUIET, at_most=DRAIN)
        finally:
            _close(output)
        if not in_time:
            return Ending(timed_out=True, seconds=seconds)
        return ending(self._api.inspect_container(container)["State"], seconds, _tail(job.log))

    def _kill(self, container: str, pump: Pump[int]) -> None:
        from docker.errors import APIError  # noqa: PLC0415 - the SDK is imported where it is used

        with suppress(APIError):  # it may have ended by itself just now
            self._api.kill(container)
        if not pump.ended.wait(END_SECONDS):
            raise PlatformError(f"{self.name}: a container can't be killed: it hangs in the kernel", "See `dmesg`.")

    def _take_over(self, folder: Path, stack: str) -> None:
        """Give this user what containers left in a folder as root: else it could not be removed.

        Not on Windows, where a container's files are the user's.
        """
        if sys.platform == "win32":
            return
        if not folder.is_dir() or not any(
            each.is_dir() and each.stat().st_uid != os.getuid() for each in folder.iterdir()
        ):
            return
        mount = {"Type": "bind", "Source": str(folder), "Target": WORK}
        command = ["python3", "-c", OWN_CODE, WORK, str(os.getuid()), str(os.getgid())]
        with suppress(HarnessError), engine_errors(self.name):
            run_in(self._api, self._installed[stack].image.identity, command, labels(self._token), [mount])

    def _remove_volume(self) -> None:
        from docker.errors import NotFound  # noqa: PLC0415 - the SDK is imported where it is used

        with suppress(NotFound):
            self._api.remove_volume(self._volume, force=True)


def ending(state: Mapping[str, Any], seconds: float, tail: str) -> Ending:
    """Read how a container ended from the engine's `State`; `tail` is the end of its log."""
    code = int(state["ExitCode"])
    if code == 0:  # a child that was killed for memory, and which the agent did without, is no failure
        return Ending(exit_code=0, seconds=seconds)
    said = explain(tail) if "NVML" in tail or "libnvidia" in tail else None
    detail = ". ".join(said) if said else str(state.get("Error") or "")
    if state.get("OOMKilled"):
        return Ending(oom=True, seconds=seconds, detail=detail)
    if SIGNAL_BASE < code <= SIGNAL_BASE + 64:
        return Ending(signal=code - SIGNAL_BASE, seconds=seconds, detail=detail)
    return Ending(exit_code=code, seconds=seconds, detail=detail)


def _chunks(output: Iterator[tuple[bytes | None, bytes | None]]) -> Iterator[Chunk]:
    for stdout, stderr in output:
        if stdout:
            yield "stdout", stdout
        if stderr:
            yield "stderr", stderr


def _close(output: CancellableStream[tuple[bytes | None, bytes | None]]) -> None:
    """Wake the thread that reads, then close: the SDK's own `close` leaves the connection open."""
    with suppress(OSError):  # the engine may have closed it already
        output.close()
    response: Response = output._response  # type: ignore[attr-defined]
    response.close()


def _tail(log: Path) -> str:
    try:
        return log.read_text(encoding="utf-8", errors="replace")[-TAIL:]
    except OSError:
        return ""
