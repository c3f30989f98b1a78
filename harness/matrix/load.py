"""matrix.yaml → checked `Matrix`. Every error names file, line and column, what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from harness.errors import MatrixError
from harness.matrix import document as yaml_document
from harness.matrix.checks import check_baseline, check_profiles, check_stacks, complete_tasks
from harness.matrix.document import Document
from harness.matrix.model import Matrix
from harness.matrix.problems import explain


def load(path: Path) -> Matrix:
    """Read and check a matrix. Parameters are complete: those not given are at the task's defaults.

    Raises MatrixError, one line, for the first thing that is wrong.
    """
    return _checked(yaml_document.read(path))


def parse(text: str, file: str = "matrix.yaml") -> Matrix:
    """Check a matrix given as text; `file` is its name in errors. Raises MatrixError."""
    return _checked(yaml_document.parse(text, file))


def _checked(document: Document) -> Matrix:
    try:
        matrix = Matrix.model_validate(document.data)
    except ValidationError as error:
        raise _first_error(document, error) from error
    check_baseline(document, matrix)
    check_stacks(document, matrix)
    matrix = complete_tasks(document, matrix)
    check_profiles(document, matrix)
    return matrix


def _first_error(document: Document, error: ValidationError) -> MatrixError:
    """Return the error that comes first in the file; of a key that is missing last, as it may be misspelt elsewhere."""

    def order(details: ErrorDetails) -> tuple[bool, tuple[int, int]]:
        loc, _, at_key = explain(document, details)
        return details["type"] == "missing", document.position(loc, at_key=at_key)

    loc, problem, at_key = explain(document, min(error.errors(), key=order))
    return document.error(loc, problem, at_key=at_key)
