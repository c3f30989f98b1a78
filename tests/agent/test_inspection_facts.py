from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.agent.inspection.facts import Files, fact, fields


def test_a_fact_has_a_value_and_a_source(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "number").write_text(" 60\n")

    assert Files(tmp_path).fact("/proc/number", int) == {"value": 60, "source": "/proc/number"}


def test_what_is_missing_says_so_without_naming_this_machine(tmp_path: Path) -> None:
    assert Files(tmp_path).fact("/proc/none") == {
        "value": None,
        "source": "/proc/none",
        "error": "FileNotFoundError: No such file or directory",
    }


@pytest.mark.parametrize(
    ("raised", "says"),
    [
        (ValueError("two\nlines"), "ValueError: two lines"),
        (PermissionError(13, "Permission denied", "/home/alice/x"), "PermissionError: Permission denied"),
        (AttributeError("module 'os' has no attribute 'x'"), "AttributeError: module 'os' has no attribute 'x'"),
        (KeyError("Seccomp"), "KeyError: 'Seccomp'"),
        (LookupError(), "LookupError"),
    ],
)
def test_what_cannot_be_read_is_an_error_in_one_line(raised: Exception, says: str) -> None:
    def get() -> object:
        raise raised

    assert fact("here", get) == {"value": None, "source": "here", "error": says}


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        fact("here", lambda: 1 // 0)


def test_bytes_that_are_no_utf8_are_read_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"a\xff")

    assert Files(tmp_path).text("/x") == "a\ufffd"


def test_matching_paths_are_sorted_and_there_is_one_at_least(tmp_path: Path) -> None:
    for name in ("cpu1", "cpu0"):
        (tmp_path / name).touch()

    assert Files(tmp_path).matching("/cpu*") == ["/cpu0", "/cpu1"]
    with pytest.raises(FileNotFoundError):
        Files(tmp_path).matching("/node*")


def test_fields_keep_the_first_of_equal_names() -> None:
    assert fields("model name\t: A: B\nnothing\nmodel name\t: C\nempty :\n") == {"model name": "A: B", "empty": ""}


@pytest.mark.skipif(sys.platform == "win32", reason="not on Windows: a loop of links stands for what can't be read")
def test_what_cannot_be_read_is_not_absent(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    files = Files(tmp_path)
    assert [files.exists(path) for path in ("/file", "/nothing", "/file/below")] == [True, False, False]
    with pytest.raises(OSError, match="symbolic links"):
        files.exists("/loop")
    assert not files.told("/loop")
    assert fact("/loop", lambda: files.exists("/loop"))["value"] is None
