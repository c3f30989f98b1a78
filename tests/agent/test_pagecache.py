from __future__ import annotations

import mmap
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.agent import pagecache
from harness.agent.task import Unsupported
from tests.agent.systems import not_on_windows


@not_on_windows("it can't drop a file's pages")
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


@pytest.mark.skipif(sys.platform != "win32", reason="needs Windows")
def test_a_system_that_cannot_drop_pages_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    with pytest.raises(Unsupported, match="no way to drop"):
        pagecache.drop([tmp_path / "file"])
    with pytest.raises(Unsupported, match="does not say"):
        pagecache.holds(tmp_path / "file")


@not_on_windows("it can't drop a file's pages")
@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        ((False, False), 0),
        ((True, False, False), 0),
        ((False, True, False, False), 0),  # a page that was being read ahead came after the first look
        ((True, True, True, True), 1),  # until patience ends
    ],
)
def test_pages_are_dropped_until_none_is_there_twice_in_a_row(
    monkeypatch: pytest.MonkeyPatch, seen: tuple[bool, ...], kept: int
) -> None:
    looks = iter(seen)
    now = iter(range(100))
    monkeypatch.setattr(pagecache, "_drop", lambda _: next(looks))
    monkeypatch.setattr(pagecache, "PATIENCE", 3.5)
    monkeypatch.setattr(pagecache, "PAUSE", 0.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    assert pagecache.drop([Path("any")]) == kept
    assert list(looks) == []


@not_on_windows("it can't drop a file's pages")
def test_pages_that_a_reader_brings_back_are_dropped_once_it_has_ended(ext4_disk: Callable[..., Path]) -> None:
    path = ext4_disk(64) / "file"
    path.write_bytes(os.urandom(2**20))
    pagecache.write_back([path])
    end = time.monotonic() + 0.2

    def read_on() -> None:
        while time.monotonic() < end:
            path.read_bytes()

    reader = threading.Thread(target=read_on)
    reader.start()
    pagecache.drop([path])  # some pages are being read meanwhile
    reader.join()
    assert pagecache.drop([path]) == 0
    assert not pagecache.holds(path)
