"""Folders, fake agents, and the container engine of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.errors import PlatformError
from harness.exclusive import exclusive
from harness.platforms import engine
from harness.platforms.container import ContainerPlatform
from harness.platforms.container_leftovers import RUN_LABEL
from harness.platforms.guest_image import GuestImage
from harness.platforms.guest_recipe import Recipe, make
from tests.platforms.jobs import FakeAgent, Launching, container_config
from tests.platforms.sshd import SSHD, LoopbackSshd
from tests.platforms.wsl_machine import Machine

if TYPE_CHECKING:
    from docker import APIClient

TOKEN = f"test-{os.getpid()}"


@pytest.fixture
def agent(tmp_path: Path) -> FakeAgent:
    return FakeAgent(path=tmp_path / "fake_agent.py").does("answer(done=True)")


@pytest.fixture
def launching(tmp_path: Path) -> Launching:
    return Launching(folder=tmp_path / "jobs")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[LoopbackSshd]:
    """A running ssh server on loopback, with keys of its own."""
    if SSHD is None:
        pytest.skip("no sshd on this machine: install openssh-server")
    server = LoopbackSshd(tmp_path / "sshd")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def api(base_image: str) -> Iterator[APIClient]:
    client = engine.connect(None)
    yield client.api
    client.close()


@pytest.fixture
def left(api: APIClient) -> Iterator[list[str]]:
    """Names what this test left in the engine; what it did leave is removed."""
    names: list[str] = []
    yield names
    for container in of_run(api, TOKEN):
        names.append(container)
        api.remove_container(container, force=True)
    assert names == []


@pytest.fixture
def container(tmp_path: Path, agent: FakeAgent, left: list[str]) -> Iterator[ContainerPlatform]:
    """A container platform without options."""
    platform = ContainerPlatform(
        "docker",
        container_config(),
        gpu=False,
        scratch=tmp_path / "scratch" / TOKEN,
        run_id=TOKEN,
        agent=agent.path,
    )
    yield platform
    platform.close()


@pytest.fixture
def windows(tmp_path: Path) -> Machine:
    """A made-up Windows whose distribution is never started."""
    return Machine(folder=tmp_path / "windows").set_up()


@pytest.fixture
def wsl_windows(tmp_path: Path, linux_root: Path) -> Iterator[Machine]:
    """A made-up Windows with a distribution that starts."""
    machine = Machine(folder=tmp_path / "windows", root=linux_root).set_up()
    yield machine
    machine.stop()
    assert "--shutdown" not in machine.calls()


@pytest.fixture(scope="session")
def guest_image(request: pytest.FixtureRequest) -> GuestImage:
    """A small guest image, made once for as long as its recipe is the same."""
    recipe = Recipe(size=4 << 30)
    folder = request.config.cache.mkdir(f"guest-{recipe.digest()}")
    try:
        with exclusive(folder.with_suffix(".lock"), lambda: None):  # the tests may run in several processes
            return make(recipe, folder / "guest.qcow2", lambda _line: None).image
    except PlatformError as error:
        pytest.skip(f"no guest image: {error}")


def of_run(api: APIClient, token: str) -> list[str]:
    """Return the ids of a run's containers, in whatever state."""
    return [each["Id"] for each in api.containers(all=True, filters={"label": [f"{RUN_LABEL}={token}"]})]
