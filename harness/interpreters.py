"""Finding programs on this host: a Python of some version, uv. Looks at files only, starts nothing."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path


def base() -> Path:
    """Return the interpreter behind the controller's virtual environment."""
    return Path(getattr(sys, "_base_executable", "") or sys.executable)


def of_version(version: str, environ: Mapping[str, str]) -> Path | None:
    """Return a Python of this version (`3.11`): the controller's own, one on PATH, pyenv's, uv's; None if none."""
    return next((path for path in _candidates(version, environ) if path.is_file()), None)


def named(name: str, environ: Mapping[str, str]) -> Path | None:
    """Return the interpreter that a user means by this name or path, looking past the controller's environment."""
    found = shutil.which(name, path=_search_path(environ))
    return Path(found) if found else None


def uv() -> str | None:
    """Return the uv beside the controller's Python, or on PATH."""
    beside = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return shutil.which("uv", path=beside)


def python_in(environment: Path) -> Path:
    """Return the interpreter of a virtual environment on this operating system."""
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _candidates(version: str, environ: Mapping[str, str]) -> Iterator[Path]:
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield base()
    on_path = shutil.which(f"python{version}", path=_search_path(environ))
    if on_path:
        yield Path(on_path)
    program = "python.exe" if os.name == "nt" else f"bin/python{version}"
    for folder, pattern in _installations(version, environ):
        for installation in sorted(folder.glob(pattern), key=_patch_level, reverse=True):
            yield installation / program


def _installations(version: str, environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    data = environ.get("APPDATA") if os.name == "nt" else environ.get("XDG_DATA_HOME")
    yield Path(environ.get("PYENV_ROOT") or home / ".pyenv") / "versions", f"{version}.*"
    uv_folder = environ.get("UV_PYTHON_INSTALL_DIR") or Path(data or home / ".local/share") / "uv/python"
    yield Path(uv_folder), f"cpython-{version}.*"


def _patch_level(installation: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", installation.name)[:3]]


def _search_path(environ: Mapping[str, str]) -> str:
    """PATH without the controller's environment and without shims, which stand for whatever version is selected."""
    own = Path(sys.executable).parent if sys.prefix != sys.base_prefix else None
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if Path(folder) != own and Path(folder).name != "shims")
