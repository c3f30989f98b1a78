"""Runs one cell in a fresh process of some interpreter, as a platform does, from the checkout's own sources."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.agent.messages import CellResult, CellSpec, Location, Scalar, read_json, to_json, write_json

ROOT = Path(__file__).parents[2]
LIMIT = 600.0  # seconds


def stack_python(name: str, *, gpu: bool = False) -> Path:
    """Return the interpreter of a stack of matrix.yaml, of its variant for hosts with a GPU or without one.

    It is installed if need be.
    """
    from harness import stacks  # noqa: PLC0415 - the controller's: the agent's tests also run on older Pythons
    from harness.matrix.load import load  # noqa: PLC0415 - likewise

    config = load(ROOT / "matrix.yaml").stacks[name]
    return stacks.environment(stacks.resolve(name, config, root=ROOT, gpu=gpu), lambda _line: None)


def run_cell(
    entry: str,
    params: Mapping[str, Scalar] | None = None,
    *,
    python: str | Path = sys.executable,
    stack: str = "driver",
    device: str = "cpu",
    locations: Sequence[Location] = (),
    resources: Mapping[str, str] | None = None,
    agent: Path | None = None,
) -> CellResult:
    """Return what the agent (packed: `agent`) makes of the cell. Raises CalledProcessError if it leaves no result."""
    spec = CellSpec(
        cell=f"native/{stack}/{entry}",
        platform="native",
        stack=stack,
        task=entry,
        entry=entry,
        params=params or {},
        device=device,
        block=1,
        attempt=1,
        seed=1,
        locations=tuple(locations),
        resources=resources or {},
    )
    with tempfile.TemporaryDirectory() as name:
        specification, result = Path(name, "spec.json"), Path(name, "result.json")
        write_json(specification, to_json(spec))
        program = ["-m", "harness.agent"] if agent is None else [str(agent)]
        argv = [str(python), *program, "run", str(specification), str(result)]
        subprocess.run(argv, cwd=ROOT if agent is None else name, check=True, capture_output=True, timeout=LIMIT)
        return CellResult.from_json(read_json(result))
