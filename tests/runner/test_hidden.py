"""Values of a container's environment: not in the bundle, and there again when a run is resumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import MatrixError, UsageError
from harness.matrix.load import parse
from harness.matrix.model import Container, Matrix
from harness.runner.hidden import HIDDEN, definition, restored

TEXT = """\
schema: 1
baseline: native
platforms:
  native: {{kind: native}}
  docker: {{kind: container, cpus: 0.5, environment: {environment}}}
stacks: {{driver: {{}}}}
tasks: {{control.delay: }}
profiles: {{tiny: {{tasks: ["*"], blocks: 1}}}}
"""
VARIABLES = '{TOKEN: "s3cret", OTHER: "p4ss", OMP_NUM_THREADS: "8", NVIDIA_DRIVER_CAPABILITIES: all, EMPTY: ""}'


def matrix(environment: str) -> Matrix:
    return parse(TEXT.format(environment=environment))


def variables(of: Matrix) -> dict[str, str]:
    platform = of.platforms["docker"]
    assert isinstance(platform, Container)
    return platform.environment


def kept(environment: str) -> Matrix:
    """Return the matrix as a bundle has it."""
    return Matrix.model_validate(json.loads(json.dumps(definition(matrix(environment)))))


def test_a_bundle_has_the_names_and_what_is_no_secret() -> None:
    assert variables(kept(VARIABLES)) == {
        "TOKEN": HIDDEN,
        "OTHER": HIDDEN,
        "OMP_NUM_THREADS": "8",
        "NVIDIA_DRIVER_CAPABILITIES": "all",
        "EMPTY": "",
    }


def test_all_else_is_as_it_was(tmp_path: Path) -> None:
    assert kept("{}") == matrix("{}")
    file = tmp_path / "matrix.yaml"
    file.write_text(TEXT.format(environment=VARIABLES), encoding="utf-8")
    assert restored(kept(VARIABLES), file, "run") == matrix(VARIABLES)


def test_the_values_are_todays(tmp_path: Path) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(TEXT.format(environment='{TOKEN: "new", OTHER: "o", OMP_NUM_THREADS: "2"}'), encoding="utf-8")
    found = variables(restored(kept(VARIABLES), file, "run"))
    assert (found["TOKEN"], found["OTHER"], found["OMP_NUM_THREADS"]) == ("new", "o", "8")


def test_without_hidden_values_todays_file_is_not_read(tmp_path: Path) -> None:
    whole = matrix('{OMP_NUM_THREADS: "8"}')
    assert restored(whole, tmp_path / "absent.yaml", "run") is whole


@pytest.mark.parametrize("environment", ["{}", '{OTHER: "o"}'])
def test_a_variable_that_is_gone_is_named(tmp_path: Path, environment: str) -> None:
    file = tmp_path / "matrix.yaml"
    file.write_text(TEXT.format(environment=environment), encoding="utf-8")
    with pytest.raises(UsageError, match="--resume run: platform docker had a variable TOKEN"):
        restored(kept(VARIABLES), file, "run")


def test_a_file_that_is_gone_is_an_error_of_one_line(tmp_path: Path) -> None:
    with pytest.raises(MatrixError):
        restored(kept(VARIABLES), tmp_path / "absent.yaml", "run")
