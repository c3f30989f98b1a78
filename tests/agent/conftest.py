"""Fixtures of the agent's tests: a specification, and the fake probes made findable."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.agent import cuda, probes
from harness.agent.messages import CellSpec
from harness.pack import agent_archive
from tests.simulated.build import libraries
from tests.simulated.driver import CUDA, SimulatedDriver

FAKES = Path(__file__).parent / "fakes"
MakeSpec = Callable[..., CellSpec]
Plant = Callable[..., None]


@pytest.fixture
def make_spec() -> MakeSpec:
    def make(entry: str = "fake.good", **changes: object) -> CellSpec:
        values: dict[str, Any] = {
            "cell": f"native/driver/{entry}",
            "platform": "native",
            "stack": "driver",
            "task": entry,
            "entry": entry,
            "params": {},
            "device": "cpu",
            "block": 1,
            "attempt": 1,
            "seed": 7,
        }
        return CellSpec(**{**values, **changes})

    return make


@pytest.fixture
def fake_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "__path__", [*probes.__path__, str(FAKES)])


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return agent_archive(cache=tmp_path_factory.mktemp("agent"))


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Return what plants a simulated driver: for this process, and for those that it starts from now on."""
    library = str(libraries() / CUDA)
    monkeypatch.setattr(cuda, "library_names", lambda: (library,))

    def plant(**values: Any) -> None:  # noqa: ANN401 - those of SimulatedDriver
        driver = SimulatedDriver(**values)
        driver.plant()
        for name, value in driver.environment({}).items():
            monkeypatch.setenv(name, value)

    return plant
