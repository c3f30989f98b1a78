"""Runs the tests: `python -m tests [pytest's arguments]`. Those that fail run once more, in a new process.

A shared machine can miss planted microseconds or a deadline; a defect fails twice. What failed once is shown by both
runs. Exit status: pytest's.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

FAILED = 1  # pytest's exit status when some test has failed
AGAIN = ("--last-failed", "--last-failed-no-failures=none")


def main(arguments: Sequence[str]) -> int:
    """Run the tests, and those that failed again; return the exit status."""
    command = [sys.executable, "-m", "pytest", *arguments]
    status = subprocess.run(command, check=False).returncode
    if status != FAILED:
        return status
    sys.stdout.write("\n== what failed runs once more\n")
    sys.stdout.flush()
    return subprocess.run([*command, *AGAIN], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
