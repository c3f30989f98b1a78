"""What can go wrong, one class each, with its exit status and its remedy.

HarnessError
├── UsageError                      2  the command line asks for something that is not there
│   ├── MatrixError                 2  matrix.yaml is wrong
│   └── BundleError                 2  a bundle cannot be read
├── PlatformError                   1  a platform cannot do what was asked of it
├── StackError                      1  a stack cannot be locked, fetched or installed
├── ResultsError                    1  results cannot be written
└── Interrupted                   130  the user stopped the run

`str(error)` is one line that names the thing, what is wrong and, after the last period, what to do.
"""

from __future__ import annotations

from typing import ClassVar


class HarnessError(Exception):
    """A failure that is told to the user in one line, without a traceback."""

    exit_status: ClassVar[int] = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = " ".join(problem.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(f"{self.problem}. {self.remedy}" if self.remedy else self.problem)


class UsageError(HarnessError):
    """The command line names something that does not exist or does not go together."""

    exit_status = 2


class MatrixError(UsageError):
    """matrix.yaml is wrong; the problem begins with `file:line:column`."""


class BundleError(UsageError):
    """A bundle is cut, hostile or not a bundle."""


class PlatformError(HarnessError):
    """A platform cannot make ready or launch."""


class StackError(HarnessError):
    """A stack cannot be resolved, fetched or installed."""


class ResultsError(HarnessError):
    """A result cannot be written: a full disk, a read-only folder."""


class Interrupted(HarnessError):  # noqa: N818 - an interruption is no error of the program
    """The user stopped the run; what was measured is kept."""

    exit_status = 130
