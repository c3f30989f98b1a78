"""A host reached by the user's own ssh client: run commands there, send files, fetch them back.

All commands share one connection (ControlMaster) that ssh opens with the first of them, opens again when it was
lost, and ends by itself `PERSIST` seconds after the last: also when this process is killed. The host needs a POSIX
shell with the usual tools (cat, mv, tar, sha256sum, base64).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
import shlex
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from harness.agent.files import replace
from harness.errors import PlatformError
from harness.platforms.leftovers import claim, sweep
from harness.platforms.ssh_errors import ConnectionLostError, command_failure, connection_failure
from harness.runner.process import Completed, capture

SSH = "ssh"
SSH_FAILED = 255  # ssh's own exit status for its own failures
PERSIST = 60  # seconds
CONNECT_SECONDS = 15
ALIVE_SECONDS, ALIVE_COUNT = 5, 3  # a connection that brings nothing for 15 s is given up
ANSWER_SECONDS = 60.0
SEND_SECONDS = 4 * 3600.0  # gigabytes over a slow line
MOST_FETCHED = 48 << 20  # bytes; what `capture` keeps, in base64
PREFIX = "overhead-matrix-ssh-"

# Never a question, never a host key accepted silently, nothing of the user's configuration that would get in the way
# of a command's input and output. What stands on the command line comes before ssh_config.
ALWAYS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    f"ConnectTimeout={CONNECT_SECONDS}",
    f"ServerAliveInterval={ALIVE_SECONDS}",
    f"ServerAliveCountMax={ALIVE_COUNT}",
    "LogLevel=INFO",
    "RequestTTY=no",
    "RemoteCommand=none",
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
)

# What is kept by its digest is found again after the host has lost its power (a guest that was killed): so the disk has
# its content before its name.
RECEIVE = """
set -e; umask 077; mkdir -p "$(dirname "$1")"; trap 'rm -f "$1.$3"' EXIT; cat > "$1.$3"
test "$(sha256sum < "$1.$3" | cut -c1-64)" = "$2" || exit 75
sync "$1.$3" 2>/dev/null || sync
mv -f "$1.$3" "$1"
"""
CUT_OFF = 75  # of RECEIVE: not everything arrived
UNPACK = """
set -e; umask 077; trap 'rm -rf "$1" "$1.d"' EXIT; mkdir "$1.d"; tar -xf "$1" -C "$1.d"
sync -f "$1.d" 2>/dev/null || sync
rm -rf "$2"; mv "$1.d" "$2"
"""
DELIVER = 'set -e; sha256sum < "$1" | cut -c1-64; base64 < "$1"'
DELIVERED = re.compile(r"^([0-9a-f]{64})\n([A-Za-z0-9+/=\n]*)\Z", re.MULTILINE)  # after what a login script may print


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where to go. What is None, the user's ssh configuration says."""

    host: str  # user@host, or a Host of the configuration
    port: int | None = None
    identity: Path | None = None  # the only key that is offered
    known_hosts: Path | None = None
    config: Path | None = None  # instead of the user's and the system's
    options: tuple[str, ...] = ()  # ssh's own, `Name=value`

    def arguments(self) -> tuple[str, ...]:
        """Return ssh's command line up to the host."""
        options = [*ALWAYS, *self.options]
        if self.port is not None:
            options.append(f"Port={self.port}")
        if self.identity is not None:
            options += [f"IdentityFile={_quoted(self.identity)}", "IdentitiesOnly=yes"]
        if self.known_hosts is not None:
            options += [f"UserKnownHostsFile={_quoted(self.known_hosts)}", "GlobalKnownHostsFile=none"]
        config = () if self.config is None else ("-F", str(self.config))
        return (*config, *(part for option in options for part in ("-o", option)))


class Connection:
    """A shared connection to one host; nothing is opened before the first command. `name` stands in every error."""

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self.target = target

    @property
    def who(self) -> str:
        """What every error begins with: the platform's name, and the host's."""
        return f"{self.name}: {self.target.host}"

    def command(self, argv: Sequence[str]) -> tuple[str, ...]:
        """Return the local command that runs `argv` there, for programs whose output is followed."""
        return (SSH, *self._sharing(), *self.target.arguments(), self.target.host, "--", shlex.join(argv))

    def run(self, argv: Sequence[str], *, timeout: float = ANSWER_SECONDS, stdin: Path | None = None) -> Completed:
        """Run a short program there and return what it answered, whatever its exit status.

        Raises ConnectionLostError where trying again may help, and PlatformError.
        """
        try:
            done = capture(self.command(argv), timeout=timeout, stdin=stdin, env=environment(os.environ))
        except PlatformError as error:
            if "did not answer" in error.problem:
                text = f"{self.who} did not answer within {timeout:g} s"
                raise ConnectionLostError(text, "Check the host and the way to it.") from error
            raise
        if done.code == SSH_FAILED:
            raise connection_failure(self.name, self.target.host, done.stderr)
        return done

    def check(self, argv: Sequence[str], *, timeout: float = ANSWER_SECONDS, stdin: Path | None = None) -> str:
        """Run a short program there and return its stdout. Raises PlatformError with what it said if it fails."""
        done = self.run(argv, timeout=timeout, stdin=stdin)
        if done.code != 0:
            raise command_failure(
                self.name, self.target.host, done.stderr or f"{argv[0]} ended with status {done.code}"
            )
        return done.stdout

    def send(self, source: Path, path: str) -> None:
        """Copy one file there, under its name only when all of it has arrived. Raises PlatformError."""
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        argv = ("sh", "-c", RECEIVE, "sh", path, digest, secrets.token_hex(4))
        done = self.run(argv, timeout=SEND_SECONDS, stdin=source)
        if done.code == CUT_OFF:
            text = f"{self.who}: {source.name} did not arrive whole"
            raise ConnectionLostError(text, "Check the way to the host.")
        if done.code != 0:
            raise command_failure(self.name, self.target.host, done.stderr)

    def send_folder(self, source: Path, path: str) -> None:
        """Copy what is in a folder there, as `path`, in place of what is there. Raises PlatformError."""
        arrived = f"{path}.{secrets.token_hex(4)}.tar"
        with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as scratch:
            packed = Path(scratch, "folder.tar")
            with tarfile.open(packed, "w") as archive:
                archive.add(source, arcname=".")
            self.send(packed, arrived)
        self.check(("sh", "-c", UNPACK, "sh", arrived, path), timeout=SEND_SECONDS)

    def fetch(self, path: str, destination: Path) -> None:
        """Copy a file of at most `MOST_FETCHED` bytes from there. Raises PlatformError, also for a wrong checksum."""
        delivered = DELIVERED.search(self.check(("sh", "-c", DELIVER, "sh", path)))
        digest, text = delivered.groups() if delivered else ("", "")
        try:
            content = base64.b64decode(text)
        except binascii.Error:
            content = b""
        if hashlib.sha256(content).hexdigest() != digest:
            problem = f"{self.who}: {path} did not arrive whole"
            raise ConnectionLostError(problem, f"It may have at most {MOST_FETCHED >> 20} MiB.")
        partial = destination.with_name(f"{destination.name}.partial")
        partial.write_bytes(content)
        replace(partial, destination)

    def close(self) -> None:
        """End the shared connection, if there is one."""
        if "_folder" in vars(self):
            capture((SSH, *self._sharing(), "-O", "exit", *self.target.arguments(), self.target.host), timeout=10.0)
            shutil.rmtree(self._folder, ignore_errors=True)
            del self._folder

    def _sharing(self) -> tuple[str, ...]:
        if sys.platform == "win32":  # Windows' ssh can't share a connection: each command opens its own
            return ()
        path = f"ControlPath={_quoted(self._folder / 'socket')}"
        return ("-o", "ControlMaster=auto", "-o", f"ControlPersist={PERSIST}", "-o", path)

    @cached_property
    def _folder(self) -> Path:
        """Private to this user, and with a short path: that of a socket has at most 108 bytes."""
        parent = Path(tempfile.gettempdir())
        sweep(*parent.glob(f"{PREFIX}*"))
        folder = parent / f"{PREFIX}{secrets.token_hex(4)}"
        claim(folder)
        return folder


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for ssh itself.

    Without the locale, which many configurations send along; and a jump host's ssh, which does not get our options,
    asks no question in a window either.
    """
    kept = {name: value for name, value in environ.items() if name != "LANG" and not name.startswith("LC_")}
    return {**kept, "SSH_ASKPASS_REQUIRE": "never"}


def resolved(name: str, target: Target) -> dict[str, str]:
    """Return ssh's configuration for the target, option in lower case → value. No network.

    Raises PlatformError without an ssh client or with a wrong configuration.
    """
    try:
        done = capture((SSH, *target.arguments(), "-G", target.host), timeout=ANSWER_SECONDS)
    except PlatformError as error:
        raise PlatformError(
            f"{name}: {error.problem}", "Install OpenSSH's client (`apt install openssh-client`)"
        ) from error
    if done.code != 0:
        raise connection_failure(name, target.host, done.stderr)
    return dict(line.partition(" ")[::2] for line in done.stdout.splitlines())


def client_version() -> str:
    """Return what ssh says it is, `OpenSSH_9.2p1 …`; empty without one."""
    with suppress(PlatformError):
        return capture((SSH, "-V"), timeout=ANSWER_SECONDS).stderr.strip()
    return ""


def _quoted(path: Path) -> str:
    """Return a path as ssh's configuration takes it: quoted, and `%`, which stands for a token, twice."""
    return '"{}"'.format(str(path).replace("%", "%%"))
