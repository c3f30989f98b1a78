"""A stack on another host: its wheels sent once, a virtual environment made of them there, offline.

The installer is the controller's own pip, sent along: the host needs a Python with its standard library, no more.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import packages, stacks
from harness.errors import HarnessError, PlatformError
from harness.platforms.ssh_errors import COMMAND, command_failure, explain
from harness.platforms.ssh_host import Host, Survey, answer
from harness.stacks import Stack

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Installed:
    """A stack as it is there: its interpreter, and the folders of NVIDIA's libraries among its wheels."""

    stack: Stack
    python: str
    libraries: tuple[str, ...] = ()


def install(host: Host, stack: Stack, progress: Progress) -> Installed:
    """Install the stack's environment unless it is there; return its interpreter. Raises PlatformError, StackError."""
    if stack.requirements is None:
        return Installed(stack=stack, python=host.python(stack.python, exactly=False))
    survey = host.reach()
    _check_machine(host, survey)
    python = host.python(stack.python, exactly=True)
    wheels = _send_wheels(host, survey, stack, progress)
    name = f"{stack.name}-{stack.lock_sha256[:12]}-{stacks.wheels_digest(stack)[:12]}"
    digest = hashlib.sha256(python.encode()).hexdigest()[:6]  # another Python, another environment
    folder = f"{survey.root}/envs/{name}-cp{stack.python.replace('.', '')}-{digest}"
    progress(f"{stack.name}: an environment on {host.connection.target.host}")
    request = {"folder": folder, "pip": _pip_arguments(host, stack, stack.requirements, wheels)}
    done = host.install(python, json.dumps(request))
    if done.code != 0:
        raise _failure(host, stack, done.stderr)
    made = answer(done.stdout)
    return Installed(stack=stack, python=made["python"], libraries=tuple(made["libraries"]))


def _failure(host: Host, stack: Stack, said: str) -> HarnessError:
    """Return the error of an installation: of the host (a full disk), else of pip."""
    target = host.connection.target.host
    if explain(said, target, COMMAND):
        return command_failure(host.connection.name, target, said)
    return packages.failure(f"{stack.name} on {target}", said)


def _check_machine(host: Host, survey: Survey) -> None:
    """The wheels are those of this machine's kind."""
    here = (platform.system(), platform.machine())
    if (survey.system, survey.machine) != here:
        problem = f"{host.connection.who}: it is {survey.system} on {survey.machine}, and the wheels fetched here are"
        remedy = "Run `nox -s matrix` there, and report both bundles together."
        raise PlatformError(f"{problem} for {' on '.join(here)}", remedy)


def _send_wheels(host: Host, survey: Survey, stack: Stack, progress: Progress) -> list[str]:
    """Send the wheels that are not there; return the folder of each: its name is the wheel's digest."""
    stacks.wheelhouse(stack, progress)
    here = {f"{survey.root}/wheels/{digest}/{path.name}": path for path, digest in stacks.wheels(stack).items()}
    lacking = sorted(host.lacking(sorted(here)))
    for number, path in enumerate(lacking, start=1):
        size = here[path].stat().st_size >> 20
        progress(f"{stack.name}: sending wheel {number} of {len(lacking)}, {here[path].name} ({size} MiB)")
        host.send(here[path], path)
    return sorted(path.rpartition("/")[0] for path in here)


def _pip_arguments(host: Host, stack: Stack, requirements: Path, wheels: Sequence[str]) -> list[str]:
    """Return what follows the environment's interpreter: the same offline installation as on every platform."""
    links = [part for folder in wheels for part in ("--find-links", folder)]
    return [
        "-I", f"{_send_pip(host, stack)}/pip", "--isolated", "--disable-pip-version-check",
        "--no-cache-dir", "--quiet", "install", "--no-warn-script-location", "--no-index", *links,
        "--require-hashes", "--no-deps", "--requirement", host.keep(requirements, "requirements"),
    ]  # fmt: skip


def _send_pip(host: Host, stack: Stack) -> str:
    """Send the controller's pip, if it is not there; return the folder that holds it."""
    with TemporaryDirectory(prefix="overhead-matrix-", ignore_cleanup_errors=True) as scratch:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(packages.pip_folder(stack.name), Path(scratch, "pip"), ignore=ignored)
        return host.keep(Path(scratch), "pip")
