"""Values of matrix.yaml that stay out of a bundle, which is handed on: what may be secret, and what names a place.

Of a container's `environment` the variables' names stay, and values that can be no secret; of hosts nothing; of paths
those inside a container and those relative to matrix.yaml. A run that is resumed takes what is hidden from today's
matrix.yaml. The names of a vendor's image, of a domain and of a WSL distribution stay: they are what is measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.agent.privacy import without_person
from harness.errors import UsageError
from harness.matrix.load import load
from harness.matrix.model import Matrix

HIDDEN = "…"
HARMLESS = re.compile(r"\d{0,3}|all|none|true|false")  # OMP_NUM_THREADS: "8"
ADDRESSES = frozenset({"host", "connection", "engine"})  # fields of platforms
PLACE = re.compile(r"[/~]|[A-Za-z]:[\\/]|\\\\")  # what a path begins with that is not relative to matrix.yaml
MOUNT = re.compile(r"(.+?):(/[^:]*?)(:ro)?")  # of a mount: outside, inside

Hide = Callable[[str, str], str]  # a text and the name of its field → what the bundle keeps of it


def definition(matrix: Matrix, *, identifiers: bool = False) -> dict[str, Any]:
    """Return the matrix as run.json keeps it; with `identifiers` nothing but an environment's values is hidden."""
    whole: dict[str, Any] = matrix.model_dump(mode="json", by_alias=True)
    platforms = whole.pop("platforms")
    hide = _secretless if identifiers else _placeless
    return {
        **(whole if identifiers else _mapped(whole, _impersonal)),
        "platforms": {name: _mapped(entry, hide) for name, entry in platforms.items()},
    }


def public(entry: object) -> Any:  # noqa: ANN401 - any JSON
    """Return a platform's entry as a bundle keeps it, of one that keeps more too: of an earlier version, say."""
    return _mapped(entry, _placeless)


def veiled(entry: object, other: object) -> Any:  # noqa: ANN401 - any JSON
    """Return an entry with that hidden which the other hides, where it may be the same."""
    if isinstance(entry, Mapping) and isinstance(other, Mapping):
        return {key: veiled(item, other.get(key)) for key, item in entry.items()}
    if isinstance(entry, list) and isinstance(other, list) and len(entry) == len(other):
        return [veiled(item, its) for item, its in zip(entry, other, strict=True)]
    return other if isinstance(entry, str) and isinstance(other, str) and _fits(entry, other) else entry


def hidden(whole: object, kept: object, place: str = "") -> dict[str, str]:
    """Return place → value of each text that stands in the whole and that what is kept of it hides."""
    if isinstance(whole, Mapping) and isinstance(kept, Mapping):
        pairs = ((key, item, kept.get(key)) for key, item in whole.items())
    elif isinstance(whole, list) and isinstance(kept, list):
        pairs = ((index, item, its) for index, (item, its) in enumerate(zip(whole, kept, strict=False)))
    else:
        return {place: whole} if isinstance(whole, str) and _is_hidden(kept) and whole != kept else {}
    return {
        where: text
        for key, item, its in pairs
        for where, text in hidden(item, its, f"{place}.{key}".strip(".")).items()
    }


def values(matrix: Matrix, kept: object = None) -> dict[str, str]:
    """Return place → value of what a bundle hides of this matrix, or of what `kept` hides of it."""
    whole = matrix.model_dump(mode="json", by_alias=True)
    return hidden(whole, definition(matrix) if kept is None else kept)


def restored(matrix: Matrix, file: Path, run_id: str) -> Matrix:
    """Return the matrix of a bundle with the values that it hides, read from today's matrix.yaml.

    The file is read only if there are any. Raises MatrixError, and UsageError for a value that it lacks.
    """
    kept = matrix.model_dump(mode="json", by_alias=True)
    if not _hides(kept):
        return matrix
    today = load(file).model_dump(mode="json", by_alias=True)

    def missing(place: str) -> UsageError:
        problem = f"--resume {run_id}: {place} had a value that no bundle keeps, and {file} has none for it"
        return UsageError(problem, "Put it back, or start a new run")

    return Matrix.model_validate(_filled(kept, today, "", missing))


def _secretless(text: str, field: str) -> str:
    return HIDDEN if field.startswith("environment.") and not HARMLESS.fullmatch(text) else text


def _placeless(text: str, field: str) -> str:
    if field == "mounts" and (mount := MOUNT.fullmatch(text)):
        inside = mount[2] if without_person(mount[2]) == mount[2] else f"/{HIDDEN}"
        return f"{HIDDEN}:{inside}{mount[3] or ''}"
    if field in ADDRESSES or PLACE.match(text):
        return HIDDEN
    return _impersonal(_secretless(text, field), field)


def _impersonal(text: str, _field: str) -> str:
    return text if without_person(text) == text else HIDDEN


def _mapped(value: object, hide: Hide, field: str = "") -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, Mapping):
        inside = "environment." if field == "environment" else ""
        return {key: _mapped(item, hide, inside + key) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, hide, field) for item in value]
    return hide(value, field) if isinstance(value, str) else value


def _hides(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(map(_hides, value.values()))
    if isinstance(value, list):
        return any(map(_hides, value))
    return _is_hidden(value)


def _is_hidden(value: object) -> bool:
    return isinstance(value, str) and value.startswith(HIDDEN)


def _filled(kept: object, today: object, place: str, missing: Callable[[str], UsageError]) -> Any:  # noqa: ANN401 - any JSON
    """Return what was kept with today's value in the place of each that is hidden; a mount keeps its path inside."""
    if isinstance(kept, Mapping):
        there = today if isinstance(today, Mapping) else {}
        return {key: _filled(item, there.get(key), f"{place}.{key}".strip("."), missing) for key, item in kept.items()}
    if isinstance(kept, list):
        items = today if isinstance(today, list) else []
        padded = [*items, *[None] * len(kept)]
        return [_filled(item, padded[index], f"{place}.{index}", missing) for index, item in enumerate(kept)]
    if not isinstance(kept, str) or not _is_hidden(kept):
        return kept
    if not isinstance(today, str) or not _fits(today, kept):
        raise missing(place)
    return today


def _fits(text: str, kept: str) -> bool:
    """Whether the text may be what was hidden: of a mount more is kept than that there was one."""
    return re.fullmatch(".*".join(map(re.escape, kept.split(HIDDEN))), text, re.DOTALL) is not None
