"""Reports as they are handed in: report.json read and checked whole, since it may come from anywhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.analysis.document import SCHEMA, ClaimRecord, ComparisonRecord, Document
from harness.errors import UsageError
from harness.report.build import DOCUMENT
from harness.results.decode import decode
from harness.results.store import MAX_FILE_BYTES, is_name, printable

FINGERPRINT = re.compile(r"[0-9a-f]{64}")
SIGNS = 16  # of a fingerprint: what a report's URL is made of
AGAIN = "Make it again: `report BUNDLE…`"


def read_reports(paths: Sequence[Path]) -> list[Document]:
    """Return the documents of these reports' folders, each once; of a page of several machines, all machines'.

    Raises UsageError, one line that names the file, for what is no report of this version or there twice.
    """
    found: dict[str, tuple[Path, Document]] = {}
    for path in paths:
        for place, document in _read(path):
            name = name_of(document)
            if name in found:
                raise UsageError(f"{found[name][0]} and {place} are of the same data", "Name one of them")
            found[name] = place, document
    return [document for _, document in found.values()]


def name_of(document: Document) -> str:
    """The stable part of a report's URL: the data name it, so a page made anew keeps its place."""
    return document["run"]["fingerprint"][:SIGNS]


def _read(path: Path) -> Iterator[tuple[Path, Document]]:
    data = _decoded(path)
    machines = data.get("machines") if isinstance(data, dict) else None
    if machines is None:
        yield path, _checked(data, path)
        return
    if not isinstance(machines, list) or not machines:
        raise _unsound(path, "a page of machines without any")
    for machine in machines:
        folder = machine.get("folder") if isinstance(machine, dict) else None
        if not isinstance(folder, str) or not is_name(folder) or "/" in folder:
            raise _unsound(path, "a machine without its folder")
        yield path / folder, _checked(_decoded(path / folder), path / folder)


def _decoded(path: Path) -> Any:  # noqa: ANN401 - JSON of unknown shape
    file = path / DOCUMENT
    if not file.is_file():
        raise UsageError(f"{path}: no report: it has no {DOCUMENT}", "Name the folder that `report` wrote")
    if file.stat().st_size > MAX_FILE_BYTES:
        raise _unsound(path, f"more than {MAX_FILE_BYTES // 2**20} MiB")
    try:
        return decode(file.read_bytes())
    except ValueError as error:
        raise _unsound(path, str(error)) from error


def _checked(data: object, path: Path) -> Document:
    if isinstance(data, dict) and data.get("schema") != SCHEMA:
        raise _unsound(path, f"schema {data.get('schema')}, this version reads {SCHEMA}")
    try:
        document = _adapter().validate_python(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        raise _unsound(path, f"{'.'.join(map(str, first['loc'])) or 'the whole'}: {first['msg']}") from error
    if problem := _problem(document):
        raise _unsound(path, problem)
    return document


def _problem(document: Document) -> str:
    """Say what the page or the site could not work with though its type is right; "" where all is well."""
    run, number = document["run"], len(document["comparisons"])
    if not FINGERPRINT.fullmatch(run["fingerprint"]):
        return "run.fingerprint: not the sha256 of a journal"
    if not _is_time(run["created"]):
        return "run.created: not a time with its offset from UTC"
    if not all(map(_is_sound, document["comparisons"])):
        return "comparisons: a slowdown that is not above 0, or an interval or boots that are not two"
    if not all(each["comparison"] is None or 0 <= each["comparison"] < number for each in document["headlines"]):
        return "headlines: a comparison that is not there"
    return next(filter(None, (_problem_of(each, number) for each in document["claims"])), "")


def _problem_of(claim: ClaimRecord, number: int) -> str:
    if not all(0 <= index < number for index in _named_by(claim)):
        return "claims: a comparison that is not there"
    return "" if len(claim["largest_ci95"]) == 2 else "claims: an interval that is not two"


def _named_by(claim: ClaimRecord) -> Iterator[int]:
    """Yield the comparisons that a claim and its parts name."""
    for each in (claim, *claim["parts"]):
        yield from each["comparisons"]
        if each["decisive"] is not None:
            yield each["decisive"]


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _is_sound(record: ComparisonRecord) -> bool:
    bounds = [bound for bound in (record["slowdown"], *record["ci95"]) if bound is not None]
    return min(bounds) > 0 and {len(record["ci95"]), len(record["noise_ci95"]), len(record["boots"])} == {2}


@cache
def _adapter() -> TypeAdapter[Document]:
    return TypeAdapter(Document)


def _unsound(path: Path, problem: str) -> UsageError:
    return UsageError(f"{path / DOCUMENT} is no report of this version: {printable(problem)}", AGAIN)
