"""Image sets that are kept: made once in a location, by their parameters and encoder, and found there again.

A set is written aside and renamed when it is whole, so a writer that dies leaves none. One that is found is read from
its first to its last byte: a set that is not what was written is made anew, and one that is lies in memory afterwards,
as it does behind its writer. It stays until its location goes, with the run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.agent.datasets.images import ImageSet
from harness.agent.datasets.stored import Stored
from harness.agent.messages import MessageError, read_json, write_json

FOLDER = "overhead-matrix-data"
ABOUT = "set.json"  # beside the files: their names in order, and the digest of them all

Write = Callable[[Path, ImageSet], Stored]  # makes the folder and the files in it


def kept(location: Path, form: str, images: ImageSet, write: Write) -> Stored:
    """Return the set as it lies in the location in this form (`files`, `records`, `raw`); write it if it is not there.

    Raises OSError where it can't be written.
    """
    shelf = location / FOLDER
    folder = shelf / f"{form}-{_key(form, images)}"
    if found := _found(folder):
        return found
    shelf.mkdir(exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)  # of a set that is damaged
    with tempfile.TemporaryDirectory(prefix="partial-", dir=shelf, ignore_cleanup_errors=True) as aside:
        made = write(Path(aside, "set"), images)
        about = {"names": [path.name for path in made.paths], "sha256": made.sha256}
        write_json(Path(aside, "set", ABOUT), about)
        try:
            Path(aside, "set").rename(folder)
        except OSError:  # another process was faster
            if found := _found(folder):
                return found
            raise
    return Stored(paths=tuple(folder / path.name for path in made.paths), sizes=made.sizes, sha256=made.sha256)


def _key(form: str, images: ImageSet) -> str:
    text = json.dumps([form, images.parameters, images.encoder.name], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _found(folder: Path) -> Stored | None:
    """Return the set of a folder; None if it is not there or not as it was written."""
    try:
        about = read_json(folder / ABOUT)
        found = Stored.at([folder / name for name in about["names"]])
    except (OSError, MessageError, LookupError, TypeError):
        return None
    return found if found.sha256 == about["sha256"] else None
