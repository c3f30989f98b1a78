"""Values of matrix.yaml that stay out of a bundle: those of a container's `environment`, which may be secrets.

A bundle is handed on, so it keeps the variables' names alone, but for values that can't be one. A run that is resumed
takes the values from today's matrix.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.errors import UsageError
from harness.matrix.load import load
from harness.matrix.model import Container, Matrix

HIDDEN = "…"
HARMLESS = re.compile(r"\d{0,3}|all|none|true|false")  # OMP_NUM_THREADS: "8"


def definition(matrix: Matrix) -> dict[str, Any]:
    """Return the matrix as run.json keeps it."""
    hidden = {
        name: platform.model_copy(update={"environment": _shown(platform.environment)})
        for name, platform in matrix.platforms.items()
        if isinstance(platform, Container)
    }
    whole = matrix.model_copy(update={"platforms": {**matrix.platforms, **hidden}})
    return whole.model_dump(mode="json", by_alias=True)


def restored(matrix: Matrix, file: Path, run_id: str) -> Matrix:
    """Return the matrix of a bundle with the values that it hides, read from today's matrix.yaml.

    The file is read only if there are any. Raises MatrixError, and UsageError for a variable that it lacks.
    """
    wanted = list(_hidden(matrix))
    if not wanted:
        return matrix
    today = load(file)
    filled: dict[str, Container] = {}
    for name, platform, variable in wanted:
        found = today.platforms.get(name)
        if not isinstance(found, Container) or variable not in found.environment:
            problem = f"--resume {run_id}: platform {name} had a variable {variable}, whose value no bundle keeps"
            raise UsageError(problem, f"Put it back into {file}, or start a new run")
        before = filled.get(name, platform)
        environment = {**before.environment, variable: found.environment[variable]}
        filled[name] = platform.model_copy(update={"environment": environment})
    return matrix.model_copy(update={"platforms": {**matrix.platforms, **filled}})


def _shown(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value if HARMLESS.fullmatch(value) else HIDDEN for name, value in environment.items()}


def _hidden(matrix: Matrix) -> Iterator[tuple[str, Container, str]]:
    for name, platform in matrix.platforms.items():
        if isinstance(platform, Container):
            yield from ((name, platform, each) for each, value in platform.environment.items() if value == HIDDEN)
