"""A new bundle on disk, folder or zip: it takes its name when it is whole, and never another's place."""

from __future__ import annotations

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from harness.agent.files import replace
from harness.errors import ResultsError, UsageError

ZIP = ".zip"
THEN = (1980, 1, 1, 0, 0, 0)  # of every file in a zip: what is packed tells when it was measured


class Writer(Protocol):
    """Takes a bundle's files."""

    def write(self, name: str, content: bytes) -> None:
        """Add a file that is not there yet."""


class FolderWriter:
    """Writes into a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, content: bytes) -> None:
        """Add a file that is not there yet."""
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)


class ZipWriter:
    """Writes into a zip."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def write(self, name: str, content: bytes) -> None:
        """Add a file that is not there yet."""
        self._archive.writestr(zipfile.ZipInfo(name, THEN), content, zipfile.ZIP_DEFLATED)


@contextmanager
def created(path: Path) -> Iterator[Writer]:
    """Yield a writer of the bundle `path`, a zip where the name ends so; an exception leaves nothing behind.

    Raises UsageError if the name is taken and ResultsError if the file system refuses. Nothing is synced: what is
    written here is made of bundles that are still there.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(f"{path} is there already, and no bundle is ever overwritten", "Name another with -o")
    try:
        with _partial(path) as partial:
            if path.suffix == ZIP:
                with zipfile.ZipFile(partial / path.name, "x", allowZip64=True) as archive:
                    yield ZipWriter(archive)
            else:
                (partial / path.name).mkdir()
                yield FolderWriter(partial / path.name)
            replace(partial / path.name, path)
    except OSError as error:
        raise ResultsError(f"{path} can't be written: {error.strerror or error}", "Name another place") from error


@contextmanager
def _partial(path: Path) -> Iterator[Path]:
    """A folder beside the target, on the same file system, so that renaming is all that is left to do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
