"""pip, and uv where there is one: fetch the wheels of a lock file, install them offline. Failures get a remedy."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from harness import interpreters
from harness.errors import PlatformError, ResultsError, StackError
from harness.runner import process

DOWNLOAD_SECONDS = 4 * 3600.0  # gigabytes of CUDA over a slow line
INSTALL_SECONDS = 3600.0
LONG_PATHS = r"reg add HKLM\SYSTEM\CurrentControlSet\Control\FileSystem /v LongPathsEnabled /t REG_DWORD /d 1 /f"
NEAR_THE_ROOT = "or name a folder near the drive's root with OVERHEAD_MATRIX_CACHE"
ROOM = "Make room on that disk, or name a folder on another one with OVERHEAD_MATRIX_CACHE"

# What pip and uv say, looked for in this order, and what to do about it.
_FAILURES = (
    (("No space left on device", "not enough space on the disk"), "the disk is full", ROOM),
    (  # pip's own hint, and what Windows and uv say of such a path
        ("Long Path support", "[WinError 206]", "(os error 206)"),
        "a path is too long for Windows",
        f"Allow long paths: as an administrator `{LONG_PATHS}`; {NEAR_THE_ROOT}",
    ),
    (
        ("DO NOT MATCH THE HASHES", "Hash mismatch"),
        "a wheel is not the one that was locked",
        "Remove it from your index or find-links (`pip config list` names them), or lock anew",
    ),
    (("Hashes are required",), "the lock file has no hashes", "Lock with `uv pip compile --generate-hashes`"),
)
_UNREACHABLE = ("connection broken", "ConnectionError", "Could not fetch URL", "Failed to establish")
_MISSING = ("No matching distribution", "No solution found")


def download(
    label: str,
    requirements: Path,
    python: str,
    folder: Path,
    progress: Callable[[str], None],
    *,
    target: Sequence[str] = (),
) -> None:
    """Fetch the wheels that `requirements` locks for this host and Python version (`3.11`) into `folder`.

    `target` are pip's arguments for another system than this one.

    The user's pip configuration counts: indexes, find-links, proxies, certificates. Wheels that lie there already
    are kept if their hash is right. Raises StackError.
    """
    argv = [
        *_pip(label), "download", "--progress-bar=off", "--only-binary=:all:", "--implementation=cp",
        f"--python-version={python}", "--require-hashes", "--no-deps",
        "--requirement", str(requirements), "--dest", str(folder), *target,
    ]  # fmt: skip

    def show(line: str) -> None:
        if line.lstrip().startswith("Downloading "):
            progress(f"{label}: downloading {line.split(maxsplit=1)[1].strip()}")

    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)  # of a run that was killed
    scratch.mkdir()
    # pip keeps what it fetches in TMPDIR first: /tmp may be small. An index that can't be reached is asked for every
    # package, with growing pauses: 90 s for a lock of 11 packages with pip's own five retries.
    settings = {"PIP_RETRIES": "1", **os.environ, "PIP_REQUIRE_VIRTUALENV": "0", "TMPDIR": str(scratch)}
    try:
        _run(label, argv, DOWNLOAD_SECONDS, show, settings)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def create_environment(label: str, python: Path, folder: Path) -> None:
    """Make a virtual environment without pip. Raises StackError."""
    _run(label, [str(python), "-I", "-m", "venv", "--without-pip", str(folder)], 120.0)


def install(label: str, requirements: Path, wheels: Path, python: Path) -> None:
    """Install the locked packages from the wheelhouse, and nothing else, into the environment of `python`.

    Bytecode is compiled, as in an image: the first import must not cost more on one platform than on another.
    """
    offline = ["--no-index", "--find-links", str(wheels), "--require-hashes", "--no-deps", "-r", str(requirements)]
    uv = interpreters.uv()
    if uv:
        argv = [uv, "--no-config", "pip", "install", "--python", str(python), "--compile-bytecode", *offline]
    else:
        argv = [*_pip(label), "--isolated", "--python", str(python), "install", "--no-warn-script-location", *offline]
    _run(label, argv, INSTALL_SECONDS)


def install_python(label: str, version: str, progress: Callable[[str], None]) -> Path:
    """Have uv fetch a Python of this version; return it. Raises StackError, also without uv."""
    uv = interpreters.uv()
    if uv is None:
        raise StackError(f"stack {label}: there is no Python {version} on this host", _python_remedy(version))
    progress(f"{label}: fetching Python {version} with uv")
    try:
        _run(label, [uv, "--no-config", "python", "install", version], DOWNLOAD_SECONDS)
        found = process.capture([uv, "--no-config", "python", "find", "--no-project", version], timeout=60.0)
    except (StackError, PlatformError) as error:
        raise _no_python(label, version) from error
    if found.code != 0:
        raise _no_python(label, version)
    return Path(found.stdout.strip())


def pip_folder(label: str) -> Path:
    """Return the folder of the controller's pip, for those who send it along. Raises StackError without one."""
    said = process.capture([_pip(label)[0], "-c", "import pip; print(pip.__path__[0])"], timeout=60.0)
    return Path(said.stdout.strip())


def _no_python(label: str, version: str) -> StackError:
    problem = f"stack {label}: there is no Python {version} on this host, and uv can't fetch one"
    return StackError(problem, _python_remedy(version))


def _python_remedy(version: str) -> str:
    return f"Install Python {version} (`apt install python{version}`, or uv and `uv python install {version}`)"


def _pip(label: str) -> list[str]:
    """Return the command that starts the controller's pip, or that of the interpreter behind it (uv adds none)."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    command = [str(interpreters.base()), "-m", "pip"]
    if process.capture([*command, "--version"], timeout=60.0).code != 0:
        problem = f"stack {label}: the Python that runs the harness has no pip"
        raise StackError(problem, "Add it: `python -m ensurepip`, or `uv pip install pip`")
    return command


def _run(
    label: str,
    argv: Sequence[str],
    timeout: float,
    on_line: Callable[[str], None] = lambda _line: None,
    environ: dict[str, str] | None = None,
) -> None:
    """Run a program to its end. Raises StackError with the cause that its output names."""
    with tempfile.TemporaryDirectory(prefix="overhead-matrix-", ignore_cleanup_errors=True) as scratch:
        log = Path(scratch, "log")
        try:
            end = process.run(argv, timeout=timeout, on_line=on_line, log=log, env=environ)
        except (PlatformError, ResultsError) as error:
            raise StackError(f"stack {label}: {error.problem}", error.remedy) from error
        if end.timed_out:
            raise StackError(f"stack {label}: {argv[0]} did not end within {timeout:.0f} s")
        if end.code != 0:
            raise failure(label, log.read_text(encoding="utf-8", errors="replace"))


def failure(label: str, output: str) -> StackError:
    """Return the error for what pip or uv printed before they failed."""
    said = _last_error(output)
    for patterns, meaning, remedy in _FAILURES:
        if any(pattern in output for pattern in patterns):
            return StackError(f"stack {label}: {meaning} ({said})", remedy)
    if any(pattern in output for pattern in _MISSING):
        if any(pattern in output for pattern in _UNREACHABLE):
            remedy = "Check network, proxy and `pip config list`, or put the wheels in a folder named by PIP_FIND_LINKS"
            return StackError(f"stack {label}: a package index can't be reached ({said})", remedy)
        remedy = "No index has it for this system: put the wheel in a folder named by PIP_FIND_LINKS, or lock anew"
        return StackError(f"stack {label}: a wheel is missing ({said})", remedy)
    return StackError(f"stack {label}: {said}")


def _last_error(output: str) -> str:
    """Return the line that names the cause: of a wrong hash the package, else the last one that is an error."""
    altered = re.search(r"^\s+(\S+ from \S+) .*\n\s+Expected sha256", output, flags=re.MULTILINE)
    if altered:
        return altered[1]
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error:")]
    return (errors or lines or ["no output"])[-1].removeprefix("ERROR: ").rstrip(".")
