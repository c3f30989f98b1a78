"""What all storage probes share: a directory of their own in every location, whose failure is not the cell's.

A probe measures a location in parts. The first part is what it cannot do without: where that fails, the location is
left out, with a warning. The others (cold reads, direct I/O) are left out one by one where the location has none.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.agent import pagecache
from harness.agent.capacity import MIB
from harness.agent.loops import Loops, instrument
from harness.agent.messages import Location, Metric
from harness.agent.task import Context, Outcome, Unavailable, Unsupported

SPARE = 8 * MIB  # of free space beyond the files: what the file system needs for itself


@dataclass(frozen=True, kw_only=True)
class Place:
    """An empty directory in a location, removed after the last part; the name is the metrics' `location` dim."""

    location: str
    directory: Path


Part = Callable[[Place], list[Metric]]


def on_each_location(context: Context, timed: Loops, parts: Mapping[str, Part], *, needs: int = 0) -> Outcome:
    """Run the parts, named for the warnings, on every location that has `needs` bytes free.

    Raises Unavailable if no location gives a metric.
    """
    metrics: list[Metric] = []
    warnings: list[str] = []
    locations = context.spec.locations
    for done, location in enumerate(locations, start=1):
        measured, notes = _measure(location, parts, f"{needs // MIB} MiB for {context.spec.entry}", needs)
        metrics += measured
        warnings += notes
        context.progress(done, len(locations), location.name)
    if not metrics:
        nowhere = f"{context.spec.entry}: the platform offers no location to write to"
        raise Unavailable("; ".join(warnings) or nowhere)
    return Outcome(
        metrics=(*metrics, *instrument(timed)), versions=timed.versions, warnings=(*timed.warnings, *warnings)
    )


def drop_pages(paths: list[Path]) -> None:
    """Drop the files' pages from memory. Raises Unsupported where pages stay, as they do on a tmpfs."""
    if kept := pagecache.drop(paths):
        raise Unsupported(f"{kept} of {len(paths)} files stay in memory")


def _measure(location: Location, parts: Mapping[str, Part], what: str, needs: int) -> tuple[list[Metric], list[str]]:
    """Return the metrics of one location, and what could not be measured there and why."""
    where = f"location {location.name}"
    metrics: list[Metric] = []
    notes: list[str] = []
    try:
        _check_room(location, what, needs)
        with _directory(location) as directory:
            place = Place(location=location.name, directory=directory)
            for number, (name, part) in enumerate(parts.items()):
                try:
                    metrics += part(place)
                except (OSError, Unsupported) as error:
                    if number == 0:
                        raise
                    notes.append(f"{where} without {name}: {_words(error)}")
    except OSError as error:
        return [], [f"{where} ({location.path}) left out: {_words(error)}"]
    except Unsupported as error:
        return [], [f"{where} left out: {error}"]
    return metrics, notes


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _check_room(location: Location, what: str, needs: int) -> None:
    """Raise OSError rather than fill the disk."""
    free = shutil.disk_usage(location.path).free
    if needs and free < needs + SPARE:
        wanted = f"{what} and {SPARE // MIB} MiB to spare"
        reason = f"{os.strerror(errno.ENOSPC)}: {free // MIB} MiB are free and {wanted} are needed"
        raise OSError(errno.ENOSPC, f"{reason}: make room, or set a smaller `bytes` or `count` for it in matrix.yaml")


@contextmanager
def _directory(location: Location) -> Iterator[Path]:
    """Make an empty directory in the location; remove it with all that is in it, whatever happens."""
    directory = tempfile.mkdtemp(prefix="overhead-matrix-", dir=location.path)
    try:
        yield Path(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
