"""A bundle: one run's manifest, journal and invocations, as a folder or a zip. Formats are fixed by the design."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from harness.agent.messages import CellResult, MessageError, Status, write_json
from harness.errors import BundleError
from harness.matrix.cells import SECOND_ARM
from harness.results.decode import decode
from harness.results.store import MANIFEST, Store, opened, printable

JOURNAL = "journal.jsonl"
MAX_COUNT = 10**6  # blocks and attempts: far more than any run has


def _rfc3339(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    return text


Count = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Time = Annotated[str, AfterValidator(_rfc3339)]


class _Record(BaseModel):
    """Base: immutable; fields of later versions are kept. Files are validated strictly: no type is coerced."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    def dump(self) -> dict[str, Any]:
        """Return the plain data that stand in the bundle's file."""
        return self.model_dump(mode="json", by_alias=True)


class PlatformRecord(_Record):
    """One platform in the manifest."""

    kind: str
    available: bool
    reason: str = ""
    inspection: dict[str, Any] = {}


class BlockRange(_Record):
    """How many rounds a run makes."""

    min: Count
    max: Count


class CellRecord(_Record):
    """One planned cell; `id` is that of journal and invocations."""

    id: str
    platform: str
    stack: str
    task: str
    entry: str = ""
    device: str = "cpu"
    arm: int = 1


class MatrixRecord(_Record):
    """The manifest's `matrix`: what the run was to do. `precision` is relative, 0.02 = 2%; `budget` seconds."""

    baseline: str
    profile: str = ""
    blocks: BlockRange | None = None
    precision: Annotated[float, Field(gt=0, lt=10)] | None = None
    budget: Annotated[float, Field(ge=0, le=1e9)] | None = None
    looks: list[Count] = []  # the blocks after which precision may stop a task; empty: it never does
    cells: list[CellRecord] = []


class StackRecord(_Record):
    """One stack in the manifest; `platforms` holds what each platform reported when it installed the stack."""

    lock_sha256: str = ""
    platforms: dict[str, dict[str, Any]] = {}


class Manifest(_Record):
    """run.json. Fields are added, never renamed; unknown ones are kept."""

    schema_version: Literal[1] = Field(alias="schema")
    run_id: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,199}$")  # also the name of a folder
    created: Time
    tool_version: str
    seed: int
    matrix: dict[str, Any]  # as expanded; `plan` is its checked form
    host: dict[str, Any]
    boot_id: str
    gpus: list[dict[str, Any]]
    platforms: dict[str, PlatformRecord]
    stacks: dict[str, dict[str, Any]] = {}  # `StackRecord` is its checked form

    @property
    def plan(self) -> MatrixRecord:
        """The checked form of `matrix`; raises ValidationError where it is wrong (`read` has checked it)."""
        return MatrixRecord.model_validate(self.matrix)


class JournalLine(_Record):
    """One attempt of an invocation."""

    block: Count
    cell: str
    attempt: Count
    status: Status
    reason: str
    started: Time
    seconds: float = Field(ge=0, le=1e9)
    file: str  # relative to the bundle
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that was read and checked. `invocations` are the last attempts per cell and block, `ok` preferred."""

    manifest: Manifest
    journal: tuple[JournalLine, ...]
    invocations: tuple[CellResult, ...]
    warnings: tuple[str, ...] = ()
    fingerprint: str = ""  # sha256 of the journal, which itself holds the sha256 of every invocation


def read(path: Path) -> Bundle:
    """Read and check a bundle's folder or zip; nothing is written.

    Raises BundleError, one line that names the file and the problem, for whatever is not as the design says. One
    thing is let pass with a warning: a last line of the journal that is cut, since an interrupted run leaves it.
    """
    with opened(path) as store:
        manifest = _manifest(store, path)
        raw = store.read(JOURNAL)
        journal, warnings = _journal(raw, path)
        invocations = [_invocation(store, line, path) for line in journal]
    _check_platforms(manifest, invocations, path)
    return Bundle(
        manifest=manifest,
        journal=journal,
        invocations=_chosen(invocations),
        warnings=warnings,
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


_R = TypeVar("_R", bound=_Record)


def _manifest(store: Store, path: Path) -> Manifest:
    where = f"{path}: {MANIFEST}"
    data = _decoded(store.read(MANIFEST), where)
    version = data.get("schema") if isinstance(data, dict) else None
    if isinstance(version, int) and version != 1:
        raise BundleError(f"{where} has schema {version}, this version reads 1", "Use the version that wrote it")
    manifest = _validated(Manifest, data, where)
    _validated(MatrixRecord, manifest.matrix, f"{where}, matrix")
    for name, stack in manifest.stacks.items():
        _validated(StackRecord, stack, f"{where}, stacks.{printable(name)}")
    return manifest


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
