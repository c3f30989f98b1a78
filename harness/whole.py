"""Files that are whole or not there: written beside their place, and moved there at the end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.agent import files
from harness.errors import ResultsError, UsageError


def replace(path: Path, text: str) -> None:
    """Write so that a reader sees the old text or the new one. Raises OSError as the file system does."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(partial).chmod(0o644)
        files.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


@contextmanager
def new(path: Path) -> Iterator[Path]:
    """Yield where the new file or folder `path` is to be made; it takes its name if nothing was raised.

    Raises UsageError if the name is taken, ResultsError where the file system refuses.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already, and is not overwritten", "Name another with -o, or remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=".overhead-matrix."))
        try:
            yield folder / path.name
            files.replace(folder / path.name, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise ResultsError(f"{path} can't be written: {error.strerror or error}", "Name another place") from error
