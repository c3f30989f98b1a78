"""A Linux that the controller reaches only by starting a program in it: questions to the program `linux_inside`."""

from __future__ import annotations

import hashlib
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from harness.errors import PlatformError
from harness.runner import process

SHORT = 60.0  # seconds for a question whose answer takes a moment, on a busy machine
LONG = 3600.0  # for what moves gigabytes
PYTHON = "python3"
PYTHON_CACHE = "__pycache__"  # made anew there
MARK = "overhead-matrix answer: "  # before an answer, among whatever else is printed
CHUNK = 1 << 20
PROGRAM = Path(__file__).with_name("linux_inside.py").read_bytes()  # not imported: it is for Linux alone
BOOTSTRAP = (PYTHON, "-I", "-c", f"import sys;exec(sys.stdin.buffer.read({len(PROGRAM)}))")


class Door(Protocol):
    """A way to start a program in the Linux."""

    def argv(self, command: Sequence[str]) -> tuple[str, ...]:
        """Return the program to start here so that `command` is started there."""

    def environment(self) -> Mapping[str, str] | None:
        """Return the environment of that program; None for this process's own."""

    def decode(self, data: bytes) -> str:
        """Return what it printed as text."""

    def failure(self, output: str) -> PlatformError:
        """Return what the end of its output means, when no answer came."""

    def stopped(self, output: str) -> PlatformError:
        """Return what it means that the Linux was stopped while a task ran."""


@dataclass(frozen=True, kw_only=True)
class LinuxHost:
    """Asks the Linux behind a door for a platform of a run. `where` is what the user calls the Linux."""

    platform: str
    run: str
    where: str
    door: Door

    def ask(self, verb: str, *, payload: Path | None = None, timeout: float = SHORT, **values: object) -> Any:  # noqa: ANN401 - JSON
        """Return the answer to a verb of `linux_inside`. Raises PlatformError."""
        with self.request(verb, payload=payload, **values) as stdin:
            done = process.capture(
                self.command(),
                timeout=timeout,
                env=self.door.environment(),
                stdin=stdin,
                decode=self.door.decode,
            )
        answer = read_answer(done.stdout.splitlines())
        if answer is None:
            raise self.door.failure(f"{done.stdout}\n{done.stderr}")
        return self.accepted(answer)

    def command(self) -> tuple[str, ...]:
        """Return the program to start here with a `request` as its input."""
        return self.door.argv(BOOTSTRAP)

    @contextmanager
    def request(self, verb: str, *, payload: Path | None = None, **values: object) -> Iterator[Path]:
        """Give the file that is a request's standard input."""
        with tempfile.TemporaryDirectory(prefix="overhead-matrix-", ignore_cleanup_errors=True) as name:
            path = Path(name, "request")
            asked = {"run": self.run, "platform": self.platform, **values}
            with path.open("wb") as file:
                file.write(PROGRAM + json.dumps({"verb": verb, "mark": MARK, **asked}).encode("ascii") + b"\n")
                if payload is not None:
                    _append(payload, file)
            yield path

    def send(self, file: Path, path: str) -> None:
        """Copy a file of the controller's to `path` below the cache there, unless one of its size lies there."""
        if self.ask("missing", files={path: file.stat().st_size})["missing"]:
            self.ask("put", payload=file, timeout=LONG, path=path, sha256=digest_of(file))

    def send_tree(self, folder: Path, path: str) -> None:
        """Copy a folder to `path` below the cache there, unless it is there; the path tells what is in it."""
        if not self.ask("missing", files={path: None})["missing"]:
            return
        with tempfile.TemporaryDirectory(prefix="overhead-matrix-", ignore_cleanup_errors=True) as name:
            archive = Path(name, "tree.tar")
            with tarfile.open(archive, "w") as tar:
                tar.add(folder, arcname=".", filter=lambda each: None if PYTHON_CACHE in each.name else each)
            self.ask("put", payload=archive, timeout=LONG, path=f"{path}.tar", sha256=digest_of(archive))
        self.ask("unpack", timeout=LONG, path=f"{path}.tar", to=path)

    def accepted(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer. Raises PlatformError if it tells an error."""
        if "error" in answer:
            remedy = "Make room in it (`df -h`)." if answer.get("full") else ""
            raise PlatformError(f"{self.platform}: {answer['error']}", remedy)
        return answer


def read_answer(lines: Sequence[str]) -> Mapping[str, Any] | None:
    """Return the last answer among lines of output; None if there is none."""
    found = [line.partition(MARK)[2] for line in lines if MARK in line]
    try:
        answer: Mapping[str, Any] | None = json.loads(found[-1]) if found else None
    except ValueError:
        return None
    return answer


def digest_of(file: Path) -> str:
    """Return a file's SHA-256."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def content_digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def tree_digest(folder: Path) -> str:
    """Return a SHA-256 over the names and contents of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and PYTHON_CACHE not in path.parts):
        digest.update(f"{path.relative_to(folder).as_posix()} {digest_of(path)}\n".encode())
    return digest.hexdigest()


def _append(source: Path, target: IO[bytes]) -> None:
    with source.open("rb") as file:
        while data := file.read(CHUNK):
            target.write(data)
