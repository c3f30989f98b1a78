"""The host itself: a fresh process of the stack's interpreter."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness import pack, stacks
from harness.agent.inspection.facts import Fact
from harness.agent.messages import Location
from harness.cache import without_home
from harness.errors import PlatformError
from harness.matrix.model import Native
from harness.platforms.agent_call import GPU_CHOICE, agent_arguments, isolation, write_spec
from harness.platforms.base import RUNNABLE, Availability, Ending, Job, Prepared
from harness.platforms.leftovers import PROCESS, claim, note, sweep
from harness.runner import process
from harness.stacks import Stack

PREFIX = "overhead-matrix-"
MEMORY_FOLDERS = (Path("/dev/shm"), Path("/run/shm"))  # noqa: S108 - measured as what they are
# A container starts with an empty environment; so does a native process, but for what a program cannot do without
# and what says which GPUs are meant. OMP_NUM_THREADS and its like would make the two sides different.
BASICS = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "XDG_CACHE_HOME", "LD_LIBRARY_PATH")
# Windows: libraries and sockets need SYSTEMROOT, vswhere is looked for below ProgramFiles(x86).
BASICS_OF_WINDOWS = (
    "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE", "USERNAME", "APPDATA",
    "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES", "PROGRAMFILES(X86)", "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
)  # fmt: skip
# The variable that has a loader look into more folders, and where wheels of NVIDIA's put the libraries of CUDA.
LIBRARIES = (
    ("PATH", "Lib/site-packages/nvidia/*/bin")
    if os.name == "nt"
    else ("LD_LIBRARY_PATH", "lib/python3.*/site-packages/nvidia/*/lib")
)
KEPT = frozenset((*BASICS, *BASICS_OF_WINDOWS, *GPU_CHOICE))
SUPPORTED = {"linux": "Linux", "windows": "Windows"}


@dataclass(frozen=True, kw_only=True)
class _Environment:
    """A stack as it is installed here."""

    stack: Stack
    interpreter: Path


class NativePlatform:
    """Runs the agent on this host. `scratch` is the run's folder; this platform works in `scratch/<name>`."""

    kind: Literal["native"] = "native"

    def __init__(
        self,
        name: str,
        config: Native,
        *,
        gpu: bool,
        scratch: Path,
        run_id: str,
        agent: Path | None = None,
        memory_folders: tuple[Path, ...] = MEMORY_FOLDERS,
    ) -> None:
        self.name = name
        self._config = config
        self._gpu = gpu
        self._scratch = scratch
        self._agent = agent
        self._memory = next(
            (folder / f"{PREFIX}{run_id}" for folder in memory_folders if _is_writable_tmpfs(folder)), None
        )
        self._environments: dict[str, _Environment] = {}

    def availability(self) -> Availability:
        """Where the system is not the one that is meant the reason says to boot it. A guest is said to be one."""
        here = platform.system().lower()
        if here not in SUPPORTED:
            reason = f"{self.name}: native {platform.system()} is not supported; boot Linux or Windows on this machine"
            return Availability(runnable=False, reason=f"{reason} and run `nox -s matrix` there")
        wanted = self._config.os or here
        if wanted != here:
            reason = f"{self.name}: this is {SUPPORTED[here]}; boot {SUPPORTED[wanted]} on this machine and run"
            reason = f"{reason} `nox -s matrix` there, then report both bundles together"
            return Availability(runnable=False, reason=reason)
        return Availability(runnable=True, reason=guest_note(Path("/")))

    def offers(self, stack: Stack, device: str) -> Availability:
        """Whether there is a GPU where one is asked for, and the interpreter of an `installed` stack."""
        if device != "cpu" and not self._gpu:
            return Availability(runnable=False, reason=f"{self.name}: no NVIDIA GPU; `nvidia-smi` must list one")
        if stack.interpreter and stacks.interpreter(stack) is None:
            reason = f"stack {stack.name}: interpreter {stack.interpreter} is not there; correct it in matrix.yaml"
            return Availability(runnable=False, reason=reason)
        return RUNNABLE

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        """Install the stack's environment, pack the agent and make the folders. Raises PlatformError, StackError."""
        self._make_folders()
        self._agent = self._agent or pack.agent_archive()
        interpreter = stacks.environment(stack, progress)
        self._environments[stack.name] = _Environment(stack=stack, interpreter=interpreter)
        digests = {"lock_sha256": stack.lock_sha256, "wheels_sha256": stacks.wheels_digest(stack)}
        return Prepared(provenance={"interpreter": without_home(str(interpreter)), **digests})

    def facts(self) -> Mapping[str, Fact]:
        """Nothing that the agent does not see itself."""
        return {}

    def locations(self) -> tuple[Location, ...]:
        """`host`, the file system of the cache folder, and `tmpfs` where there is one."""
        return tuple(Location(name=name, path=str(path)) for name, path in self._folders().items())

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:
        """The host's own paths."""
        return {name: str(path) for name, path in resources.items()}

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:  # noqa: ARG002 - they lie where they lie
        """Run the agent in a process of its own. Raises PlatformError if it can't be started."""
        installed = self._environments.get(job.spec.stack)
        if installed is None or self._agent is None:
            raise PlatformError(f"{self.name}: stack {job.spec.stack} has not been prepared")
        write_spec(job)
        running = self._work / PROCESS
        try:
            end = process.run(
                (installed.interpreter, *isolation(installed.stack), *agent_arguments(job, str(self._agent), verb)),
                cwd=job.folder,
                env=environment(os.environ, installed.stack, installed.interpreter),
                timeout=job.timeout,
                on_line=job.on_line,
                log=job.log,
                on_start=lambda pid: note(running, pid),
            )
        finally:
            running.unlink(missing_ok=True)
        return Ending(exit_code=end.code, signal=end.signal, timed_out=end.timed_out, oom=end.oom, seconds=end.seconds)

    def close(self) -> None:
        """Remove this platform's folders."""
        shutil.rmtree(self._work, ignore_errors=True)
        if self._memory:
            shutil.rmtree(self._memory / self.name, ignore_errors=True)
            (self._memory / "owner.json").unlink(missing_ok=True)
            with suppress(OSError):
                self._memory.rmdir()

    @property
    def _work(self) -> Path:
        return self._scratch / self.name

    def _folders(self) -> dict[str, Path]:
        memory = {"tmpfs": self._memory / self.name} if self._memory else {}
        return {"host": self._work / "host", **memory}

    def _make_folders(self) -> None:
        sweep(*self._scratch.parent.glob("*"))
        claim(self._scratch)
        if self._memory:
            sweep(*self._memory.parent.glob(f"{PREFIX}*"))
            claim(self._memory)
        for folder in self._folders().values():
            folder.mkdir(parents=True, exist_ok=True)


def environment(environ: Mapping[str, str], stack: Stack, interpreter: Path) -> dict[str, str]:
    """Return the variables of the measured process.

    An `installed` stack keeps them all, since they may be how the machine's framework is found.
    """
    if stack.variant == "installed":
        return dict(environ)
    libraries = interpreter.parent.parent.glob(LIBRARIES[1])
    return locked_environment(environ, stack, sorted(map(str, libraries)) if stack.variant == "cuda" else ())


def locked_environment(environ: Mapping[str, str], stack: Stack, libraries: Sequence[str]) -> dict[str, str]:
    """Return what a stack of pinned wheels keeps of the variables; `libraries` are folders of CUDA among its wheels."""
    kept = {name: value for name, value in environ.items() if name in KEPT or name.startswith("LC_")}
    if stack.framework == "tensorflow" and libraries:
        # TensorFlow does not look for the CUDA libraries of its own wheels.
        variable = LIBRARIES[0]
        before = [kept[variable]] if kept.get(variable) else []
        kept[variable] = os.pathsep.join([*libraries, *before])
    return kept


def guest_note(root: Path) -> str:
    """Say if this Linux is itself a guest (WSL2, a container, a VM), empty if nothing shows that. `root` is `/`."""
    with suppress(OSError):
        release = (root / "proc/sys/kernel/osrelease").read_text(encoding="utf-8").strip()
        if "microsoft" in release.lower():
            which = "WSL 1" if release.endswith("-Microsoft") else "WSL2"
            return f"this Linux runs in {which}: `native` is not bare metal"
    if any((root / mark).exists() for mark in (".dockerenv", "run/.containerenv")):
        return "this runs in a container: `native` is not bare metal"
    with suppress(OSError):
        if " hypervisor" in (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace"):
            return "this runs in a virtual machine: `native` is not bare metal"
    return ""


def _is_writable_tmpfs(folder: Path) -> bool:
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    kinds = {fields[1]: fields[2] for fields in map(str.split, mounts.splitlines())}
    return kinds.get(str(folder)) == "tmpfs" and os.access(folder, os.W_OK | os.X_OK)
