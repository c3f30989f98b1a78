"""A stand-in for native Windows: the real runner starts the real agent in a Windows Python under Wine.

Whatever it measures is Wine's and this Linux's. The inspection says so (`windows.stand_in`, from ntdll itself), and so
does the platform (`wine.stand_in`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from harness import pack
from harness.agent.inspection.facts import Fact
from harness.agent.messages import Location
from harness.platforms.agent_call import agent_arguments, write_spec
from harness.platforms.base import RUNNABLE, Availability, Ending, Job, Prepared
from harness.stacks import Stack
from tests.windows.suite import Suite

DRIVER = "driver"  # the one stack without wheels
NO_WHEELS = "frameworks do not run under Wine 8"
VARIABLE = "SIMULATED_GPU"


class WinePlatform:
    """Keeps the protocol of a platform; its kind is `native`, since that is the code that it stands in for."""

    kind: Literal["native"] = "native"

    def __init__(self, name: str, suite: Suite, *, scratch: Path, settings: str) -> None:
        """`settings` are the simulated driver's."""
        self.name = name
        self._suite = suite
        self._scratch = scratch / name
        self._settings = settings

    def availability(self) -> Availability:
        """It runs."""
        return RUNNABLE

    def offers(self, stack: Stack, device: str) -> Availability:
        """The stack without a framework, on CPU and GPU."""
        if stack.name == DRIVER:
            return RUNNABLE
        return Availability(runnable=False, reason=f"{self.name}: {NO_WHEELS}")

    def prepare(self, stack: Stack, progress: Callable[[str], None]) -> Prepared:
        """Make the folder of the location."""
        (self._scratch / "host").mkdir(parents=True, exist_ok=True)
        return Prepared(provenance={"interpreter": f"Windows CPython {self._suite.python.release.python} under Wine"})

    def facts(self) -> Mapping[str, Fact]:
        """That it is a stand-in."""
        return {"wine.stand_in": {"value": "Wine instead of Windows", "source": "tests"}}

    def locations(self) -> tuple[Location, ...]:
        """One folder of this machine, by its Windows path."""
        return (Location(name="host", path=self._suite.wine.path(self._scratch / "host")),)

    def resources(self, resources: Mapping[str, Path]) -> Mapping[str, str]:
        """The same files by their Windows paths."""
        return {name: self._suite.wine.path(path) for name, path in resources.items()}

    def launch(self, job: Job, *, verb: str = "run", resources: Mapping[str, Path] | None = None) -> Ending:
        """Run the packed agent in python.exe."""
        write_spec(job)
        python = self._suite.python
        end = self._suite.wine.run(
            [python.executable, "-I", *agent_arguments(job, self._suite.wine.path(pack.agent_archive()), verb)],
            cwd=job.folder,
            environ={VARIABLE: self._settings},
            timeout=job.timeout,
            on_line=job.on_line,
            log=job.log,
        )
        return Ending(exit_code=end.code, signal=end.signal, timed_out=end.timed_out, oom=end.oom, seconds=end.seconds)

    def close(self) -> None:
        """The run removes its folder."""
