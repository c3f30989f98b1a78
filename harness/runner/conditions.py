"""Whether a resumed run would go on under the conditions it began with; if not, it is refused.

A ratio of blocks that were measured under different conditions means nothing, and no reader could see it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness import __version__, pack
from harness.agent.privacy import without_person
from harness.errors import PlatformError, UsageError
from harness.results.bundle import JournalLine, Manifest
from harness.runner.prepare import Bench, Readiness

if TYPE_CHECKING:
    from harness.runner.run import Run

SAME_AGENT = "agent_sha256"  # the field of run.json
SAME = (
    "interpreter",
    "wheels_sha256",
    "image_id",
    "base_id",
    "accelerator",
)  # of what `prepare` reports, where it reports them
NEW_RUN = "Restore that, or start a new run"


def check_stacks(run: Run, work: Bench) -> None:
    """Raise UsageError where the harness or a lock file has changed since the run began. Quick."""
    if run.manifest is None:
        return
    _same(run.manifest, "the harness's version", run.manifest.tool_version, __version__)
    agent = getattr(run.manifest, SAME_AGENT, None)
    if agent is not None:
        _same(run.manifest, "the agent", agent, pack.agent_digest(pack.agent_archive()))
    for name, stack in work.stacks.items():
        before = run.manifest.stacks.get(name, {}).get("lock_sha256", stack.lock_sha256)
        _same(run.manifest, f"the lock file of stack {name}", before, stack.lock_sha256)


def check_conditions(run: Run, ready: Readiness, lines: Sequence[JournalLine]) -> None:
    """Raise UsageError where an installation has changed, PlatformError where what was measured can't run now."""
    if run.manifest is None:
        return
    for name, platforms in ready.provenance.items():
        recorded: Mapping[str, Any] = run.manifest.stacks.get(name, {}).get("platforms", {})
        for platform, now in platforms.items():
            before = recorded.get(platform, {})
            for key in SAME:
                if key in before:
                    _same(run.manifest, f"{platform}/{name}: {key}", before[key], now.get(key))
    measured = {line.cell for line in lines if line.status in {"ok", "limited"}}
    for cell in sorted(measured & ready.refused.keys()):
        problem = f"--resume {run.run_id}: {cell} was measured before and can't run now: {ready.refused[cell].reason}"
        raise PlatformError(problem, "Mend that and resume again; without it the blocks would not be complete")


def _same(manifest: Manifest, what: str, before: object, now: object) -> None:
    if without_person(str(before)) != without_person(str(now)):  # as the bundle has it
        problem = f"--resume {manifest.run_id}: {what} is {str(now)[:80]} now and was {str(before)[:80]} when it began"
        raise UsageError(problem, NEW_RUN)
