"""Another host on which the agent runs: found out about, given what it lacks, measured on, and tidied.

Nothing is measured over the connection: the agent's clocks are on the host. A connection that drops is opened again,
and the job, which runs apart from it (`keeper.py`), is taken up where its output was left.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from harness.agent.messages import Location
from harness.errors import PlatformError
from harness.platforms.base import Ending, Job
from harness.platforms.owner import Owner
from harness.platforms.ssh import Connection
from harness.platforms.ssh_errors import ConnectionLostError
from harness.platforms.ssh_job import LEASE, RETRY, Frames, ending, follow, request
from harness.runner.process import Completed

KEEPER = Path(__file__).with_name("keeper.py")
FLOOR = (3, 10)  # of agent and keeper
INSTALL_SECONDS = 3600.0
T = TypeVar("T")

# $1 is the work folder as matrix.yaml names it, or empty; $2 a Python that is named. Prints where the folder is, and
# version and path of that Python, else of all that are on the PATH, pyenv's or uv's.
LOOK = r"""
case $1 in
  "") root=${XDG_CACHE_HOME:-$HOME/.cache}/overhead-matrix/remote;;
  "~/"*) root=$HOME/${1#??};;
  /*) root=$1;;
  *) root=$HOME/$1;;
esac
umask 077 && mkdir -p "$root" && echo "root $root" || exit 1
case $2 in "~/"*) named=$HOME/${2#??};; *) named=$2;; esac
test -n "$named" && set -- "$named" || set -- python3 python3.11 python3.12 python3.13 python3.14 python3.10 \
  "$HOME"/.pyenv/versions/*/bin/python3 "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/cpython-*/bin/python3
for python; do
  "$python" -I -c 'import sys; print("python %d.%d %s" % (sys.version_info[0], sys.version_info[1], sys.executable))'
done 2>/dev/null
true
"""
LACK = 'for each; do test -e "$each" || echo "lacks $each"; done'


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a host says of itself. `environ` is that of a command through ssh."""

    root: str  # the work folder: what is kept between runs lies in it, and each run's own folder
    pythons: tuple[tuple[str, str], ...]  # version, path
    machine: str  # x86_64
    system: str
    boot_id: str
    gpu: bool
    environ: Mapping[str, str]


class Host:
    """One run's dealings with one host. `label` names the run's folder there; `python` and `folder` are the user's."""

    def __init__(
        self, connection: Connection, *, label: str, python: str | None = None, folder: str | None = None
    ) -> None:
        self.connection = connection
        self.survey: Survey | None = None  # what `reach` found
        self._label = label
        self._python = python or ""
        self._folder = folder or ""
        self._places: Mapping[str, str] = {}
        self._patience = LEASE
        self._unreachable: ConnectionLostError | None = None

    def reach(self) -> Survey:
        """Look at the host, remove what killed runs left, make this run's folders: once. Raises PlatformError.

        A host that could not be reached is not tried again: each of a run's stacks would wait for it.
        """
        if self._unreachable is not None:
            raise self._unreachable
        if self.survey is None:
            try:
                self.survey = self._reach()
            except ConnectionLostError as error:
                self._unreachable = error
                raise
        return self.survey

    def python(self, version: str, *, exactly: bool) -> str:
        """Return a Python there of this version (`3.11`); else, unless it must be `exactly` that, one from FLOOR on.

        Raises PlatformError with what there is.
        """
        return self._usable(self.reach().pythons, version, None if exactly else FLOOR)

    def keep(self, source: Path, name: str) -> str:
        """Send a file or folder there once, under a name with its digest; return its path there."""
        return self._kept(self.reach().root, source, name)

    def place(self, source: Path, name: str) -> str:
        """Return where `keep` puts it. Raises PlatformError if the host has not been reached and can't be."""
        return _place(self.reach().root, source, name)

    def send(self, source: Path, path: str) -> None:
        """Send a file there; a drop meanwhile is waited out. Raises PlatformError."""
        self._patiently(lambda: self.connection.send(source, path))

    def lacking(self, paths: Sequence[str]) -> frozenset[str]:
        """Return those of the paths that are not there."""
        said = self.connection.check(("sh", "-c", LACK, "sh", *paths))
        return frozenset(line.removeprefix("lacks ") for line in said.splitlines() if line.startswith("lacks "))

    def locations(self) -> tuple[Location, ...]:
        """The work folder's file system as `host`, and `tmpfs` where there is one; none before `reach`."""
        return tuple(Location(name=name, path=path) for name, path in self._places.items())

    def keeper(self, *arguments: str, timeout: float = 60.0) -> Any:  # noqa: ANN401 - what the verb answers
        """Run a verb of the keeper there and return its answer. Raises PlatformError."""
        return answer(self.connection.check((*self._keeper, *arguments), timeout=timeout))

    def install(self, python: str, request: str) -> Completed:
        """Have the keeper make an environment of this Python; a drop meanwhile is waited out. Raises PlatformError."""
        verb = (python, *self._keeper[1:], "install", request)
        return self._patiently(lambda: self.connection.run(verb, timeout=INSTALL_SECONDS))

    def launch(self, job: Job, argv: Sequence[str], env: Mapping[str, str]) -> Ending:
        """Run a program there in the job's private folder to its end; fetch its result. Raises PlatformError."""
        began = time.monotonic()
        there = f"{self._run}/jobs/{secrets.token_hex(6)}"
        frames = Frames(job)
        try:
            with frames.tee:
                self._attend(job, (*self._keeper, "run", there, request(job, argv, env)), frames)
                frames.tee.finish()
            if frames.has_result:
                self._patiently(lambda: self.connection.fetch(f"{there}/result.json", job.result))
        finally:
            with suppress(PlatformError):  # what is out of reach ends without us, and the next run removes it
                self.keeper("discard", there)
        return ending(self.connection.who, frames.ending, time.monotonic() - began)

    def close(self) -> None:
        """Remove the run's folders there, and end the connection."""
        if self.survey is not None:
            with suppress(PlatformError):
                self.keeper("remove", self._run)
        with suppress(PlatformError):
            self.connection.close()

    def _reach(self) -> Survey:
        root, pythons = self._look()
        self._keeper = (self._usable(pythons, "", FLOOR), "-I", self._kept(root, KEEPER, "keeper"))
        said = self.keeper("survey", root)
        left = [f"{root}/runs/{name}" for name, owner in said.pop("runs").items() if _is_gone(owner)]
        if left:
            self.keeper("remove", *left)
        self._run = f"{root}/runs/{self._label}"
        self._places = self.keeper("claim", self._run, json.dumps(Owner.of(os.getpid()).record()))
        return Survey(root=root, pythons=pythons, **said)

    def _look(self) -> tuple[str, tuple[tuple[str, str], ...]]:
        said = self.connection.check(("sh", "-c", LOOK, "sh", self._folder, self._python)).splitlines()
        roots = [line.removeprefix("root ") for line in said if line.startswith("root ")]
        found = [line.split(" ", 2) for line in said if line.startswith("python ")]
        if not roots:
            raise PlatformError(f"{self.connection.who}: it has no POSIX shell", "Windows hosts are not supported.")
        return roots[-1], tuple((version, path) for _, version, path in found)

    def _usable(self, pythons: Iterable[tuple[str, str]], version: str, floor: tuple[int, int] | None) -> str:
        found = list(pythons)
        fitting = [path for had, path in found if had == version]
        if floor:
            fitting += [path for had, path in found if _numbers(had) >= floor]
        if fitting:
            return fitting[0]
        needed = f"Python {'.'.join(map(str, floor))} or later" if floor else f"Python {version}"
        named = f"`python: {self._python}`" if self._python else "the host"
        had = f"only {', '.join(sorted({had for had, _ in found}, key=_numbers))}" if found else "no Python at all"
        problem = f"{self.connection.who}: {needed} is needed, and {named} has {had}"
        raise PlatformError(problem, "Install it there, or name its path by `python` in matrix.yaml.")

    def _kept(self, root: str, source: Path, name: str) -> str:
        path = _place(root, source, name)
        if self.lacking((path,)):
            send = self.connection.send_folder if source.is_dir() else self.connection.send
            self._patiently(lambda: send(source, path))
        return path

    def _attend(self, job: Job, argv: Sequence[str], frames: Frames) -> None:
        """Follow the job until its ending is known, over as many connections as that takes."""
        deadline = time.monotonic() + job.timeout + 2 * LEASE
        while not frames.ending:
            follow(self.connection, argv, frames, deadline - time.monotonic())
            if not frames.ending:
                self._patiently(lambda: self.connection.check(("true",)))

    def _patiently(self, action: Callable[[], T]) -> T:
        """Try again for LEASE seconds while the host is away; a host that stayed away is not waited for twice."""
        deadline = None
        while True:
            try:
                done = action()
            except ConnectionLostError:
                deadline = deadline or time.monotonic() + self._patience
                if time.monotonic() >= deadline:
                    self._patience = 0.0
                    raise
                time.sleep(RETRY)
            else:
                self._patience = LEASE
                return done


def answer(said: str) -> Any:  # noqa: ANN401 - JSON of the keeper
    """Return the JSON in a command's output; login scripts may have printed something before it."""
    lines = [line for line in said.splitlines() if line.startswith("{")]
    return json.loads(lines[-1]) if lines else {}


def _is_gone(record: object) -> bool:
    owner = Owner.from_record(record) if isinstance(record, dict) else None
    return owner is not None and owner.is_gone()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _place(root: str, source: Path, name: str) -> str:
    return f"{root}/kept/{name}-{_digest(source)}{source.suffix}"


@cache
def _digest(source: Path) -> str:
    """Return twelve digits over a file's content, or over names and contents of a folder's files."""
    whole = hashlib.sha256()
    for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            whole.update(f"{path.relative_to(source).as_posix()} {content}\n".encode())
    return whole.hexdigest()[:12]
