from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from harness.agent import pagecache
from harness.agent.task import Unsupported


def test_pages_are_dropped_or_the_files_counted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(20_000))
    (tmp_path / "empty").touch()
    paths = [path, tmp_path / "empty"]
    pagecache.write_back(paths)
    assert pagecache.drop(paths) in {0, 1}  # 1 on a tmpfs
    path.read_bytes()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 20_000) as memory:
        assert pagecache._resident(memory, 20_000)


def test_a_system_that_cannot_drop_pages_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fadvise")
    with pytest.raises(Unsupported, match="no way to drop"):
        pagecache.drop([])
