"""The agent runs wherever there is a Python: it imports the standard library alone and refuses old versions clearly."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import harness.agent
from tests.agent.interpreters import TOO_OLD, interpreter

AGENT = Path(harness.agent.__file__).parent
MODULES = sorted(AGENT.rglob("*.py"))
FLOOR = (3, 10)
# Imported inside functions only, where the stack that is measured brings them (pynvml: where the agent does).
FRAMEWORKS = {"torch", "tensorflow", "benchmark_cnn", "cnn_util", "numpy", "pynvml", "tf_keras", "keras"}
# Classes of a framework need it when they are defined; these modules are themselves imported inside functions only.
OF_A_FRAMEWORK = {
    f"harness.agent.workloads.{name}"
    for name in ("torch_models", "torch_layers", "torch_resnet", "torch_inception", "torch_gpt", "keras_models")
}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not ours"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_top_level(tree: ast.Module) -> Iterator[str]:
    """Yield what importing the module imports: everything but the bodies of functions and `if TYPE_CHECKING`."""
    outside = ast.Module(body=[node for node in tree.body if not isinstance(node, ast.FunctionDef)], type_ignores=[])
    yield from imported(outside)


def allowed(name: str) -> bool:
    return name.partition(".")[0] in sys.stdlib_module_names or f"{name}.".startswith("harness.agent.")


def name_of(path: Path) -> str:
    return ".".join(("harness", "agent", *path.relative_to(AGENT).with_suffix("").parts))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), feature_version=FLOOR)


def test_there_is_something_to_check() -> None:
    assert {"main.py", "messages.py", "storage.py"} <= {path.name for path in MODULES}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_importing_a_module_needs_the_standard_library_and_the_agent_alone(path: Path) -> None:
    permitted = FRAMEWORKS if name_of(path) in OF_A_FRAMEWORK else set()
    names = list(at_top_level(parsed(path)))

    assert [name for name in names if not allowed(name) and name.partition(".")[0] not in permitted] == []
    assert permitted or OF_A_FRAMEWORK.isdisjoint(names)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_functions_import_nothing_but_frameworks_beyond_that(path: Path) -> None:
    beyond = {name.partition(".")[0] for name in imported(parsed(path)) if not allowed(name)}

    assert beyond <= FRAMEWORKS


def test_nothing_but_sys_is_imported_above_the_version_gate() -> None:
    body = parsed(AGENT / "__main__.py").body
    gate = next(index for index, node in enumerate(body) if isinstance(node, ast.If))

    assert [name for node in body[:gate] for name in imported(node)] == ["sys"]
    assert "sys.version_info < (3, 10)" in ast.unparse(body[gate].test)  # type: ignore[attr-defined]  # an ast.If


@pytest.mark.parametrize("version", TOO_OLD)
def test_an_old_python_is_refused_in_one_line(version: str, agent: Path) -> None:
    python = interpreter(version)
    ended = subprocess.run(
        [python, str(agent), "run", "spec.json", "result.json"], capture_output=True, text=True, check=False
    )

    assert ended.returncode == 64
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"overhead-matrix agent: found Python {version}.")
    assert "needs 3.10 or later" in ended.stderr
    assert ended.stderr.count("\n") == 1
