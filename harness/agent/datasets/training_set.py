"""The image set that a training reads, made by a process of its own so that the measured one only ever finds it.

Encoding starts a framework's threads and keeps memory. A container's own layer has no set at first and a native
location has one from the second cell on, so a measured process that encoded would differ between the two.

The set is kept in its location (`kept`). One that lies in memory (tmpfs) is removed with the training: there it would
take memory from all that comes after.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from harness.agent import oom
from harness.agent.children import isolation
from harness.agent.datasets.images import Encoder, ImageSet, pillow_encoder, tensorflow_encoder
from harness.agent.datasets.kept import Write, found, kept
from harness.agent.datasets.stored import DataSetError, Stored, write_files, write_records
from harness.agent.inspection.facts import Files
from harness.agent.inspection.storage import IN_MEMORY, mount_of
from harness.agent.own_process import command

Form = Literal["files", "records"]
WITHOUT_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}  # which the measured process may need alone


@contextmanager
def training_set(location: Path, form: Form, images: ImageSet) -> Iterator[Stored]:
    """Yield the set as it lies in the location; its maker's encoder must be the one that `images` names.

    Raises DataSetError if it can't be made, MemoryError if its maker lacked memory.
    """
    if not in_memory(location):
        yield _there(location, form, images)
        return
    prefix = "overhead-matrix-"
    with tempfile.TemporaryDirectory(prefix=prefix, dir=location, ignore_cleanup_errors=True) as folder:
        yield _there(Path(folder), form, images)


def in_memory(folder: Path, files: Files = Files()) -> bool:  # noqa: B008 - immutable
    """Whether a folder's file system keeps its files in memory; not where no system tells."""
    return sys.platform == "linux" and mount_of(files, str(folder)).filesystem in IN_MEMORY


def _there(location: Path, form: Form, images: ImageSet) -> Stored:
    """Return the set after reading it here, whether it was there before or not."""
    there = found(location, form, images)
    if there is None:
        _make(location, form, images)
        there = found(location, form, images)
    if there is None:
        raise DataSetError(f"data set: what was made in {location} is not there: something else changes that folder")
    return there


def _make(location: Path, form: Form, images: ImageSet) -> None:
    made = subprocess.run(
        command(__name__, str(location), form, json.dumps(images.parameters), options=isolation()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**os.environ, **WITHOUT_GPU},
        check=False,
    )
    if made.returncode == 0:
        return
    if lack := oom.told(made.stdout, made.returncode):
        raise MemoryError(f"the process that makes the data set: {lack}")
    last = (made.stdout.strip().splitlines() or [f"exit status {made.returncode}"])[-1]
    raise DataSetError(f"data set: it could not be made: {last}")


def main(arguments: Sequence[str]) -> int:
    """Be the process that makes a set."""
    location, form, parameters = arguments
    encoder, write = _maker(form)
    kept(Path(location), form, ImageSet(**json.loads(parameters), encoder=encoder), write)
    return 0


def _maker(form: str) -> tuple[Encoder, Write]:
    if form == "files":
        return pillow_encoder(), write_files
    tensorflow = importlib.import_module("tensorflow")
    return tensorflow_encoder(tensorflow), partial(write_records, tensorflow=tensorflow)
