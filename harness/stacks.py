"""lock file → wheelhouse → environment."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import harness
from harness import interpreters, linux_wheels, packages
from harness.agent import files
from harness.agent.task import Framework
from harness.cache import cache_dir
from harness.errors import PlatformError, StackError
from harness.exclusive import exclusive
from harness.matrix.model import StackConfig, framework_of
from harness.runner import process

IMPORT_SECONDS = 180.0  # a framework's first import, on a slow disk
_COMPLETE = "complete.json"  # written last: what a wheelhouse or an environment holds
_PROJECT_IMAGES = Path(harness.__file__).parent.parent / "images"


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The software under test, resolved for this host.

    `variant` is `cpu` or `cuda` for a locked stack (which of its lock files), `installed` for an interpreter that is
    measured as it is, and empty for a stack without packages.
    """

    name: str
    framework: Framework
    python: str  # `3.11`
    variant: str
    requirements: Path | None
    interpreter: str | None
    lock_sha256: str  # of the lock file; empty without one
    image_folder: Path  # images/<stack>
    linux: bool = False  # whether its wheels are Linux's, though this host is something else


def resolve(name: str, config: StackConfig, *, root: Path, gpu: bool) -> Stack:
    """Return the stack for a host with or without a GPU; `root` is the folder of matrix.yaml.

    Raises StackError if the lock file is missing or can't be read.
    """
    cpu = not gpu and config.cpu_requirements is not None
    relative = config.cpu_requirements if cpu else config.requirements
    requirements = None if relative is None else (root / relative).resolve()
    unlocked = "installed" if config.interpreter else ""
    return Stack(
        name=name,
        framework=framework_of(name),
        python=config.python,
        variant=unlocked if requirements is None else "cpu" if cpu else "cuda",
        requirements=requirements,
        interpreter=config.interpreter,
        lock_sha256="" if requirements is None else _lock_digest(name, requirements),
        image_folder=_image_folder(name, requirements, root),
    )


def for_linux(stack: Stack) -> Stack:
    """Return the stack with the wheels that a Linux of this machine takes: in WSL2, in a container."""
    return stack if platform.system() == "Linux" else replace(stack, linux=True)


def interpreter(stack: Stack) -> Path | None:
    """Return the interpreter that the stack's environment is made with or is; None if this host has none. Quick."""
    if stack.interpreter is not None:
        return interpreters.named(stack.interpreter, os.environ)
    found = interpreters.of_version(stack.python, os.environ)
    return found if found or stack.requirements else interpreters.base()


def ready(stack: Stack) -> bool:
    """Whether `environment` has nothing to install. Quick."""
    if stack.requirements is None:
        return interpreter(stack) is not None
    return _installed(_environment_folder(stack))


def wheelhouse(stack: Stack, progress: Callable[[str], None]) -> Path:
    """Download the stack's wheels once; return their folder. Raises StackError."""
    folder = _folder("wheels", stack)
    with _told(stack), _alone(folder, stack, progress):
        if _wheels(folder) is None:
            _fetch(stack, folder, progress)
    return folder


def wheels(stack: Stack) -> dict[Path, str]:
    """Return the stack's downloaded wheels, each with its SHA-256; none while they are not complete."""
    folder = _folder("wheels", stack)
    return {folder / name: digest for name, digest in (_wheels(folder) or {}).items()}


def wheels_digest(stack: Stack) -> str:
    """Return the SHA-256 over name and SHA-256 of each wheel, sorted; empty while nothing is downloaded."""
    if stack.requirements is None:
        return ""
    found = _wheels(_folder("wheels", stack))
    if found is None:  # the environment remembers what it was installed from
        return (_read(_environment_folder(stack)) or {}).get("wheels", "")
    return hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in sorted(found.items())).encode()).hexdigest()


def environment(stack: Stack, progress: Callable[[str], None]) -> Path:
    """Install the stack's native environment once; return its interpreter. Raises StackError."""
    if stack.interpreter is not None:
        return _checked(stack, stack.interpreter)
    if stack.requirements is None:
        return interpreter(stack) or interpreters.base()
    folder = _environment_folder(stack)
    if not _installed(folder):
        _python(stack, progress)  # before the wheels: without one gigabytes would be fetched in vain
        wheels = wheelhouse(stack, progress)
        with _told(stack), _alone(folder, stack, progress):
            if not _installed(folder):
                _install(stack, stack.requirements, wheels, folder, progress)
    return interpreters.python_in(folder)


def _image_folder(name: str, requirements: Path | None, root: Path) -> Path:
    """The lock file's folder, or images/<stack> beside matrix.yaml; else the project's images/<framework>."""
    framework = framework_of(name)
    family = "driver" if framework == "none" else framework
    own = root / "images" / name
    folders = [requirements.parent] if requirements else []
    folders += [own, _PROJECT_IMAGES / name, _PROJECT_IMAGES / family]
    return next((folder for folder in folders if (folder / "Dockerfile").is_file()), own)


def _lock_digest(name: str, requirements: Path) -> str:
    """Line ends don't count: git may change them, and the lock is the same."""
    try:
        return hashlib.sha256(requirements.read_bytes().replace(b"\r\n", b"\n")).hexdigest()
    except OSError as error:
        problem = f"stack {name}: lock file {requirements} can't be read: {error.strerror}"
        raise StackError(problem, "Correct its path in matrix.yaml, or make it with `uv pip compile`") from error


def _folder(kind: str, stack: Stack) -> Path:
    return cache_dir() / kind / f"{stack.name}-{stack.lock_sha256[:12]}{'-linux' if stack.linux else ''}"


def _environment_folder(stack: Stack) -> Path:
    folder = _folder("envs", stack)
    return folder.with_name(f"{folder.name}-cp{stack.python.replace('.', '')}")


def _read(folder: Path) -> dict[str, str] | None:
    """Return what the folder holds, as its marker says; None if it is not complete."""
    try:
        content: dict[str, str] = json.loads((folder / _COMPLETE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content


def _mark(folder: Path, content: dict[str, str]) -> None:
    scratch = folder / f"{_COMPLETE}.new"
    scratch.write_text(json.dumps(content, indent=1), encoding="utf-8")
    files.replace(scratch, folder / _COMPLETE)


def _wheels(folder: Path) -> dict[str, str] | None:
    """Return name and SHA-256 of each wheel; None if the wheelhouse is not complete."""
    wheels = _read(folder)
    return wheels if wheels and all((folder / name).is_file() for name in wheels) else None


def _installed(folder: Path) -> bool:
    """A system update can take away the interpreter that an environment links to."""
    return _read(folder) is not None and interpreters.python_in(folder).is_file()


def _fetch(stack: Stack, folder: Path, progress: Callable[[str], None]) -> None:
    """Wheels of a download that was broken off are kept: pip checks their hashes."""
    if stack.requirements is None:
        raise StackError(f"stack {stack.name}: it has no lock file, so it has no wheels")
    progress(f"{stack.name}: downloading the wheels of {stack.requirements.name}")
    folder.mkdir(parents=True, exist_ok=True)
    lock, target = _lock_for_linux(stack, stack.requirements, folder) if stack.linux else (stack.requirements, [])
    packages.download(stack.name, lock, stack.python, folder, progress, target=target)
    wheels = {path.name: _sha256(path) for path in sorted(folder.glob("*.whl"))}
    if not any(name.startswith(f"{stack.framework}-") for name in wheels) and stack.framework != "none":
        problem = f"stack {stack.name}: {stack.requirements} locks no {stack.framework} for this system"
        raise StackError(problem, "Add this system to the .in file beside it and lock anew, or leave the stack out")
    _mark(folder, wheels)


def _lock_for_linux(stack: Stack, requirements: Path, folder: Path) -> tuple[Path, list[str]]:
    """Write down what of the lock is for Linux; return that and what makes pip fetch it."""
    kind = linux_wheels.machine()
    lock = folder / "requirements-linux.txt"
    try:
        text = linux_wheels.lock_for_linux(requirements.read_text(encoding="utf-8"), stack.python, kind)
    except ValueError as error:
        problem = f"stack {stack.name}: {requirements} has a line that can't be read for Linux ({error})"
        raise StackError(problem, "Lock anew with `uv pip compile --generate-hashes`") from error
    lock.write_text(text, encoding="utf-8")
    return lock, linux_wheels.pip_arguments(kind)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _python(stack: Stack, progress: Callable[[str], None]) -> Path:
    return interpreter(stack) or packages.install_python(stack.name, stack.python, progress)


def _install(stack: Stack, requirements: Path, wheels: Path, folder: Path, progress: Callable[[str], None]) -> None:
    python = _python(stack, progress)
    progress(f"{stack.name}: installing an environment with {python}")
    shutil.rmtree(folder, ignore_errors=True)
    packages.create_environment(stack.name, python, folder)
    packages.install(stack.name, requirements, wheels, interpreters.python_in(folder))
    _mark(folder, {"python": str(python), "wheels": wheels_digest(stack)})


def _checked(stack: Stack, name: str) -> Path:
    """Return the interpreter that is measured as it is, once it has shown that it can run the stack."""
    python = interpreter(stack)
    if python is None:
        raise StackError(f"stack {stack.name}: there is no interpreter {name}", "Correct `interpreter` in matrix.yaml")
    framework = "sys" if stack.framework == "none" else stack.framework
    code = f"import sys; sys.version_info >= (3, 10) or sys.exit('needs Python 3.10 or later'); import {framework}"
    try:
        answer = process.capture([python, "-c", code], timeout=IMPORT_SECONDS)
    except PlatformError as error:
        raise StackError(f"stack {stack.name}: {error.problem}", error.remedy) from error
    if answer.code != 0:
        said = (answer.stderr.strip().splitlines() or [f"it ended with status {answer.code}"])[-1]
        remedy = f"Install {stack.framework} there, or name another `interpreter` in matrix.yaml"
        raise StackError(f"stack {stack.name}: {python} can't run it: {said}", remedy)
    return python


@contextmanager
def _alone(folder: Path, stack: Stack, progress: Callable[[str], None]) -> Iterator[None]:
    """Keep other runs away from a folder of the cache."""
    lock = folder.with_name(f"{folder.name}.lock")
    with exclusive(lock, on_wait=lambda: progress(f"{stack.name}: waiting for another run that installs it")):
        yield


@contextmanager
def _told(stack: Stack) -> Iterator[None]:
    """Tell a full disk or a read-only cache in one line."""
    try:
        yield
    except OSError as error:
        problem = f"stack {stack.name}: {error.filename or cache_dir()} can't be written: {error.strerror}"
        raise StackError(problem, packages.ROOM) from error
