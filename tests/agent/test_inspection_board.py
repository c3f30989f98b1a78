from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.agent.inspection import board
from harness.agent.inspection.facts import Files
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree, values


@not_on_windows("a made-up tree stands in for Linux's files")
def test_the_board_is_named_without_its_serial_number(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "/sys/class/dmi/id/board_vendor": "Supermicro\n",
            "/sys/class/dmi/id/board_name": "X11DPG-OT-CPU\n",
            "/sys/class/dmi/id/board_serial": "SECRET\n",
        },
    )
    assert values(board.inspect(files)) == {"vendor": "Supermicro", "model": "X11DPG-OT-CPU"}


@not_on_windows("a made-up tree stands in for Linux's files")
def test_a_system_that_does_not_tell_gives_the_reason(tmp_path: Path) -> None:
    found = board.inspect(tree(tmp_path, {}))
    assert values(found) == {}
    assert "No such file" in found["model"]["error"]


@pytest.mark.skipif(sys.platform != "win32", reason="needs Windows")
def test_windows_tells_the_board_in_the_registry() -> None:
    found = board.inspect(Files())
    assert {each["source"] for each in found.values()} == {"HKEY_LOCAL_MACHINE"}
    assert all(isinstance(each["value"], str) or each["error"] for each in found.values())
