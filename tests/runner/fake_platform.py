"""A fake platform: keeps the protocol, measures nothing. Its launches answer at once, as the test scripts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from harness.agent.inspection.facts import Fact
from harness.agent.messages import CellResult, Location, Metric, Progress, to_json, write_json
from harness.platforms.base import RUNNABLE, Availability, Ending, Job, Prepared
from harness.stacks import Stack

Script = Callable[[Job], Ending]


def answer(job: Job) -> Ending:
    """End well, with one metric of three samples."""
    metric = Metric(name="fake_seconds", unit="s", better="lower", samples=(1.0, 1.1, 0.9), warmup=1)
    job.on_line(Progress(done=1, total=1, note="faking").line())
    write_json(job.result, to_json(CellResult.of(job.spec, "ok", metrics=(metric,))))
    return Ending(exit_code=0, seconds=0.01)


class FakePlatform:
    """A platform whose every launch is the test's script; it remembers what was launched."""

    def __init__(self, name: str = "native", script: Script = answer, here: Availability = RUNNABLE) -> None:
        self.name = name
        self.kind = "native"
        self.script = script
        self.here = here
        self.launched: list[tuple[int, str]] = []

    def availability(self) -> Availability:
        return self.here

    def offers(self, stack: Stack, device: str) -> Availability:
        return RUNNABLE

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        return Prepared()

    def facts(self) -> Mapping[str, Fact]:
        return {"fake.stand_in": {"value": "a fake platform", "source": "tests"}}

    def locations(self) -> tuple[Location, ...]:
        return ()

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:
        return {name: str(path) for name, path in resources.items()}

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:
        self.launched.append((job.spec.block, job.spec.cell))
        return self.script(job)

    def close(self) -> None:
        """There is nothing to remove."""
