"""Which invocations are left out of the statistics: for a stated cause alone, never for their values.

A cell that failed has no place in them anyway (its status says why). Of those that measured, an invocation is left out
for a mark that its own telemetry carries (`harness.agent.telemetry.marks`): hardware lowered a GPU's clock, or a GPU
counted memory errors meanwhile. It stays in the bundle, and the report lists it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from harness.agent.messages import CellResult
from harness.analysis.model import Exclusion
from harness.matrix.cells import SECOND_ARM

CAUSES = ("throttled", "ecc")  # names of marks; a power cap and a contended processor are shown, no more
MEASURED = frozenset({"ok", "limited"})  # the statuses that have samples


def cause(result: CellResult) -> str:
    """Return why a result is left out, "" where it is not; telemetry of another form is no cause."""
    marks = result.telemetry.get("marks", ())
    for mark in marks if isinstance(marks, list | tuple) else ():
        if isinstance(mark, Mapping) and mark.get("name") in CAUSES:
            return f"{mark['name']}: {mark.get('rule', 'marked so')}"
    return ""


def counts(result: CellResult) -> bool:
    """Whether the samples of a result are part of the statistics."""
    return result.status in MEASURED and not cause(result)


def exclusions(invocations: Iterable[CellResult]) -> tuple[Exclusion, ...]:
    """Return what is left out of the results that measured."""
    return tuple(
        Exclusion(
            platform=result.platform,
            stack=result.stack,
            task=result.task,
            device=result.device,
            block=result.block,
            attempt=result.attempt,
            cause=found,
        )
        for result in invocations
        if result.status in MEASURED and (found := cause(result))
    )


def exclusion_warnings(left_out: Iterable[Exclusion]) -> Iterator[str]:
    """Yield a line for each platform, task and cause."""
    counted = Counter((each.platform.removesuffix(SECOND_ARM), each.task, each.cause) for each in left_out)
    for (platform, task, why), number in sorted(counted.items()):
        noun = "invocation is" if number == 1 else "invocations are"
        yield f"{platform}, {task}: {number} {noun} left out ({why})"
