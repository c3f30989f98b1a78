"""Checks the agent on Windows, as far as Wine goes: `python -m tests.windows [3.10|3.13] [pytest's arguments]`.

Builds the native helper and the simulated driver for Windows, fetches a real CPython for Windows, runs the agent's
tests in it and then the smoke profile, whose bundle must say that it comes from a stand-in. With 3.13 it is the tests
of the controller that starts and ends processes; with arguments it is what they say. Exit status 0 only if all passed;
a skip that is not foreseen is a failure. Needs the Debian packages wine and wine64 and the Python package ziglang.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness import native
from harness.cache import cache_dir
from tests.simulated.build import windows_libraries
from tests.windows import smoke, wine
from tests.windows.interpreter import RELEASES, interpreter
from tests.windows.suite import AGENT, CONTROLLER, ROOT, Suite, say

TARGET = "win-amd64"
AGENT_PYTHON, CONTROLLER_PYTHON = "3.10", "3.13"  # the agent's floor; the controller's is 3.11
SUITES = {AGENT_PYTHON: AGENT, CONTROLLER_PYTHON: CONTROLLER}


def main(arguments: Sequence[str]) -> int:
    """Run the tests; return the exit status."""
    version, rest = (
        (arguments[0], arguments[1:]) if arguments and arguments[0] in RELEASES else (AGENT_PYTHON, arguments)
    )
    if not native.is_current(TARGET):
        native.build([TARGET])
    driver = windows_libraries()
    python = interpreter(version, cache_dir() / "wine")
    drives = {"R": ROOT, "K": cache_dir(), "T": Path(tempfile.gettempdir())}
    with (
        tempfile.TemporaryDirectory(prefix="overhead-matrix-wine-") as folder,
        wine.running(Path(folder, "prefix"), drives) as running,
    ):
        suite = Suite(wine=running, python=python, driver=driver)
        suite.install_driver()
        status = suite.run(rest or SUITES[version], Path(folder, "tests.log"))
        wrong = [] if rest or version != AGENT_PYTHON else smoke.check(suite, Path(folder, "results"))
    for problem in wrong:
        say(f"smoke: {problem}")
    return status or int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
