from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from harness.agent import ext4
from tests.agent.systems import not_on_windows


@not_on_windows("it has no ext4")
@pytest.mark.parametrize(("feature", "without"), [("has_journal", False), ("^has_journal", True)])
def test_a_file_system_without_a_journal_is_told(ext4_disk: Callable[..., Path], feature: str, without: bool) -> None:
    assert ext4.without_journal(ext4_disk(64, feature)) is without


def test_where_the_kernel_says_nothing_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ext4, "MOUNTED", tmp_path)
    assert not ext4.without_journal(tmp_path)
    assert not ext4.without_journal(tmp_path / "gone")
