"""Whether an engine can be used; the engines here are fake ones."""

from __future__ import annotations

import platform
import time
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
from docker.context import Context, ContextAPI  # also: imported before a time is taken

from harness.platforms import engine
from tests.platforms.fake_engine import fake_engine

GOOD = {"ApiVersion": "1.41", "Os": "linux", "Version": "20.10.24"}
ON_WSL = {**GOOD, "KernelVersion": "6.6.87.2-microsoft-standard-WSL2"}
DESKTOP = {**ON_WSL, "Platform": {"Name": "Docker Desktop 4.55.0 (213807)"}}


def test_an_engine_that_answers_can_be_used(tmp_path: Path) -> None:
    with fake_engine(tmp_path, GOOD) as address:
        assert engine.availability(address).runnable


def test_an_old_engine_is_told_to_be_updated(tmp_path: Path) -> None:
    with fake_engine(tmp_path, {**GOOD, "ApiVersion": "1.39"}) as address:
        found = engine.availability(address)
    assert not found.runnable
    assert "API is 1.39, 1.40 (Docker 19.03) is needed" in found.reason


def test_an_engine_older_than_the_sdk_reads_is_told_to_be_updated(tmp_path: Path) -> None:
    with fake_engine(tmp_path, {**GOOD, "ApiVersion": "1.12"}) as address:
        found = engine.availability(address)
    assert not found.runnable
    assert "no API version" in found.reason


def test_windows_containers_are_told_apart(tmp_path: Path) -> None:
    with fake_engine(tmp_path, {**GOOD, "Os": "windows"}) as address:
        found = engine.availability(address)
    assert not found.runnable
    assert "Linux containers" in found.reason


def test_windows_takes_docker_desktops_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    with fake_engine(tmp_path, DESKTOP) as address:
        assert engine.availability(address).runnable


def test_windows_cannot_mount_folders_in_an_engine_of_a_distribution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    with fake_engine(tmp_path, ON_WSL) as address:
        found = engine.availability(address)
    assert not found.runnable
    assert "only Docker Desktop's" in found.reason
    assert "nox -s matrix` in the distribution" in found.reason


def test_a_silent_engine_costs_less_than_a_second(tmp_path: Path) -> None:
    with fake_engine(tmp_path, None) as address:
        began = time.monotonic()
        found = engine.availability(address)
        assert time.monotonic() - began < 2 * engine.ANSWER_SECONDS
    assert not found.runnable
    assert "does not answer in time" in found.reason


def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    found = engine.availability(f"unix://{tmp_path}/nothing.sock")
    assert not found.runnable
    assert "sudo systemctl start docker" in found.reason


def test_a_socket_that_nobody_serves(tmp_path: Path) -> None:
    with fake_engine(tmp_path, GOOD) as address:
        pass
    found = engine.availability(address)
    assert not found.runnable
    assert "no container engine answers" in found.reason


def test_the_answer_is_kept_for_the_process(tmp_path: Path) -> None:
    with fake_engine(tmp_path, GOOD) as address:
        first = engine.availability(address)
    assert engine.availability(address) is first


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:2375", "ssh://user@lab", "npipe:////lab/pipe/docker_engine"])
def test_an_engine_on_another_host_is_not_asked(address: str) -> None:
    found = engine.availability(address)
    assert not found.runnable
    assert "another host" in found.reason


@pytest.mark.parametrize("pipe", ["npipe:////./pipe/dockerDesktopLinuxEngine", r"npipe://\\.\pipe\docker_engine"])
def test_a_named_pipe_of_this_host_is_asked(pipe: str) -> None:
    assert engine.elsewhere(pipe) == ""


def test_an_address_that_is_none() -> None:
    found = engine.availability("nonsense://")
    assert not found.runnable
    assert "\n" not in found.reason


def test_the_environment_names_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.availability.cache_clear()
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing.sock")
    assert not engine.availability(None).runnable
    engine.availability.cache_clear()


def test_the_active_context_names_the_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.availability.cache_clear()
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.delenv("DOCKER_CONTEXT", raising=False)
    context = Context("lab", host="ssh://user@lab")
    monkeypatch.setattr(ContextAPI, "get_context", lambda _name: context)
    assert engine.address(None).startswith("ssh://user@lab")
    assert "another host" in engine.availability(None).reason
    engine.availability.cache_clear()


def test_without_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    engine.availability.cache_clear()

    def missing(_name: str) -> ModuleSpec | None:
        return None

    monkeypatch.setattr(engine, "find_spec", missing)
    assert "pip install docker" in engine.availability("unix:///without-sdk.sock").reason
    engine.availability.cache_clear()
