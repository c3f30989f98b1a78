"""Finds the Pythons of this machine, so that the agent is tried on each version that it promises."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

PROMISED = ("3.10", "3.11", "3.12", "3.13")
TOO_OLD = ("2.7", "3.6", "3.7", "3.8", "3.9")
REQUIRED = "OVERHEAD_MATRIX_REQUIRE_PYTHONS"  # versions that must not be missing: `3.10,3.13`
SAY_WHICH = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2] + '\\n' + sys.executable)"


def interpreter(version: str) -> Path:
    """Return a Python of this version; skip the test if there is none, fail it if the environment requires it."""
    found = find(version)
    if found is not None:
        return found
    reason = f"no Python {version} on this machine"
    if version in os.environ.get(REQUIRED, "").replace(",", " ").split():
        pytest.fail(f"{reason}, but {REQUIRED} names it")
    pytest.skip(reason)


@lru_cache
def find(version: str) -> Path | None:
    """Return a working interpreter, None if there is none. A pyenv shim on the PATH may be there and not work."""
    for candidate in _candidates(version):
        answer = subprocess.run([candidate, "-c", SAY_WHICH], capture_output=True, text=True, timeout=60, check=False)
        said, _, executable = answer.stdout.partition("\n")
        if answer.returncode == 0 and said == version:
            return Path(executable)
    return None


def _candidates(version: str) -> Iterator[str]:
    on_path = shutil.which(f"python{version}")
    if on_path is not None:
        yield on_path
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for folder in sorted((pyenv / "versions").glob(f"{version}.*")):
        executable = folder / "bin" / "python"
        if executable.exists():
            yield str(executable)
