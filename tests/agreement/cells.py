"""What the harness says: cells run by the agent in fresh processes, and one number of each metric of theirs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from statistics import median

from harness import native
from harness.agent.messages import CellResult, Scalar
from harness.agent.task import find
from harness.errors import HarnessError
from tests.agent import cells
from tests.agreement.table import NotMeasuredError

MEMORY = Path("/dev/shm")  # noqa: S108 - meant

Statistic = Callable[[Sequence[float]], float]


def result(entry: str, params: Mapping[str, Scalar] | None = None, **how: object) -> CellResult:
    """Run a cell; `how` is what `tests.agent.cells.run_cell` takes.

    Raises NotMeasuredError where the probe or what it needs is not there, ValueError if it failed.
    """
    if find(entry) is None:
        raise NotMeasuredError(f"there is no probe {entry}")
    done = cells.run_cell(entry, params, **how)  # type: ignore[arg-type]  # passed on
    if done.status in ("unavailable", "unsupported"):
        raise NotMeasuredError(f"{entry}: {done.reason}")
    if not done.metrics:
        raise ValueError(f"{entry}: {done.status}: {done.reason}")
    return done


def value(done: CellResult, name: str, statistic: Statistic = median, **dims: Scalar) -> float:
    """Return a statistic (default: the median) of the samples after warm-up of the one metric of that name and dims."""
    found = [each for each in done.metrics if each.name == name and dims.items() <= each.dims.items()]
    if len(found) != 1:
        raise ValueError(f"{done.task}: {len(found)} metrics are {name} {dims}")
    return statistic(found[0].samples[found[0].warmup :])


def require_native() -> str:
    """Return what is missing where the native helper is not built from the present sources."""
    return "" if native.is_current() else "missing: the native helper: nox -s native"


@contextmanager
def folder_in_memory() -> Iterator[Path]:
    """Make an empty folder in memory, where there is such a file system: its times do not depend on a disk."""
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        yield Path(name)


@lru_cache
def stack_python(name: str) -> Path:
    """Return the interpreter of a stack of matrix.yaml. Raises NotMeasuredError where it can't be installed."""
    try:
        return cells.stack_python(name)
    except HarnessError as error:
        raise NotMeasuredError(f"missing: stack {name}: {error}") from error
