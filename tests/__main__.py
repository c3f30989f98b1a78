"""Runs the tests: `python -m tests [measuring|others|computing|rest|pytest's arguments]`; without arguments all.

First what measures this machine, which has it alone; then all others, side by side. These are what only computes and
the rest, for .ci/run, where the former takes no lane. Tests that fail run once more, in a new process: a shared machine
can miss planted microseconds or a deadline, a defect fails twice. What failed once stays on the screen. Exit status 0
only if all passed, at the second try at the latest.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

LANES = 4  # most of these wait for guests, hosts and containers
MEASURING = ("-m", "measures")
NOT_MEASURING = ("-m", "not measures")
LANED = (f"--numprocesses={LANES}", "--dist=loadfile", "--no-loadscope-reorder")
OTHERS = (*NOT_MEASURING, *LANED)
PLACES = tuple(f"tests/{name}" for name in ("agreement", "analysis", "export", "matrix", "publish", "report", "truth"))
COMPUTING = (*NOT_MEASURING, "-o", "cache_dir=.pytest_cache/computing", *PLACES)  # runs beside what measures
REST = (*OTHERS, *(f"--ignore={place}" for place in PLACES))
PARTS = {"measuring": MEASURING, "others": OTHERS, "computing": COMPUTING, "rest": REST}
ALL = ("measuring", "others")
FAILED = 1  # pytest's exit status when some test has failed
STOPS = frozenset({"-x", "--exitfirst", "--maxfail"})  # then some tests have not run
AGAIN = ("--last-failed", "--last-failed-no-failures=none")


def main(arguments: Sequence[str]) -> int:
    """Run the tests; return the exit status."""
    by_name = set(arguments) <= PARTS.keys()
    return max(map(passed, [PARTS[each] for each in arguments or ALL] if by_name else [tuple(arguments)]))


def passed(arguments: Sequence[str]) -> int:
    """Run these tests, and again those that failed; return pytest's exit status."""
    command = [sys.executable, "-m", "pytest", *arguments]
    status = subprocess.run(command, check=False).returncode
    if status != FAILED or not STOPS.isdisjoint(each.partition("=")[0] for each in arguments):
        return abs(status)  # negative: a signal ended it
    sys.stdout.write("\n== what failed runs once more\n")
    sys.stdout.flush()
    return abs(subprocess.run([*command, *AGAIN], check=False).returncode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
