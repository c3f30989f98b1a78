"""The bytes of a bundle, from a folder or a zip. What a bundle names is never trusted, and nothing is written."""

from __future__ import annotations

import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Protocol

from harness.errors import BundleError

MAX_FILE_BYTES = 256 * 2**20  # of one file: thirty times what a million samples take
MAX_TOTAL_BYTES = 2 * 2**30  # of all files of a zip, unpacked
MAX_ENTRIES = 200_000  # of a zip
MANIFEST = "run.json"
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class Store(Protocol):
    """A bundle's files by their names in it."""

    def read(self, name: str) -> bytes:
        """Return a file's content; raise BundleError if it is not there, too large, or outside the bundle."""

    def has(self, name: str) -> bool:
        """Whether there is such a file inside the bundle."""


def printable(text: str, limit: int = 200) -> str:
    """Return text from a bundle, fit for one line on a terminal: nothing unprintable, not endless."""
    shown = text if text.isprintable() else ascii(text)
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    """Open a bundle's folder or zip; raise BundleError if it is neither."""
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise BundleError(f"{path} can't be looked at: {error.strerror or error}") from error
    if is_folder:
        yield FolderStore(path)
        return
    if not is_file:
        raise BundleError(f"{path}: no such bundle", "Name the folder of a run, or the zip of one")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        problem = f"{path} is neither a folder nor a readable zip: {error}"
        raise BundleError(problem, "Name the folder of a run, or the zip of one") from error
    with archive:
        yield ZipStore(path, archive)


class FolderStore:
    """A bundle that is a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = folder.resolve()

    def read(self, name: str) -> bytes:
        """Return a file's content; a symbolic link that leaves the folder is refused."""
        where = f"{self._folder}: {printable(name)}"
        _check_name(name, where)
        try:
            path = (self._root / name).resolve()
            if not path.is_relative_to(self._root):
                raise BundleError(f"{where} is a link that leads out of the bundle", "Copy the file into the bundle")
            if not path.is_file():
                raise BundleError(f"{where} is missing", "Copy the whole bundle again")
            _check_size(path.stat().st_size, where)
            return path.read_bytes()
        except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
            raise BundleError(f"{where} can't be read: {printable(str(error))}") from error

    def has(self, name: str) -> bool:
        """Whether there is such a file inside the folder."""
        try:
            path = (self._root / name).resolve()
            return is_name(name) and path.is_file() and path.is_relative_to(self._root)
        except (OSError, ValueError, RuntimeError):  # a name that no file can have; a loop of links
            return False


class ZipStore:
    """A bundle that is a zip, with the bundle at its top or in one folder. Files are read in memory."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path = path
        self._archive = archive
        self._entries = _checked_entries(path, archive)
        self._prefix = self._find_prefix()

    def read(self, name: str) -> bytes:
        """Return a file's content, unpacked in memory."""
        where = f"{self._path}: {printable(name)}"
        _check_name(name, where)
        entry = self._entries.get(self._prefix + name)
        if entry is None:
            raise BundleError(f"{where} is missing", "Copy the whole bundle again")
        _check_size(entry.file_size, where)
        try:
            return self._archive.read(entry)
        except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, ValueError) as error:
            raise BundleError(f"{where} can't be unpacked: {printable(str(error))}", "Copy the zip again") from error

    def has(self, name: str) -> bool:
        """Whether there is such an entry."""
        return self._prefix + name in self._entries

    def _find_prefix(self) -> str:
        """Return the folder that the zip packs, "" where the bundle is at its top."""
        if MANIFEST in self._entries:
            return ""
        found = [name for name in self._entries if PurePosixPath(name).name == MANIFEST and name.count("/") == 1]
        if len(found) != 1:
            problem = f"{self._path} has {'no' if not found else 'more than one'} {MANIFEST}"
            raise BundleError(problem, "Pack the folder of one run")
        return found[0].removesuffix(MANIFEST)


def _checked_entries(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise BundleError(f"{path} has {len(entries)} files, more than {MAX_ENTRIES}")
    if sum(entry.file_size for entry in entries) > MAX_TOTAL_BYTES:
        raise BundleError(f"{path} unpacks to more than {MAX_TOTAL_BYTES // 2**20} MiB")
    files: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        where = f"{path}: {printable(entry.orig_filename)}"
        _check_name(entry.orig_filename.removesuffix("/"), where)
        if entry.filename in files:
            raise BundleError(f"{where} is there twice")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise BundleError(f"{where} is a symbolic link", "Pack the file itself")
        if entry.flag_bits & 0x1 or entry.compress_type not in _COMPRESSIONS:
            raise BundleError(f"{where} is encrypted or packed by an unknown method", "Pack it with deflate")
        files[entry.filename] = entry
    return files


def is_name(name: str) -> bool:
    """Whether this can be the name of a file inside a bundle, on any system."""
    return not (set("\\:\0") & set(name) or {"", ".", ".."} & set(name.split("/")))


def _check_name(name: str, where: str) -> None:
    if not is_name(name):
        raise BundleError(f"{where} is not the name of a file inside the bundle")


def _check_size(size: int, where: str) -> None:
    if size > MAX_FILE_BYTES:
        raise BundleError(f"{where} has {size} bytes, more than {MAX_FILE_BYTES // 2**20} MiB")
