"""Checks the project on Windows, as far as Wine goes.

    python -m tests.windows [measuring|others]
    python -m tests.windows [3.10|3.13] [pytest's arguments]

Builds the native helper and the simulated driver for Windows, fetches real CPythons for Windows, and runs there the
agent's tests on the oldest, and the tests of the controller that starts and ends processes on the newest. Then it packs
the agent, which must be Linux's to the byte, runs the smoke profile, whose bundle must say that it comes from a
stand-in, and merges boots of Linux and Windows into one report. `measuring` is those tests that want the machine for
themselves, `others` the rest of it. With a version it is that Python's tests alone, with arguments what they say (on
3.10, if no version is given). Exit status 0 only if all passed; a skip that is not foreseen is a failure. Needs root,
the Debian packages wine and wine64, and the Python package ziglang.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness import native
from harness.cache import cache_dir
from tests.simulated.build import windows_libraries
from tests.windows import agent, boots, smoke, wine
from tests.windows.interpreter import RELEASES, interpreter
from tests.windows.suite import AGENT, CONTROLLER, MEASURING, OTHERS, ROOT, Suite, say

TARGET = "win-amd64"
AGENT_PYTHON, CONTROLLER_PYTHON = "3.10", "3.13"  # the agent's floor; the controller's is 3.11
Tests = Mapping[str, Sequence[str]]  # Python's version → pytest's arguments
SUITES: Tests = {AGENT_PYTHON: AGENT, CONTROLLER_PYTHON: CONTROLLER}
MEASURING_PART, OTHER_PART = "measuring", "others"
PARTS: Mapping[str, Tests] = {
    MEASURING_PART: {AGENT_PYTHON: MEASURING},
    OTHER_PART: {AGENT_PYTHON: OTHERS, CONTROLLER_PYTHON: CONTROLLER},
}


def main(arguments: Sequence[str]) -> int:
    """Run the tests; return the exit status."""
    tests = chosen(arguments)
    began = time.monotonic()

    def step(name: str) -> None:
        say(f"== {name} ({time.monotonic() - began:.0f} s)")

    step("native helper, simulated driver, interpreters")
    lacking = [each for each in (TARGET, native.host_target()) if each and not native.is_current(each)]
    if lacking:  # Linux's too: what a Python loop has measured there is not compared
        native.build(lacking)
    driver = windows_libraries()
    pythons = [interpreter(version, cache_dir() / "wine") for version in tests]
    drives = {"R": ROOT, "K": cache_dir(), "T": Path(tempfile.gettempdir())}
    with (
        tempfile.TemporaryDirectory(prefix="overhead-matrix-wine-") as folder,
        wine.running(Path(folder, "prefix"), drives) as running,
    ):
        suites = [Suite(wine=running, python=python, driver=driver) for python in pythons]
        suites[0].install_driver()
        wrong = list(checked(suites, tests, Path(folder), step, rest=tuple(arguments) in ((), (OTHER_PART,))))
    step("all passed" if not wrong else "failed")
    for problem in wrong:
        say(problem)
    return int(bool(wrong))


def checked(
    suites: Sequence[Suite], tests: Tests, folder: Path, step: Callable[[str], None], *, rest: bool
) -> Iterator[str]:
    """Run the tests of each Python, and what is no test if it is the `rest`'s turn; yield what is wrong."""
    for suite in suites:
        version = suite.python.release.short
        step(f"tests on Python {version}")
        if suite.run(tests[version], folder / f"{version}.log"):
            yield f"tests on Python {version} failed"
    for name, check in (("agent", agent.check), ("smoke", smoke.check), ("boots", boots.check)) if rest else ():
        step(name)
        (folder / name).mkdir()
        yield from (f"{name}: {problem}" for problem in check(suites[0], folder / name))


def chosen(arguments: Sequence[str]) -> Tests:
    """Return the tests that the arguments ask for."""
    if not arguments:
        return SUITES
    if len(arguments) == 1 and arguments[0] in PARTS:
        return PARTS[arguments[0]]
    if arguments[0] in RELEASES:
        return {arguments[0]: arguments[1:] or SUITES[arguments[0]]}
    return {AGENT_PYTHON: arguments}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
