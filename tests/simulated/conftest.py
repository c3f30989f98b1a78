"""The Docker daemon that the tests of the simulation share, which takes seconds to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulated.driver import SimulatedDriver
from tests.simulated.engine import SimulatedEngine, simulated_engine


@pytest.fixture(scope="package")
def simulated(base_image: str) -> Iterator[SimulatedEngine]:
    """Yield a daemon whose hook gives containers the simulated driver; without one the test is skipped."""
    with simulated_engine(base_image) as started:
        yield started


@pytest.fixture
def planted(simulated: SimulatedEngine) -> Iterator[SimulatedEngine]:
    """Yield the daemon; what a test plants is gone afterwards."""
    yield simulated
    simulated.plant(SimulatedDriver())
