"""The way into a distribution of WSL2, and what it costs to go in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.agent.inspection.facts import Fact
from harness.errors import PlatformError
from harness.platforms.linux_host import PYTHON
from harness.platforms.wsl_command import PROGRAM, WslCommand, decoded
from harness.platforms.wsl_errors import explained
from harness.runner import process

STARTS = 5  # bare starts that the cost of a start is the median of
START_SECONDS = 300.0  # for a cold start: the virtual machine, systemd, a slow disk
CHECK_SECONDS = 30.0
OLD = 64
IS_OLD = f"import sys;sys.exit({OLD}*(sys.version_info<(3,10)))"


@dataclass(frozen=True, kw_only=True)
class WslDoor:
    """A distribution. `label` is the platform's name."""

    label: str
    distribution: str
    command: WslCommand

    def argv(self, command: Sequence[str]) -> tuple[str, ...]:
        """Return the call of wsl.exe that starts `command` in the distribution."""
        return self.command.inside(self.distribution, command)

    def environment(self) -> Mapping[str, str]:
        """Return what makes wsl.exe speak UTF-8."""
        return self.command.environment()

    def decode(self, data: bytes) -> str:
        """Return output of wsl.exe, or of the program that it started."""
        return decoded(data)

    def failure(self, output: str) -> PlatformError:
        """Return what the output means; where wsl.exe itself has said nothing, the Python there is looked at."""
        error = explained(output, self.distribution) if "Wsl/" in output else self._without_python(output)
        return PlatformError(f"{self.label}: {error.problem}", error.remedy)

    def stopped(self, output: str) -> PlatformError:
        """Return the error of a distribution that went away under a task."""
        if "Wsl/" in output:
            return self.failure(output)
        return PlatformError(
            f"{self.label}: the distribution {self.distribution} was stopped while the task ran",
            "It is started again for the next one. What stops it: `wsl --terminate`, `wsl --shutdown`, an update of "
            "WSL, Windows going to sleep.",
        )

    def start_costs(self, state: str) -> dict[str, Fact]:
        """Start nothing in the distribution, cold if it is stopped, then warm; return the seconds as facts.

        Raises PlatformError.
        """
        source = f"{PROGRAM} --exec true, {{}}"
        first = self._bare_start()
        warm = statistics.median(self._bare_start() for _ in range(STARTS))
        cold: Fact = {"value": first, "source": source.format("once")}
        if state != "Stopped":
            cold = {"value": None, "source": source.format("once"), "error": "the distribution was running"}
        return {
            "wsl.start_cold_seconds": cold,
            "wsl.start_warm_seconds": {"value": warm, "source": source.format(f"median of {STARTS}")},
        }

    def _bare_start(self) -> float:
        began = time.perf_counter()
        done = self.run("true", timeout=START_SECONDS)
        seconds = time.perf_counter() - began
        if done.code != 0:
            error = explained(f"{done.stdout}\n{done.stderr}", self.distribution)
            raise PlatformError(f"{self.label}: {error.problem}", error.remedy)
        return seconds

    def _without_python(self, output: str) -> PlatformError:
        found = self.run(PYTHON, "-I", "-c", IS_OLD)
        if found.code == 0:
            return explained(output, self.distribution)
        if "Wsl/" in found.stdout:
            return explained(found.stdout, self.distribution)
        wrong = f"the {PYTHON} in {self.distribution} is older than 3.10"
        if found.code != OLD:
            wrong = f"there is no {PYTHON} in {self.distribution}"
        return PlatformError(wrong, f"Install one: `wsl -d {self.distribution} -u root apt install python3`.")

    def run(self, *argv: str, timeout: float = CHECK_SECONDS) -> process.Completed:
        """Run a short program in the distribution. Raises PlatformError if wsl.exe can't be started or hangs."""
        return process.capture(self.argv(argv), timeout=timeout, env=self.environment(), decode=decoded)
