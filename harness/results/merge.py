"""Several runs of one machine as one bundle: each boot is a replicate, and nothing of any run is lost.

A merged bundle depends on which runs it holds and on nothing else: runs are put in the order of their creation (UTC),
and a merged bundle is taken apart into its runs before it is merged again. So merging is associative and commutative,
to the byte. No computation depends on the clock: `created` only numbers the boots.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import Path

from harness.errors import BundleError, UsageError
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import JOURNAL, Bundle, invocation_name, read, read_manifest
from harness.results.decode import decode
from harness.results.machine import UNPROVEN, Machine, difference, machine
from harness.results.naming import combined
from harness.results.records import MAX_COUNT, BootRecord, JournalLine, Origin
from harness.results.store import MANIFEST, Store, is_name, opened, printable
from harness.results.target import Writer, created

MERGED = "merged-"  # what a merged bundle's run_id begins with


@dataclass(frozen=True, kw_only=True)
class Source:
    """One run where it lies: in the bundle at `path`, its own or a merged one. `lines` are as they stand there."""

    path: Path
    record: BootRecord
    lines: tuple[JournalLine, ...]

    @property
    def last(self) -> int:
        """The number of its last block, counted as in its own bundle."""
        return max((line.block - self.record.offset for line in self.lines), default=0)


def merge(paths: Sequence[Path], out: Path, *, same: bool = False) -> Path:
    """Merge bundles of one machine into the new bundle `out`, a zip where its name ends in `.zip`; return it.

    `same` is the user's word that bundles without a GPU are of one machine. The inputs are only read. Raises
    BundleError for what is no bundle, for different machines and for a run that is there twice; UsageError for a name
    that is taken or lies inside an input; ResultsError where the result can't be written.
    """
    if len(paths) < 2:
        raise UsageError("merge: one bundle is nothing to merge", "Name those of at least two boots")
    for path in paths:
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise UsageError(f"{out} lies inside {path}, and no bundle is ever changed", "Name another place with -o")
    sources = [source for path in paths for source in sources_of(path)]
    check_mergeable(sources, same=same)
    with created(out) as target:
        _write(sources, target)
    return out


@contextmanager
def merged(paths: Sequence[Path], *, same: bool = False) -> Iterator[Bundle]:
    """Yield the one bundle that these make, for as long as it takes to analyse it; raises as `merge` does."""
    if len(paths) == 1:
        yield read(paths[0])
        return
    with tempfile.TemporaryDirectory(prefix="overhead-matrix-", ignore_cleanup_errors=True) as folder:
        yield read(merge(paths, Path(folder) / "merged", same=same))


def sources_of(path: Path) -> list[Source]:
    """Read a bundle, check it whole, and return the runs in it."""
    bundle = read(path)
    return [
        Source(path=path, record=record, lines=tuple(line for line in bundle.journal if line.boot == number))
        for number, record in enumerate(_records(bundle), start=1)
    ]


def check_mergeable(sources: Sequence[Source], *, same: bool) -> None:
    """Raise BundleError, naming both bundles and the difference, unless all are different runs of one machine."""
    _check_once([(source.record.run_id, source.path) for source in sources])
    for one, other in combinations(sources, 2):
        found = difference(machine(one.record), machine(other.record), same=same)
        if found:
            problem = f"{one.path} and {other.path} are not known to be of one machine: {printable(found)}"
            raise BundleError(problem, remedy(found))


def by_machine(paths: Sequence[Path], *, same: bool = False) -> list[list[Path]]:
    """Group bundles by the machine that they are of, in the order given. Raises BundleError for a run there twice."""
    groups: list[tuple[Machine, list[Path]]] = []
    manifests = [read_manifest(path) for path in paths]
    _check_once([(run.run_id, path) for each, path in zip(manifests, paths, strict=True) for run in each.origins])
    for path, manifest in zip(paths, manifests, strict=True):
        here = machine(manifest)
        known = next((group for there, group in groups if not difference(there, here, same=same)), None)
        if known is None:
            groups.append((here, [path]))
        else:
            known.append(path)
    return [group for _, group in groups]


def is_proven(paths: Sequence[Path]) -> bool:
    """Whether these bundles are known to be of different machines, each of another than every other."""
    machines = [machine(read_manifest(path)) for path in paths]
    return all(difference(one, other, same=False) != UNPROVEN for one, other in combinations(machines, 2))


def remedy(found: str) -> str:
    """What to do about a difference between machines."""
    if found == UNPROVEN:
        return "If it is one, say so with --same-machine"
    return "Different machines are never merged; `report` sets them side by side"


def merged_id(runs: Sequence[Origin]) -> str:
    """Return the run_id of these runs' merged bundle: the same for the same runs."""
    ids = sorted(run.run_id for run in runs)
    return MERGED + hashlib.sha256("\n".join(ids).encode()).hexdigest()[:12]


def _check_once(runs: Sequence[tuple[str, Path]]) -> None:
    found: dict[str, Path] = {}
    for run, path in runs:
        if run in found:
            where = f"{found[run]} and {path}" if found[run] != path else f"{path}, twice"
            raise BundleError(f"run {run} is in {where}", "Name every run once")
        found[run] = path


def _records(bundle: Bundle) -> list[BootRecord]:
    if bundle.manifest.boots:
        return bundle.manifest.boots
    own = {name: value for name, value in bundle.manifest.dump().items() if name != "boots"}
    place = {"offset": 0, "names": {}, "fingerprint": bundle.fingerprint, "warnings": list(bundle.warnings)}
    return [BootRecord.model_validate(own | place)]


def _write(sources: Sequence[Source], target: Writer) -> None:
    ordered = sorted(sources, key=lambda source: (datetime.fromisoformat(source.record.created), source.record.run_id))
    manifest = combined(
        [source.record for source in ordered], _offsets(ordered), merged_id([s.record for s in ordered])
    )
    lines = []
    for number, (source, record) in enumerate(zip(ordered, manifest.boots, strict=True), start=1):
        with opened(source.path) as store:
            lines += [_moved(line, number, source.record, record, store, target) for line in source.lines]
    target.write(JOURNAL, "".join(f"{json.dumps(line.dump(), ensure_ascii=False)}\n" for line in lines).encode())
    target.write(MANIFEST, json.dumps(manifest.dump()).encode())


def _offsets(sources: Sequence[Source]) -> list[int]:
    offsets = [0]
    for source in sources:
        offsets.append(offsets[-1] + source.last)
    if offsets[-1] > MAX_COUNT:
        raise BundleError(f"these bundles have more than {MAX_COUNT} blocks together", "Merge fewer of them")
    return offsets[:-1]


def _moved(
    line: JournalLine, number: int, old: BootRecord, new: BootRecord, store: Store, target: Writer
) -> JournalLine:
    """Write one attempt with its log under its new block and platform; return its line."""
    block = line.block - old.offset + new.offset
    arm, _, rest = line.cell.partition("/")
    platform = arm.removesuffix(SECOND_ARM)
    arm = new.named(old.original(platform)) + arm.removeprefix(platform)
    cell = f"{arm}/{rest}"
    before = invocation_name(line.cell, line.block, line.attempt)
    after = invocation_name(cell, block, line.attempt)
    if not is_name(after):
        raise BundleError(f"{printable(line.cell)} can't be part of a file's name")
    data = decode(store.read(line.file)) | {"cell": cell, "platform": arm, "block": block}
    content = json.dumps(data).encode()
    file = f"invocations/{after}.json"
    target.write(file, content)
    if store.has(f"logs/{before}.log"):
        target.write(f"logs/{after}.log", store.read(f"logs/{before}.log"))
    digest = hashlib.sha256(content).hexdigest()
    changes = {"block": block, "cell": cell, "file": file, "sha256": digest, "boot": number}
    return line.model_copy(update=changes)
