"""WSL2 from inside: what of Windows reaches into the distribution. Elsewhere there is nothing to say.

Which memory and how many processors `.wslconfig` grants is `system.memory_bytes` and `cpu.logical`.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Mapping

from harness.agent.inspection.facts import Fact, Files, fact, fields

RELEASE = "/proc/sys/kernel/osrelease"
INTEROP = "/proc/sys/fs/binfmt_misc/WSLInterop"
CONFIG = "/etc/wsl.conf"
GRAPHICS = "/mnt/wslg/versions.txt"
NAME = "microsoft-standard-WSL2"
ANSWER_SECONDS = 10.0  # the interoperation has been seen to hang
# wsl.conf(5): of its settings those that change files, services, the GPU and nothing else; others name hosts and users.
TELLING = {
    "automount": ("enabled", "options", "mountfstab"),
    "boot": ("systemd", "protectbinfmt"),
    "gpu": ("enabled",),
    "interop": ("enabled", "appendwindowspath"),
    "time": ("usewindowstimezone",),
}


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts in a distribution of WSL2 (or a container on its kernel), none elsewhere."""
    if not files.told(RELEASE) or NAME not in files.text(RELEASE):
        return {}
    return {
        "version": fact("wslinfo --version, or wsl.exe --version", lambda: _version(files)),
        "kernel": files.fact(RELEASE),
        "interop": files.fact(INTEROP, lambda text: text.splitlines()[0]),
        "graphics": files.fact(GRAPHICS, versions),
        "dxg": fact("/dev/dxg", lambda: files.exists("/dev/dxg")),
        "cuda_libraries": fact("/usr/lib/wsl/lib", lambda: _libraries(files)),
        "swap": fact("/proc/swaps", lambda: len(files.text("/proc/swaps").splitlines()) > 1),
        "config": files.fact(CONFIG, telling),
        "page_reporting": files.fact("/sys/module/page_reporting/parameters/page_reporting_order"),
    }


def versions(text: str) -> dict[str, str]:
    """Return name → version of WSLg's list: lines of `name: version`, some of them `name (branch): version`."""
    return {name: value for name, value in fields(text).items() if value}


def telling(text: str) -> Mapping[str, str]:
    """Return `boot.systemd` → `true` for the settings that tell. Raises ValueError for a file of another form."""
    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        msg = "not a wsl.conf"
        raise ValueError(msg) from error
    return {
        f"{section}.{name}": parser[section][name] or ""
        for section, names in TELLING.items()
        if parser.has_section(section)
        for name in names
        if name in parser[section]
    }


def version(text: str) -> str:
    """Read `2.5.9.0`, which wslinfo prints alone and wsl.exe in its first line, behind words in Windows' language."""
    found = re.search(r"\d+(?:\.\d+)+", text.partition("\n")[0])
    if found is None:
        msg = "no version in the answer"
        raise ValueError(msg)
    return found[0]


def _version(files: Files) -> str:
    """Ask WSL itself: its own program in the distribution, or Windows' through the interoperation."""
    program = next(filter(None, map(shutil.which, ("wslinfo", "wsl.exe"))), None)
    if program is None or not files.of_this_machine:
        msg = "neither wslinfo nor wsl.exe is on the PATH"
        raise LookupError(msg)
    try:
        answer = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=ANSWER_SECONDS,
            check=False,
            env={**os.environ, "WSL_UTF8": "1", "WSLENV": f"WSL_UTF8:{os.environ.get('WSLENV', '')}"},
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(None, f"no answer within {ANSWER_SECONDS} s") from error
    return version(answer.stdout.replace(b"\0", b"").decode("utf-8", "replace"))


def _libraries(files: Files) -> list[str]:
    return [path.rpartition("/")[2] for path in files.matching("/usr/lib/wsl/lib/lib*.so.1")]
