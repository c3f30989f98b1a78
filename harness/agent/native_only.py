"""What probes share whose loops exist in machine code only: an interpreter would measure itself."""

from __future__ import annotations

from collections.abc import Iterable

from harness.agent import helper
from harness.agent.loops import instrument
from harness.agent.messages import Metric
from harness.agent.task import Outcome, Unavailable, Unsupported


def require(task: str, *needs: str) -> helper.NativeHelper:
    """Return the native helper; raise Unavailable where there is none, Unsupported where it lacks one of `needs`."""
    loaded = helper.load()
    if loaded is None:
        raise Unavailable(f"{task} needs the native helper: build it with `nox -s native`")
    if not all(loaded.offers(name) for name in needs):
        raise Unsupported(f"{task} has no loop for this operating system yet: leave it out of the profile")
    return loaded


def outcome(loaded: helper.NativeHelper, found: Iterable[Metric | str]) -> Outcome:
    """Return what a probe found: metrics, and as warnings what must be said, such as why a value is missing."""
    found = list(found)
    metrics = [each for each in found if isinstance(each, Metric)]
    said = dict.fromkeys(each for each in found if isinstance(each, str))
    if not metrics:
        raise Unavailable("; ".join(said))
    return Outcome(metrics=(*metrics, *instrument(loaded)), versions=loaded.versions, warnings=tuple(said))
