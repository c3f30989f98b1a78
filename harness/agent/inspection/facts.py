"""A fact: a value with its source, or the reason why there is none."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Fact = dict[str, Any]
FAILED_INSPECTION = "inspection"  # the key of the one fact, an error, that stands for all that the agent could not ask

ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})  # what the system says of a path at which there is nothing
# What reading a system's files and asking its libraries may raise: missing, unreadable, in another form, or (os and
# sysconf functions) not there on this system.
UNREADABLE = (OSError, ValueError, LookupError, AttributeError)


def fact(source: str, get: Callable[[], object]) -> Fact:
    """Return what `get` returns as a fact, or why it could not be got."""
    try:
        return {"value": get(), "source": source}
    except UNREADABLE as error:
        return {"value": None, "source": source, "error": why(error)}


def why(error: BaseException) -> str:
    """Return an exception as one line without the paths in it."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(f"{type(error).__name__}: {text}".split()).rstrip(":")


@dataclass(frozen=True)
class Files:
    """The file system below `root`; paths are given and reported as if it were `/`. Tests give it a made-up tree."""

    root: Path = Path("/")

    @property
    def of_this_machine(self) -> bool:
        """Whether this is no made-up tree; such a one is Linux's, on every system."""
        return self.root == Path("/")

    def path(self, path: str) -> Path:
        """Return where the path lies."""
        return self.root / path.lstrip("/")

    def text(self, path: str) -> str:
        """Return a file's text without surrounding white space; raise OSError if it cannot be read."""
        return self.path(path).read_text(encoding="utf-8", errors="replace").strip()

    def exists(self, path: str) -> bool:
        """Whether there is something at the path; raise OSError where that can't be told: unreadable is not absent."""
        try:
            self.path(path).stat()
        except OSError as error:
            if error.errno in ABSENT:
                return False
            raise
        return True

    def told(self, path: str) -> bool:
        """Whether there is something at the path that this user may see: to choose where a value is read."""
        try:
            return self.exists(path)
        except OSError:
            return False

    def matching(self, pattern: str) -> list[str]:
        """Return the paths that match a pattern, sorted; raise FileNotFoundError if there is none."""
        found = sorted("/" + each.relative_to(self.root).as_posix() for each in self.root.glob(pattern.lstrip("/")))
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), pattern)
        return found

    def fact(self, path: str, parse: Callable[[str], object] = str) -> Fact:
        """Return what `parse` makes of a file's text as a fact whose source is the path."""
        return fact(path, lambda: parse(self.text(path)))


def fields(text: str) -> dict[str, str]:
    """Return name → value of `name: value` lines; of several equal names the first."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found
