"""Files that are moved over others. Here Windows is what `sys.platform` says; under Wine the refusal is a real one."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import pytest

from harness.agent import files
from tests.agent.systems import not_on_windows


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    fresh, place = tmp_path / "fresh", tmp_path / "place"
    fresh.write_text("new")
    place.write_text("old")
    return fresh, place


def refusing(monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Have the system refuse so many times, as it does while another program has the file open."""
    asked: list[int] = []
    really = os.replace

    def replace(source: Path, target: Path) -> None:
        asked.append(len(asked))
        if len(asked) <= times:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        really(source, target)

    monkeypatch.setattr(os, "replace", replace)
    return asked


def test_windows_is_asked_again_while_a_file_is_open(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    asked = refusing(monkeypatch, 3)
    files.replace(*pair)
    assert len(asked) == 4
    assert pair[1].read_text() == "new"
    assert not pair[0].exists()


def test_a_file_that_stays_open_is_told(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(files, "PATIENCE", 0.1)
    asked = refusing(monkeypatch, 10**6)
    with pytest.raises(PermissionError):
        files.replace(*pair)
    assert len(asked) > 1
    assert pair[1].read_text() == "old"


@not_on_windows("there it is asked again")
def test_elsewhere_a_refusal_is_final(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refusing(monkeypatch, 1)
    with pytest.raises(PermissionError):
        files.replace(*pair)
    assert len(asked) == 1


def test_a_reader_that_closes_soon_is_waited_for(pair: tuple[Path, Path]) -> None:
    """Windows refuses for as long as the place is open; elsewhere nothing does."""
    with pair[1].open() as reading:
        closing = threading.Timer(0.2, reading.close)
        closing.start()
        began = time.perf_counter()
        files.replace(*pair)
        closing.join()
    assert pair[1].read_text() == "new"
    assert sys.platform != "win32" or time.perf_counter() - began >= 0.1
