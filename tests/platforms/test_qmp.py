"""QEMU's monitor, by a stand-in that keeps its manners."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.platforms import qmp
from tests.platforms.guests import fake_monitor


def test_an_answer_comes_after_greeting_and_events(tmp_path: Path) -> None:
    with fake_monitor(tmp_path, {"query-status": {"status": "running"}}):
        assert qmp.ask(tmp_path, "query-status") == {"status": "running"}


def test_a_long_path_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 6)
    folder.mkdir(parents=True)
    assert len(str(folder)) > 108
    with fake_monitor(folder, {"quit": {}}):
        assert qmp.ask(folder, "quit") == {}


def test_a_refusal_is_told(tmp_path: Path) -> None:
    with fake_monitor(tmp_path, {}), pytest.raises(PlatformError, match="QEMU refuses quit: no quit here"):
        qmp.ask(tmp_path, "quit")


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="does not answer query-status: FileNotFoundError"):
        qmp.ask(tmp_path, "query-status")


def test_a_monitor_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qmp, "ANSWER_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / qmp.SOCKET))
        server.listen()
        with pytest.raises(PlatformError, match="does not answer quit: TimeoutError"):
            qmp.ask(tmp_path, "quit")
