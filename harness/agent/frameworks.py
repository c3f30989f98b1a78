"""Which framework a stack stands for, as the agent needs it: its module, or word that the stack lacks it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from harness.agent.messages import CellSpec
from harness.agent.task import Unavailable

MODULES = ("torch", "tensorflow")


def named(spec: CellSpec) -> str:
    """Return the framework's module that the stack's name begins with; empty for a stack without one."""
    return next((name for name in MODULES if spec.stack.startswith(name)), "")


def versions(spec: CellSpec) -> Mapping[str, str]:
    """Return the framework's version as its package says it, without importing it; nothing where none says so."""
    name = named(spec)
    try:
        return {name: version(name)} if name else {}
    except PackageNotFoundError:
        return {}


def load(spec: CellSpec) -> Any:  # noqa: ANN401 - a module
    """Import the stack's framework. Raises Unavailable where the stack has none, ImportError where it is broken."""
    name = named(spec)
    if not name or find_spec(name) is None:
        raise Unavailable(f"stack {spec.stack} has no {name or 'framework'}: run the task on a stack that has it")
    return importlib.import_module(name)
