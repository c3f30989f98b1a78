"""A context as the agent makes one, and a process that forgets a fake checkout's modules."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping

import pytest

from harness.agent.messages import CellSpec, Scalar
from harness.agent.task import Context, find

MakeContext = Callable[..., Context]


@pytest.fixture
def make_context() -> MakeContext:
    def make(
        entry: str,
        *,
        device: str = "cpu",
        resources: Mapping[str, str] | None = None,
        params: Mapping[str, Scalar] | None = None,
    ) -> Context:
        task = find(entry)
        assert task is not None
        spec = CellSpec(
            cell=f"native/stack/{entry}",
            platform="native",
            stack="stack",
            task=entry,
            entry=entry,
            params=params or {},
            device=device,
            block=1,
            attempt=1,
            seed=1,
            resources=resources or {},
        )
        return Context(spec=spec, params={**task.params, **(params or {})}, progress=lambda _done, _total, _note: None)

    return make


@pytest.fixture
def forget_modules() -> Iterator[None]:
    """Remove the modules that a test imports."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]
