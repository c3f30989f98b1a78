"""Runs tests of this checkout with a CPython for Windows under Wine."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.__main__ import FAILED
from tests.simulated.build import PREBUILT
from tests.windows.interpreter import Interpreter
from tests.windows.wine import Wine

ROOT = Path(__file__).resolve().parents[2]
AGENT = ("tests/agent", "--ignore=tests/agent/workloads/test_on_stacks.py", "-m", "not stack")
MEASURING = (*AGENT[:-1], "measures and not stack")
OTHERS = (*AGENT[:-1], "not measures and not stack")
# Of the controller what needs no library that Wine 8 does not load (pydantic's and numpy's).
CONTROLLER = ("tests/runner/test_process.py", "tests/test_exclusive.py")
OPTIONS = ("-o", r"cache_dir=C:\pytest", "--timeout=300", r"--basetemp=C:\tests")
AGAIN = "--last-failed"  # all, where a test that hung has ended pytest before it noted anything
SECONDS = 1800.0
ENDED = 3  # ours when pytest was ended


def say(line: str) -> None:
    """Show a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Where the tests run: Wine, a Python, and the folder of the simulated driver for Windows."""

    wine: Wine
    python: Interpreter
    driver: Path

    def environment(self) -> Mapping[str, str]:
        """Return the variables of a test process; a skip that nobody foresaw is a failure."""
        return {
            "PYTHONPATH": self.wine.path(ROOT),
            "PYTHONPYCACHEPREFIX": r"C:\bytecode",  # what pip starts, many times, is compiled once
            "OVERHEAD_MATRIX_NO_SKIPS": "1",
            "OVERHEAD_MATRIX_CACHE": r"C:\cache",
            PREBUILT: self.wine.path(self.driver),
        }

    def install_driver(self) -> None:
        """Put the simulated driver where Windows has the real one."""
        for library in self.driver.glob("*.dll"):
            shutil.copy(library, self.wine.system32 / library.name)

    def run(self, arguments: Sequence[str], log: Path) -> int:
        """Run pytest, its output on this process's; return its exit status, ENDED if it does not end by itself.

        Tests that fail run a second time: planted microseconds can be missed on a busy machine, and Wine adds its own.
        """
        status = self._pytest(arguments, log)
        return self._pytest([AGAIN, *arguments], log) if status == FAILED else status

    def _pytest(self, arguments: Sequence[str], log: Path) -> int:
        end = self.wine.run(
            [self.python.executable, "-m", "pytest", *OPTIONS, *arguments],
            timeout=SECONDS,
            log=log,
            environ=self.environment(),
            on_line=say,
            cwd=ROOT,
        )
        if end.code not in (0, FAILED):  # more than a test that failed: what was said of it is on stderr
            say(log.read_text(encoding="utf-8")[-4000:])
        if end.code is None:
            say(f"the tests did not end by themselves: {end}")
        return ENDED if end.code is None else end.code
