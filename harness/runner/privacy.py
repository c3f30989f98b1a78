"""What the controller writes into a bundle may name a person or a host: error messages, what a program prints."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.agent.privacy import without_person
from harness.errors import PlatformError
from harness.matrix.model import Container, Matrix, Remote, Vm
from harness.platforms.ssh import Target, resolved

HOST = "host"  # what stands for a host's name
EVERYBODYS = frozenset({"localhost", "127.0.0.1", "::1", ""})  # names of no one host
NAMES = frozenset({"id", "task"})  # fields by which one part of a bundle finds another
MESSAGES = frozenset({"reason", "error"})  # fields in which a host may be named; in a fact its name may be any word


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """What stays out of the texts of a bundle: this user's home and name, and `hosts`, names of hosts.

    With `identifiers` everything stays in.
    """

    hosts: frozenset[str] = frozenset()
    identifiers: bool = False

    def message(self, text: str) -> str:
        """Return a message without person and hosts."""
        if self.identifiers:
            return text
        text = without_person(text)
        if not self.hosts:
            return text
        words = "|".join(map(re.escape, sorted(self.hosts, key=len, reverse=True)))
        return re.sub(rf"(?<![\w.-])(?:[\w.+-]+@)?(?:{words})(?![\w-])", HOST, text, flags=re.IGNORECASE)

    def record(self, value: object, field: str = "") -> Any:  # noqa: ANN401 - any JSON
        """Return JSON data without the person, and their messages without hosts."""
        if isinstance(value, dict):
            return {key: self.record(item, key) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.record(item, field) for item in value]
        if not isinstance(value, str) or self.identifiers or field in NAMES:
            return value
        return self.message(value) if field in MESSAGES else without_person(value)

    def log(self, path: Path) -> None:
        """Rewrite a log that is complete; one that can't be is removed, since it is no result."""
        try:
            before = path.read_bytes().decode("utf-8", errors="replace")
            after = self.message(before)
            if after != before:
                path.write_bytes(after.encode())
        except FileNotFoundError:
            return
        except OSError:
            path.unlink(missing_ok=True)


def privacy(matrix: Matrix, *, identifiers: bool = False) -> Privacy:
    """Return what keeps this host's name and those of the hosts that the matrix leads to out of a bundle.

    A host whose name a platform bears stays: that name is in every cell's id, and the user's own choice.
    """
    hosts = {platform.node(), *_hosts(matrix)} - EVERYBODYS - matrix.platforms.keys()
    return Privacy(hosts=frozenset(hosts), identifiers=identifiers)


def _hosts(matrix: Matrix) -> Iterator[str]:
    for name, config in matrix.platforms.items():
        if isinstance(config, Remote):
            yield from _ssh_hosts(name, config.host, config.config)
        elif isinstance(config, Vm) and config.domain:
            yield from _ssh_hosts(name, config.domain.host, config.domain.config)
            yield _url_host(config.domain.connection)
        elif isinstance(config, Container):
            yield _url_host(config.engine or os.environ.get("DOCKER_HOST", ""))


def _ssh_hosts(name: str, host: str, config: str | None) -> Iterator[str]:
    """Yield how the matrix calls a host, and how ssh's configuration does."""
    yield host.rpartition("@")[2]
    with suppress(PlatformError):  # without ssh no message names what it would have resolved
        file = Path(config).expanduser() if config else None
        yield resolved(name, Target(host=host, config=file)).get("hostname", "")


def _url_host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # no URL; the platform says so
        return ""
