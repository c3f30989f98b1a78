"""What the controller writes into a bundle may name a person or a host: error messages, what a program prints."""

from __future__ import annotations

import platform
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.agent.privacy import without_person
from harness.errors import PlatformError
from harness.matrix.model import Container, Matrix, Remote, Vm
from harness.platforms.engine import address
from harness.platforms.ssh import Target, resolved

HOST = "host"  # what stands for a host's name
EVERYBODYS = frozenset({"localhost", "127.0.0.1", "::1", ""})  # names of no one host
NAMES = frozenset({"id", "task"})  # fields by which one part of a bundle finds another
MESSAGES = frozenset({"reason", "error"})  # fields in which a host may be named; in a fact its name may be any word
PAUSES = (0.1, 0.4, 0.0)  # seconds after each failure to rewrite a log


@dataclass(frozen=True, kw_only=True)
class Privacy:
    """What stays out of the texts of a bundle: this user's home and name, and `hosts`, names of hosts.

    Of `platforms`, names of hosts that are platforms' as well, the user alone. With `identifiers` everything stays in.
    """

    hosts: frozenset[str] = frozenset()
    platforms: frozenset[str] = frozenset()
    identifiers: bool = False

    def message(self, text: str) -> str:
        """Return a message without person and hosts."""
        if self.identifiers:
            return text
        text = without_person(text)
        if self.platforms:
            text = re.sub(rf"(?<![\w.-])[\w.+-]+@({_any(self.platforms)})(?![\w-])", r"\1", text, flags=re.IGNORECASE)
        if not self.hosts:
            return text
        whole = rf"(?<![\w.-])(?:[\w.+-]+@)?(?:{_any(self.hosts)})(?![\w-])"
        return re.sub(whole, HOST, text, flags=re.IGNORECASE)

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
        """Rewrite a log that is complete; one that can't be is removed, since it is no result.

        Raises nothing: what was measured is worth more. On Windows a scanner may have the file open for a moment.
        """
        for pause in PAUSES:
            try:
                before = path.read_bytes().decode("utf-8", errors="replace")
                after = self.message(before)
                if after != before:
                    path.write_bytes(after.encode())
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(pause)
            else:
                return
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _any(words: frozenset[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))


def privacy(matrix: Matrix, *, identifiers: bool = False) -> Privacy:
    """Return what keeps this host's name and those of the hosts that the matrix leads to out of a bundle.

    A host whose name a platform bears stays: that name is in every cell's id, and the user's own choice.
    """
    hosts = {platform.node(), *_hosts(matrix)} - EVERYBODYS
    named = matrix.platforms.keys()
    return Privacy(hosts=frozenset(hosts - named), platforms=frozenset(hosts & named), identifiers=identifiers)


def _hosts(matrix: Matrix) -> Iterator[str]:
    for name, config in matrix.platforms.items():
        if isinstance(config, Remote):
            yield from _ssh_hosts(name, config.host, config.config)
        elif isinstance(config, Vm) and config.domain:
            yield from _ssh_hosts(name, config.domain.host, config.domain.config)
            yield _url_host(config.domain.connection)
        elif isinstance(config, Container):
            yield _url_host(_engine(config.engine))


def _ssh_hosts(name: str, host: str, config: str | None) -> Iterator[str]:
    """Yield how the matrix calls a host, and how ssh's configuration does."""
    yield host.rpartition("@")[2]
    with suppress(PlatformError):  # without ssh no message names what it would have resolved
        file = Path(config).expanduser() if config else None
        yield resolved(name, Target(host=host, config=file)).get("hostname", "")


def _engine(named: str | None) -> str:
    """Return the engine's address, as a docker context may give it; empty where that can't be read."""
    try:
        return address(named)
    except Exception:
        return ""


def _url_host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # no URL; the platform says so
        return ""
