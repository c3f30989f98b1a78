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
from harness.agent.files import replace
from harness.agent.messages import MessageError, read_json, write_json

FOLDER = "overhead-matrix-data"
ABOUT = "set.json"  # beside the files: their names in order, and the digest of them all

Write = Callable[[Path, ImageSet], Stored]  # makes the folder and the files in it


def kept(location: Path, form: str, images: ImageSet, write: Write) -> Stored:
    """Return the set as it lies in the location in this form (`files`, `records`); write it if it is not there.

    Raises OSError where it can't be written.
    """
    if there := found(location, form, images):
        return there
    folder = _folder(location, form, images)
    folder.parent.mkdir(exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)  # of a set that is damaged
    with tempfile.TemporaryDirectory(prefix="partial-", dir=folder.parent, ignore_cleanup_errors=True) as aside:
        made = write(Path(aside, "set"), images)
        about = {"names": [path.name for path in made.paths], "sha256": made.sha256}
        write_json(Path(aside, "set", ABOUT), about)
        try:
            replace(Path(aside, "set"), folder)
        except OSError:  # another process was faster
            if there := found(location, form, images):
                return there
            raise
    return Stored(paths=tuple(folder / path.name for path in made.paths), sizes=made.sizes, sha256=made.sha256)


def found(location: Path, form: str, images: ImageSet) -> Stored | None:
    """Return the set that lies in the location; None if it is not there or not as it was written."""
    folder = _folder(location, form, images)
    try:
        about = read_json(folder / ABOUT)
        there = Stored.at([folder / name for name in about["names"]])
    except (OSError, MessageError, LookupError, TypeError):
        return None
    return there if there.sha256 == about["sha256"] else None


def _folder(location: Path, form: str, images: ImageSet) -> Path:
    text = json.dumps([form, images.parameters, images.encoder.name], sort_keys=True)
    return location / FOLDER / f"{form}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
