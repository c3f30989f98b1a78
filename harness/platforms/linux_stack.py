"""Installs a stack in a Linux behind a door: the controller's wheels, sent once, into an environment there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import packages, stacks
from harness.errors import StackError
from harness.platforms.agent_call import isolation
from harness.platforms.linux_host import LONG, LinuxHost, tree_digest
from harness.stacks import Stack


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A stack as it is installed there. `libraries` are the folders of the CUDA libraries among its wheels."""

    stack: Stack
    interpreter: str
    libraries: tuple[str, ...] = ()

    @property
    def command(self) -> tuple[str, ...]:
        """What starts the interpreter."""
        return (self.interpreter, *isolation(self.stack))

    @property
    def environment(self) -> Mapping[str, str]:
        """What the stack itself needs: TensorFlow does not look for the CUDA libraries of its own wheels."""
        needed = self.libraries and self.stack.framework == "tensorflow" and self.stack.variant == "cuda"
        return {"LD_LIBRARY_PATH": ":".join(self.libraries)} if needed else {}

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What goes into run.json of it."""
        return {"lock_sha256": self.stack.lock_sha256, "wheels_sha256": stacks.wheels_digest(self.stack)}


def install(host: LinuxHost, stack: Stack, progress: Callable[[str], None]) -> Installed:
    """Install the stack once. Raises StackError and PlatformError."""
    stack = stacks.for_linux(stack)
    python = host.ask("interpreter", python=stack.python)
    if stack.requirements is None:
        return Installed(stack=stack, interpreter=python["found"] or python["own"])
    if python["found"] is None:
        remedy = f"Install it there: `apt install python{stack.python}`, or uv and `uv python install {stack.python}`"
        raise StackError(f"stack {stack.name}: there is no Python {stack.python} in {host.where}", remedy)
    wheels = _send_wheels(host, stack, progress)
    progress(f"{stack.name}: installing an environment in {host.where}")
    answer = host.ask(
        "install",
        timeout=LONG,
        environment=f"envs/{stack.name}-{stack.lock_sha256[:12]}-cp{stack.python.replace('.', '')}",
        interpreter=python["found"],
        lock=stack.requirements.read_text(encoding="utf-8"),
        wheels=wheels,
        pip=_send_pip(host, stack),
        digest=stacks.wheels_digest(stack),
    )
    if "failed" in answer:
        raise _failure(host, stack, answer)
    return Installed(stack=stack, interpreter=answer["interpreter"], libraries=tuple(answer["libraries"]))


def _send_wheels(host: LinuxHost, stack: Stack, progress: Callable[[str], None]) -> str:
    """Send the wheels that are not there yet; return their folder below the cache there."""
    folder = f"wheels/{stack.name}-{stack.lock_sha256[:12]}"
    here = stacks.wheelhouse(stack, progress)
    sizes = {f"{folder}/{path.name}": path.stat().st_size for path in sorted(here.glob("*.whl"))}
    for name in host.ask("missing", files=sizes)["missing"]:
        file = here / Path(name).name
        progress(f"{stack.name}: sending {file.name} to {host.where}")
        host.send(file, name)
    return folder


def _send_pip(host: LinuxHost, stack: Stack) -> str:
    """Send the controller's pip; return its path below the cache there: a Linux need not have one."""
    folder = packages.pip_folder(stack.name)
    path = f"tools/{tree_digest(folder)[:12]}/pip"
    host.send_tree(folder, path)
    return path


def _failure(host: LinuxHost, stack: Stack, answer: Mapping[str, str]) -> StackError:
    if answer["failed"] == "venv":
        said = (answer["output"].strip().splitlines() or ["no output"])[-1]
        remedy = "Install it there: `sudo apt install python3-venv`"
        return StackError(f"stack {stack.name}: Python in {host.where} can't make an environment ({said})", remedy)
    error = packages.failure(stack.name, answer["output"])
    return StackError(f"{error.problem} in {host.where}", error.remedy)
