"""wsl.exe: where it is, how it is called, how its output is read. Its manners are those of its public source.

Source: github.com/microsoft/WSL, src/windows/common/WslClient.cpp, svccomm.cpp and interop.cpp (August 2026). Its own
messages go to stdout, as UTF-16LE unless WSL_UTF8=1 (older versions do not know that), and it then ends with -1; its
warnings go to stderr. A child's output passes as it is. A child's exit status passes; one that was ended by signal n
gives n, as if it had returned it, and a distribution that is stopped meanwhile gives 1 and no message.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import PlatformError
from harness.platforms.wsl_errors import RESTART, explained
from harness.runner import process

PROGRAM = "wsl.exe"
ANSWER_SECONDS = 10.0  # to a question about WSL itself; a service that hangs never answers
# Of `wsl.exe --version`, in this order; the words before the values are translated.
PACKAGE = ("version", "packaged_kernel", "wslg", "msrdc", "direct3d", "dxcore", "windows")


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One line of `wsl.exe --list --verbose`: `version` is 1 or 2, `state` Stopped, Running, Installing and so on."""

    name: str
    state: str
    version: int


@dataclass(frozen=True, kw_only=True)
class WslCommand:
    """The wsl.exe of this machine. `environ` is that of the controller."""

    program: str
    environ: Mapping[str, str]

    @classmethod
    def find(cls, environ: Mapping[str, str]) -> WslCommand | None:
        """Return the wsl.exe on PATH: on Windows, and in a distribution whose interop is on. None elsewhere."""
        program = shutil.which(PROGRAM, path=environ.get("PATH"))
        return cls(program=program, environ=environ) if program else None

    def environment(self) -> dict[str, str]:
        """Return the environment of wsl.exe. Inside WSL only what WSLENV names reaches a program of Windows."""
        shared = ":".join(filter(None, [self.environ.get("WSLENV"), "WSL_UTF8"]))
        return {**self.environ, "WSL_UTF8": "1", "WSLENV": shared}

    def inside(self, distribution: str, command: Sequence[str]) -> tuple[str, ...]:
        """Return what starts `command` in a distribution without a shell; the folder here means nothing there."""
        return (self.program, "-d", distribution, "--cd", "/", "--exec", *command)

    def distributions(self) -> tuple[Distribution, ...]:
        """Return those of this user; starts none. Raises PlatformError with what is wrong with WSL."""
        answer = self._ask("--list", "--verbose")
        found = parse_list(answer.stdout)
        if answer.code != 0 or not found:
            raise explained(f"{answer.stdout}\n{answer.stderr}", "")
        return found

    def package(self) -> dict[str, str]:
        """Return the versions that `wsl.exe --version` gives, by the names in PACKAGE.

        Raises LookupError for a WSL that came with Windows: it does not know the question.
        """
        answer = self._ask("--version")
        values = re.findall(r"[:：]\s*(\d[\w.+-]*)\s*$", answer.stdout, flags=re.MULTILINE)
        if answer.code != 0 or len(values) != len(PACKAGE):
            raise LookupError(f"{PROGRAM} --version gives no list of {len(PACKAGE)} versions")
        return dict(zip(PACKAGE, values, strict=True))

    def _ask(self, *arguments: str) -> process.Completed:
        argv = (self.program, *arguments)
        try:
            return process.capture(argv, timeout=ANSWER_SECONDS, env=self.environment(), decode=decoded)
        except PlatformError as error:
            raise PlatformError(error.problem, error.remedy or RESTART) from error


def decoded(data: bytes) -> str:
    """Return output of wsl.exe as text: UTF-16LE, or UTF-8 in which a message in UTF-16LE may stand."""
    if _is_utf16(data):
        return data.decode("utf-16-le", errors="replace").removeprefix("\ufeff").replace("\r\n", "\n")
    return data.decode("utf-8", errors="replace").replace("\0", "").replace("\r\n", "\n")


def _is_utf16(data: bytes) -> bool:
    """No text in UTF-8 holds a zero; in UTF-16LE the second byte of every character of ASCII is one, no first byte."""
    if len(data) % 2 or 0 not in data or 0 in data[::2]:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return data.count(0) > len(data) // 3


def parse_list(text: str) -> tuple[Distribution, ...]:
    """Read the table of `--list --verbose`; its heading has no number at the end."""
    rows = re.findall(r"^[ *] (\S.*?) {2,}(\S.*?) +([12])\s*$", text, flags=re.MULTILINE)
    return tuple(Distribution(name=name, state=state, version=int(version)) for name, state, version in rows)


def require(command: WslCommand, name: str) -> Distribution:
    """Return the distribution of this name, of version 2 and ready. Raises PlatformError that says what to do."""
    listed = command.distributions()
    found = next((each for each in listed if each.name.casefold() == name.casefold()), None)
    if found is None:
        there = ", ".join(each.name for each in listed)
        raise PlatformError(
            f"there is no distribution {name}, there are: {there}",
            f"Correct `distribution` in matrix.yaml, or run `wsl --install -d {name}`.",
        )
    if found.version == 1:
        raise PlatformError(
            f"{name} is a distribution of WSL 1, which has no Linux kernel and no GPU",
            f"Convert it: `wsl --set-version {name} 2`.",
        )
    if found.state not in ("Running", "Stopped"):
        raise PlatformError(f"{name} is being changed ({found.state})", "Wait until that is done; `wsl -l -v` says.")
    return found
