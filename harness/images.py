"""What an image of a stack is made of: its build context, its arguments and its tag. Talks to no engine.

A stack's image holds the interpreter of its base and, in `/opt/stack`, a virtual environment installed from the
wheelhouse. The tag is derived from everything that goes in, so an existing tag means that nothing needs building.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Generator, Mapping
from pathlib import Path

from harness.errors import StackError
from harness.stacks import Stack

BASE_VARIABLE = "OVERHEAD_MATRIX_BASE"
REPOSITORY = "overhead-matrix"
PYTHON = "/opt/stack/bin/python"  # the stack's interpreter inside every image that is built here
_CHUNK = 1 << 20


def base_image(stack: Stack, environ: Mapping[str, str]) -> str:
    """Return the image to build on: the official slim image of the stack's Python unless a variable names another.

    `OVERHEAD_MATRIX_BASE_3_10` does so for the stacks of that Python, `OVERHEAD_MATRIX_BASE` for all others.
    """
    named = environ.get(base_variable(stack)) or environ.get(BASE_VARIABLE)
    return named or f"python:{stack.python}-slim-bookworm"


def base_variable(stack: Stack) -> str:
    """Return the variable that names the base image of the stack's Python alone."""
    return f"{BASE_VARIABLE}_{stack.python.replace('.', '_')}"


def dockerfile(stack: Stack) -> Path:
    """Return the stack's Dockerfile. Raises StackError if there is none."""
    path = stack.image_folder / "Dockerfile"
    if not path.is_file():
        raise StackError(f"stack {stack.name}: {path} is missing", "Write it, or give the platform an `image:`.")
    return path


def tag(stack: Stack, base_id: str) -> str:
    """Return the image's name, `overhead-matrix/torch:cpu-0123456789ab`, from lock, Dockerfile, Python and base.

    `base_id` is the engine's id of the base image (`sha256:…`), not its name: a name may move.
    """
    digest = hashlib.sha256()
    for part in (stack.name, stack.variant, stack.python, stack.lock_sha256, base_id):
        digest.update(part.encode() + b"\0")
    digest.update(dockerfile(stack).read_bytes())
    version = "-".join(filter(None, (stack.variant, digest.hexdigest()[:12])))
    return f"{REPOSITORY}/{stack.name}:{version}"


def build_arguments(stack: Stack, base: str, revision: str) -> dict[str, str]:
    """Return the Dockerfile's ARGs. `revision` is the harness's commit, empty if unknown."""
    version = {"PYTHON_VERSION": stack.python} if stack.requirements else {}  # a bare interpreter may be any
    return version | {
        "BASE": base,
        "STACK": stack.name,
        "LOCK": stack.lock_sha256,
        "REVISION": revision,
    }


def build_context(stack: Stack, wheelhouse: Path | None) -> Generator[bytes]:
    """Return the build context as a tar stream: Dockerfile, requirements.txt, wheelhouse/*.whl.

    Nothing is copied to disk. Hand it to docker-py as `fileobj` with `custom_context=True`, or write it to the stdin
    of `docker build -`. Owner and time are constant, so that the engine's cache sees equal content as equal.
    """
    files = {"Dockerfile": dockerfile(stack)}
    if stack.requirements is not None:
        files["requirements.txt"] = stack.requirements
    if wheelhouse is not None:
        files |= {f"wheelhouse/{wheel.name}": wheel for wheel in sorted(wheelhouse.glob("*.whl"))}
    return _tar(files)


def _tar(files: Mapping[str, Path]) -> Generator[bytes]:
    for name, path in files.items():
        entry = tarfile.TarInfo(name)
        entry.size = path.stat().st_size
        yield entry.tobuf(tarfile.GNU_FORMAT)
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
        yield b"\0" * (-entry.size % tarfile.BLOCKSIZE)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)
