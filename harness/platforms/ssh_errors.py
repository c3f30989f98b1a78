"""What ssh and the commands run through it say when something fails, and what that means for the user: one table.

The texts are OpenSSH's and differ a little between versions, so they are matched by pattern. What no row knows still
comes out as one line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import PlatformError

SAID = 200  # characters of the original text that are shown


class ConnectionLostError(PlatformError):
    """The host does not answer just now; it may come back."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A pattern of the text (case ignored), what it means, and what to do; `passing` if waiting may mend it."""

    pattern: str
    problem: str
    remedy: str
    passing: bool = False


TRY = "`ssh {host}` must work without a question"

# What ssh itself says, when it ends with its status 255.
CONNECTION = (
    # who the host is
    Row(
        pattern=r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        problem="the host key has changed: it was set up anew, or somebody is in between",
        remedy="Find out which; if it was set up anew, `ssh-keygen -R` its name and accept the new key by hand.",
    ),
    Row(
        pattern=r"host key is known for|Host key verification failed|authenticity of host",
        problem="the host key is not known, and it is never accepted silently",
        remedy="Run `ssh {host}` once by hand and compare the fingerprint with the host's own.",
    ),
    # who the user is
    Row(
        pattern=r"UNPROTECTED PRIVATE KEY FILE|bad permissions",
        problem="ssh ignores a private key that others can read",
        remedy="`chmod 600` the key file.",
    ),
    Row(
        pattern=r"Too many authentication failures",
        problem="the host refused after too many keys",
        remedy="Name the right key by IdentityFile and `IdentitiesOnly yes` in ~/.ssh/config.",
    ),
    Row(
        pattern=r"Permission denied \((?P<what>[\w,.@-]*)\)",
        problem="the host refuses the login; it takes {what}",
        remedy=f"{TRY}: correct user or key in ~/.ssh/config, add the key to the host's authorized_keys, or run "
        "`ssh-add` where it has a passphrase.",
    ),
    # the way there
    Row(
        pattern=r"Temporary failure in name resolution",
        problem="the host's name can't be looked up just now",
        remedy="Check the network, and `host` in matrix.yaml.",
        passing=True,
    ),
    Row(
        pattern=r"Could not resolve hostname (?P<what>[^\s:]+)",
        problem="there is no host named {what}",
        remedy="Correct `host` in matrix.yaml, or its HostName in ~/.ssh/config.",
    ),
    Row(
        pattern=r"Connection refused",
        problem="no ssh server listens there",
        remedy="Start sshd on the host (`systemctl start ssh`), or correct the port in ~/.ssh/config.",
        passing=True,
    ),
    Row(
        pattern=r"timed out|timeout",
        problem="the host does not answer",
        remedy="Is it switched on, and port 22 open in its firewall? A jump host is named by ProxyJump in "
        "~/.ssh/config.",
        passing=True,
    ),
    Row(
        pattern=r"No route to host|Network is (unreachable|down)",
        problem="there is no way to the host",
        remedy="Check the network, a VPN, or ProxyJump in ~/.ssh/config.",
        passing=True,
    ),
    Row(
        pattern=r"no matching (?P<what>[\w ]+?) found",
        problem="client and host share no {what}",
        remedy="Update ssh on the older of the two.",
    ),
    Row(
        pattern=r"Bad configuration option|Bad owner or permissions|bad configuration|Can't open user config file"
        r"|keyword \S+ extra arguments|garbage at end of line|missing argument",
        problem="ssh's configuration is wrong",
        remedy="`ssh -G {host}` must print it without an error.",
    ),
    Row(
        pattern=r"too long for Unix domain socket",
        problem="the folder for temporary files has too long a path for ssh",
        remedy="Set TMPDIR to a short one.",
    ),
    Row(
        pattern=r"account is currently not available|account has expired|no such shell|not allowed to log in",
        problem="the account may not log in there",
        remedy="Use an account with a shell.",
    ),
    Row(  # ssh keeps back what a jump host's ssh says
        pattern=r"UNKNOWN port 65535",
        problem="its jump host or ProxyCommand can't be reached, or refuses",
        remedy="`ssh` to the jump host must work without a question; `ssh -G {host}` names it.",
        passing=True,
    ),
    Row(
        pattern=r"Connection (to \S+ )?(closed|reset)|Broken pipe|closed by remote host|not responding|mux_client"
        r"|lost connection|kex_exchange_identification|Session open refused",
        problem="the connection was lost",
        remedy=f"{TRY}; see the host's sshd log.",
        passing=True,
    ),
)

# What a command there says.
COMMAND = (
    Row(
        pattern=r"No space left on device|Disk quota exceeded|Errno 28",
        problem="the disk is full there",
        remedy="Make room, or name a folder on another disk by `folder` in matrix.yaml.",
    ),
    Row(
        pattern=r"Read-only file system|Permission denied",
        problem="its folder can't be written",
        remedy="Name one that can by `folder` in matrix.yaml.",
    ),
    Row(
        pattern=r"(?P<what>[\w./-]+): (command )?not found",
        problem="it has no program {what}",
        remedy="Install it there.",
    ),
)


def explain(text: str, host: str, table: Iterable[Row]) -> tuple[Row, str, str] | None:
    """Return the row that knows the text, with problem and remedy filled in; None if no row does."""
    for row in table:
        match = re.search(row.pattern, text, re.IGNORECASE)
        if match:
            named = {name: value or "something else" for name, value in match.groupdict().items()} | {"host": host}
            return row, row.problem.format_map(named), row.remedy.format_map(named)
    return None


def connection_failure(platform: str, host: str, text: str) -> PlatformError:
    """Return the error for what ssh said; a ConnectionLostError where waiting may mend it."""
    said = _last_lines(text)
    known = explain(text, host, CONNECTION)
    if known is None:
        remedy = f"`ssh {host} true` must work without a question or a word."
        return PlatformError(f"{platform}: ssh to {host} failed: {said or 'it gave no reason'}", remedy)
    row, problem, remedy = known
    kind = ConnectionLostError if row.passing else PlatformError
    return kind(f"{platform}: {host}: {problem} ({said})", remedy)


def command_failure(platform: str, host: str, text: str) -> PlatformError:
    """Return the error for what a command there said."""
    said = _last_lines(text)
    known = explain(text, host, COMMAND)
    if known is None:
        return PlatformError(f"{platform}: {host}: {said or 'a command failed without a word'}")
    _, problem, remedy = known
    return PlatformError(f"{platform}: {host}: {problem} ({said})", remedy)


def _last_lines(text: str) -> str:
    """Return the end of what was said; ssh says the cause last, after banners and warnings."""
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip(" @\r\n")]
    said = "; ".join(lines[-2:]).rstrip(".")
    return said if len(said) <= SAID else f"…{said[-SAID:]}"
