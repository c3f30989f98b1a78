"""Wine: starts Windows programs on Linux. What runs there is a stand-in for Windows; no figure of it counts.

Its manners, as of Debian 12's Wine 8.0: a standard stream that is a regular file ends Python at its start; Wine's own
services inherit the streams of the program that starts them, so they are started first, with none; a hung program hangs
for ever, so everything has a deadline.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.runner import process

PROGRAMS = (Path("/usr/lib/wine/wine64"), Path("/usr/bin/wine64"))
SERVERS = (Path("/usr/lib/wine/wineserver"), Path("/usr/bin/wineserver"))
WINDOWS_10 = ("reg", "add", r"HKCU\Software\Wine", "/v", "Version", "/d", "win10", "/f")
START = 180.0  # seconds; a fresh prefix takes 5 to 10 on an idle machine
UNICODE = "C.UTF-8"  # else Wine has no names for files beyond one code page
BOOT = 7
PREFETCH = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters"
GRAPHICS = r"HKLM\SYSTEM\CurrentControlSet\Control\GraphicsDrivers"


@dataclass(frozen=True, kw_only=True)
class Wine:
    """A prefix: what Windows would call an installation."""

    program: Path
    server: Path
    prefix: Path
    drives: Mapping[str, Path]  # letter → folder of this machine

    @property
    def system32(self) -> Path:
        """Where Windows keeps its libraries."""
        return self.prefix / "drive_c" / "windows" / "system32"

    @property
    def drive(self) -> Path:
        """C:."""
        return self.prefix / "drive_c"

    def environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the variables of a Windows program: few of this machine's, since most name paths of Linux."""
        own = {name: os.environ[name] for name in ("HOME", "PATH", "USER") if name in os.environ}
        quiet = {
            "WINEDEBUG": "-all",
            "WINEDLLOVERRIDES": "mscoree=;mshtml=;winemenubuilder.exe=",
            "DISPLAY": "",
            "LC_ALL": UNICODE,
        }
        return {**own, **quiet, "WINEPREFIX": str(self.prefix), **extra}

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        timeout: float,
        log: Path,
        environ: Mapping[str, str],
        on_line: Callable[[str], None] = lambda _line: None,
        cwd: Path | None = None,
    ) -> process.Exit:
        """Run a Windows program to its end, which comes after `timeout` seconds at the latest.

        Paths among `argv` are this machine's.
        """
        command = [str(self.program), *(self.path(each) if isinstance(each, Path) else each for each in argv)]
        env = self.environment(environ)
        return process.run(command, timeout=timeout, on_line=on_line, log=log, cwd=cwd, env=env)

    def path(self, path: Path) -> str:
        """Return a path of this machine as Windows programs see it. Raises ValueError for what is on no drive."""
        real = path.resolve()
        for letter, folder in self.drives.items():
            if real.is_relative_to(folder):
                return f"{letter}:\\" + str(real.relative_to(folder)).replace("/", "\\")
        raise ValueError(path)

    def boot(self, number: int) -> None:
        """Have Windows count its boots up to this one: to those who ask, it has been started anew."""
        self.quietly("reg", "add", PREFETCH, "/v", "BootId", "/t", "REG_DWORD", "/d", str(number), "/f")

    def quietly(self, *arguments: str) -> None:
        """Run a program of Wine's own without streams; raise CalledProcessError if it fails."""
        self._call([self.program, *arguments])

    def _call(self, argv: Sequence[str | Path]) -> None:
        nothing = subprocess.DEVNULL
        env = self.environment({})
        subprocess.run(argv, stdin=nothing, stdout=nothing, stderr=nothing, env=env, check=True, timeout=START)


def program() -> Path | None:
    """Return the loader of 64-bit programs, None where there is no Wine."""
    return next((path for path in PROGRAMS if path.exists()), None)


@contextmanager
def running(prefix: Path, drives: Mapping[str, Path]) -> Iterator[Wine]:
    """Yield Wine with its services up, in a new prefix that calls itself Windows 10; end everything afterwards.

    `drives` are the folders that it has beside C:. It has no drive for the root of this machine, as Wine's Z: is, since
    programs must not find Linux's files.
    """
    loader = program()
    server = next((path for path in SERVERS if path.exists()), None)
    if loader is None or server is None:
        msg = "there is no Wine: apt-get install --no-install-recommends wine wine64"
        raise FileNotFoundError(msg)
    shutil.rmtree(prefix, ignore_errors=True)
    prefix.mkdir(parents=True)
    folders = {letter: folder.resolve() for letter, folder in drives.items()}
    wine = Wine(program=loader, server=server, prefix=prefix, drives={"C": prefix.resolve() / "drive_c", **folders})
    try:
        wine._call([server, "-p"])  # stays when its last client goes
        wine.quietly("wineboot", "--init")
        wine.quietly(*WINDOWS_10)
        wine.quietly("reg", "add", GRAPHICS, "/v", "HwSchMode", "/t", "REG_DWORD", "/d", "2", "/f")
        wine.boot(BOOT)
        _set_drives(wine)
        yield wine
    finally:
        _end(wine)
        shutil.rmtree(prefix, ignore_errors=True)


def _set_drives(wine: Wine) -> None:
    devices = wine.prefix / "dosdevices"
    (devices / "z:").unlink()
    for letter, folder in wine.drives.items():
        link = devices / f"{letter.lower()}:"
        if not link.exists():
            link.symlink_to(folder)


def _end(wine: Wine) -> None:
    """Kill what runs in the prefix and wait for it."""
    subprocess.run([wine.server, "-k"], env=wine.environment({}), check=False, timeout=60)
    subprocess.run([wine.server, "-w"], env=wine.environment({}), check=False, timeout=60)
    time.sleep(0.1)
