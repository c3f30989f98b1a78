"""A bundle: one run's manifest, journal and invocations, as a folder or a zip. Formats are fixed by the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from harness.agent.messages import CellResult, Status


class PlatformRecord(BaseModel):
    """One platform in the manifest."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str
    available: bool
    reason: str = ""
    inspection: dict[str, Any] = {}


class Manifest(BaseModel):
    """run.json. Fields are added, never renamed; unknown ones are kept."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    schema_version: int  # alias "schema"
    run_id: str
    created: str
    tool_version: str
    seed: int
    matrix: dict[str, Any]  # as expanded: baseline, profile, blocks, precision, cells…
    host: dict[str, Any]
    boot_id: str
    gpus: list[dict[str, Any]]
    platforms: dict[str, PlatformRecord]
    stacks: dict[str, dict[str, Any]] = {}  # added field: lock digest, variant, per-platform provenance


class JournalLine(BaseModel):
    """One attempt of an invocation."""

    model_config = ConfigDict(frozen=True, extra="allow")

    block: int
    cell: str
    attempt: int
    status: Status
    reason: str
    started: str  # RFC 3339
    seconds: float
    file: str  # relative to the bundle
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A bundle that was read and checked. `invocations` are the last attempts per cell and block, `ok` preferred."""

    manifest: Manifest
    journal: tuple[JournalLine, ...]
    invocations: tuple[CellResult, ...]
    warnings: tuple[str, ...] = ()


def read(path: Path) -> Bundle:
    """Read a bundle folder or zip. Raises BundleError."""
    raise NotImplementedError


def invocation_name(cell: str, block: int, attempt: int) -> str:
    """Return `<block>.<cell>.<attempt>` with `/` as `~`, as files of an invocation are named."""
    return f"{block}.{cell.replace('/', '~')}.{attempt}"


def metric_key(dims: Mapping[str, Any]) -> str:
    """Return a stable text for a set of dims."""
    return ",".join(f"{name}={dims[name]}" for name in sorted(dims))
