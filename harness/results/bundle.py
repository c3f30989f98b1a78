"""A bundle: one run's manifest, journal and invocations, as a folder or a zip. A fixed format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from harness.agent.messages import CellResult, MessageError, write_json
from harness.errors import BundleError
from harness.matrix.cells import SECOND_ARM
from harness.results.decode import decode
from harness.results.records import (
    BootRecord,
    CellRecord,
    JournalLine,
    Manifest,
    MatrixRecord,
    Origin,
    PlatformRecord,
    Record,
    StackRecord,
)
from harness.results.store import MANIFEST, Store, opened, printable

__all__ = [  # the records are a bundle's too: who reads one need not know where they are defined
    "BootRecord",
    "Bundle",
    "CellRecord",
    "JournalLine",
    "Manifest",
    "MatrixRecord",
    "Origin",
    "PlatformRecord",
    "StackRecord",
    "invocation_name",
    "read",
    "read_journal",
    "read_manifest",
    "write_manifest",
]

JOURNAL = "journal.jsonl"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that was read and checked. `invocations` are the last attempts per cell and block, `ok` preferred."""

    manifest: Manifest
    journal: tuple[JournalLine, ...]
    invocations: tuple[CellResult, ...]
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""  # sha256 of the journal, which itself holds the sha256 of every invocation

    def boots(self) -> dict[int, int]:
        """Return block → number of its boot, an index into `manifest.origins` that counts from 1."""
        return {line.block: line.boot for line in self.journal}


def read(path: Path) -> Bundle:
    """Read and check a bundle's folder or zip; nothing is written.

    Raises BundleError, one line that names the file and the problem, for whatever is not as the format says. One
    thing is let pass with a warning: a last line of the journal that is cut, since an interrupted run leaves it.
    """
    with opened(path) as store:
        manifest = _manifest(store, path)
        raw = store.read(JOURNAL)
        journal, warnings = _journal(raw, path)
        invocations = [_invocation(store, line, path) for line in journal]
    _check_platforms(manifest, invocations, path)
    _check_boots(manifest, journal, path)
    told = (f"boot {number}: {line}" for number, boot in enumerate(manifest.boots, start=1) for line in boot.warnings)
    return Bundle(
        manifest=manifest,
        journal=journal,
        invocations=_chosen(invocations),
        warnings=(*warnings, *map(printable, told)),
        fingerprint=hashlib.sha256(raw).hexdigest(),
    )


def read_manifest(path: Path) -> Manifest:
    """Read and check only run.json of a bundle's folder or zip. Raises BundleError."""
    with opened(path) as store:
        return _manifest(store, path)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write run.json, whole or not at all. Raises OSError as the file system does."""
    write_json(folder / MANIFEST, manifest.dump())


def invocation_name(cell: str, block: int, attempt: int) -> str:
    """Return `<block>.<cell>.<attempt>` with `/` as `~`, as files of an invocation are named."""
    return f"{block}.{cell.replace('/', '~')}.{attempt}"


_R = TypeVar("_R", bound=Record)


def _manifest(store: Store, path: Path) -> Manifest:
    where = f"{path}: {MANIFEST}"
    data = _decoded(store.read(MANIFEST), where)
    version = data.get("schema") if isinstance(data, dict) else None
    if isinstance(version, int) and version != 1:
        raise BundleError(f"{where} has schema {version}, this version reads 1", "Use the version that wrote it")
    manifest = _validated(Manifest, data, where)
    _check_origin(manifest, where)
    for number, boot in enumerate(manifest.boots, start=1):
        _check_origin(boot, f"{where}, boots.{number}")
        _check_names(boot, f"{where}, boots.{number}")
    return manifest


def _check_origin(origin: Origin, where: str) -> None:
    _validated(MatrixRecord, origin.matrix, f"{where}, matrix")
    for name, stack in origin.stacks.items():
        _validated(StackRecord, stack, f"{where}, stacks.{printable(name)}")


def _check_names(boot: BootRecord, where: str) -> None:
    """What a run's platforms are called must lead back to them."""
    called = [boot.named(name) for name in boot.platforms]
    if not boot.names.keys() <= boot.platforms.keys() or len(set(called)) < len(called):
        raise BundleError(f"{where}: names does not map this run's platforms one to one")


def read_journal(folder: Path) -> tuple[JournalLine, ...]:
    """Read and check a folder's journal, which may be absent or cut at its end. Raises BundleError."""
    path = folder / JOURNAL
    return _journal(path.read_bytes(), folder)[0] if path.exists() else ()


def _journal(raw: bytes, path: Path) -> tuple[tuple[JournalLine, ...], tuple[str, ...]]:
    lines: list[JournalLine] = []
    warnings: list[str] = []
    whole, _, rest = raw.rpartition(b"\n")
    for number, text in enumerate(whole.split(b"\n") if whole else (), start=1):
        where = f"{path}: {JOURNAL}, line {number}"
        lines.append(_validated(JournalLine, _decoded(text, where), where))
    if rest:
        warnings.append(f"{JOURNAL}: the last line is cut, as an interrupted run leaves it; it was left out")
    _check_unique(((line.cell, line.block, line.attempt) for line in lines), path)
    return tuple(lines), tuple(warnings)


def _check_unique(keys: Iterable[tuple[str, int, int]], path: Path) -> None:
    seen: set[tuple[str, int, int]] = set()
    for key in keys:
        if key in seen:
            cell, block, attempt = key
            raise BundleError(f"{path}: {JOURNAL} has {printable(cell)}, block {block}, attempt {attempt} twice")
        seen.add(key)


def _invocation(store: Store, line: JournalLine, path: Path) -> CellResult:
    where = f"{path}: {printable(line.file)}"
    raw = store.read(line.file)
    if hashlib.sha256(raw).hexdigest() != line.sha256:
        raise BundleError(f"{where} is not what the journal says: its sha256 differs", "Copy the bundle again")
    try:
        result = CellResult.from_json(_decoded(raw, where))
    except (MessageError, OverflowError) as error:
        raise BundleError(f"{where}: {printable(str(error))}") from error
    _check_result(result, line, where)
    return result


def _check_result(result: CellResult, line: JournalLine, where: str) -> None:
    """A result must be the journal line's, and name its own cell consistently."""
    for name in ("cell", "block", "attempt", "status"):
        found, expected = getattr(result, name), getattr(line, name)
        if found != expected:
            problem = f"{where}: {name} is {printable(str(found))}, the journal says {printable(str(expected))}"
            raise BundleError(problem)
    if result.cell != f"{result.platform}/{result.stack}/{result.task}":
        raise BundleError(f"{where}: cell is {printable(result.cell)}, but platform, stack and task say otherwise")
    names = [(metric.name, tuple(sorted(metric.dims.items()))) for metric in result.metrics]
    if len(set(names)) < len(names):
        raise BundleError(f"{where}: a metric is there twice with the same dims")


def _check_platforms(manifest: Manifest, invocations: Sequence[CellResult], path: Path) -> None:
    for name in sorted({result.platform.removesuffix(SECOND_ARM) for result in invocations}):
        if name not in manifest.platforms:
            raise BundleError(f"{path}: {MANIFEST} has no platform {printable(name)}, but the journal has")


def _check_boots(manifest: Manifest, journal: Sequence[JournalLine], path: Path) -> None:
    """Each block belongs to one boot, and stands behind that boot's offset."""
    boots: dict[int, int] = {}
    for line in journal:
        if line.boot > len(manifest.origins):
            raise BundleError(f"{path}: {JOURNAL} names boot {line.boot}, {MANIFEST} has {len(manifest.origins)}")
        offset = manifest.boots[line.boot - 1].offset if manifest.boots else 0
        if boots.setdefault(line.block, line.boot) != line.boot or line.block <= offset:
            raise BundleError(f"{path}: {JOURNAL} has block {line.block} in boot {line.boot}, where it can't be")


def _chosen(attempts: Sequence[CellResult]) -> tuple[CellResult, ...]:
    """Return the attempt that counts of every cell and block: the last that is ok, else the last."""
    chosen: dict[tuple[str, int], CellResult] = {}
    for result in sorted(attempts, key=lambda each: (each.status == "ok", each.attempt)):
        chosen[result.cell, result.block] = result
    return tuple(sorted(chosen.values(), key=lambda each: (each.block, each.cell)))


def _decoded(raw: bytes, where: str) -> Any:  # noqa: ANN401 - JSON of unknown shape
    try:
        return decode(raw)
    except ValueError as error:
        raise BundleError(f"{where}: {printable(str(error))}") from error


def _validated(model: type[_R], data: object, where: str) -> _R:
    try:
        return model.model_validate(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise BundleError(f"{where}: {printable(place)}: {printable(first['msg'])}") from error
