"""What a platform could or could not do: whole platforms that are not there, and cells that did not end `ok`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from harness.agent.messages import CellResult
from harness.analysis.boots import elsewhere
from harness.analysis.model import Capability
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle

BATCH = "batch_size"
PLATFORM = "platform"  # what a row is about when it is the platform itself


def capabilities(bundle: Bundle) -> tuple[Capability, ...]:
    """Return one row for each unavailable platform, and for each platform, stack, task and status that is not ok.

    Both arms of the baseline and all blocks of a cell share a row; its reason is the first one given, and says in
    how many blocks it was so where others went well. Cells of an unavailable platform are in the platform's row. What
    one boot lacks and another system's boot has is no gap. What was out of memory has as its value the largest batch of
    the same workload that ran on the platform, where several were asked for.
    """
    records = bundle.manifest.platforms
    gone = {name: record.reason for name, record in sorted(records.items()) if not record.available}
    rows = [_row(name, PLATFORM, "unavailable", reason) for name, reason in gone.items()]
    cells: dict[tuple[str, str], list[CellResult]] = defaultdict(list)
    numbers, skipped = bundle.boots(), elsewhere(bundle.manifest)
    for result in bundle.invocations:
        platform = result.platform.removesuffix(SECOND_ARM)
        if platform not in gone and (numbers[result.block], platform) not in skipped:
            cells[platform, f"{result.stack}/{result.task}"].append(result)
    batches = _largest_batches(bundle.invocations)
    for (platform, what), results in sorted(cells.items()):
        rows.extend(_of_cell(platform, what, results, batches.get((platform, *_workload(results[0])))))
    return tuple(rows)


def _largest_batches(invocations: Sequence[CellResult]) -> dict[tuple[str, str, str], int]:
    """Return platform, stack and entry → the largest batch with which that workload ran."""
    largest: dict[tuple[str, str, str], int] = {}
    for result in invocations:
        batch = result.params.get(BATCH)
        if result.status == "ok" and isinstance(batch, int):
            key = (result.platform.removesuffix(SECOND_ARM), *_workload(result))
            largest[key] = max(batch, largest.get(key, 0))
    return largest


def _workload(result: CellResult) -> tuple[str, str]:
    return result.stack, result.task.partition("[")[0]


def _of_cell(platform: str, what: str, results: Sequence[CellResult], largest_batch: int | None) -> list[Capability]:
    by_status: dict[str, list[CellResult]] = defaultdict(list)
    for result in results:
        by_status[result.status].append(result)
    by_status.pop("ok", None)
    return [
        _row(platform, what, status, _reason(those, of=len(results)), largest_batch if status == "oom" else None)
        for status, those in sorted(by_status.items())
    ]


def _reason(those: Sequence[CellResult], *, of: int) -> str:
    share = f" ({len(those)} of {of} invocations)" if len(those) < of else ""
    return f"{those[0].reason}{share}"


def _row(platform: str, what: str, status: str, reason: str, largest_batch: int | None = None) -> Capability:
    reached = "" if largest_batch is None else f"; {BATCH} {largest_batch} is the largest that ran"
    return Capability(platform=platform, what=what, status=status, value=largest_batch, reason=reason + reached)
