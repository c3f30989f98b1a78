"""Marks of hidden values: equal where the values are, and nothing without the key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.runner.marks import KEY, check, marks

VALUES = {"platforms.lab.host": "ann@lab.example", "platforms.docker.environment.TOKEN": "ann@lab.example"}


def test_a_mark_is_the_same_for_one_key_place_and_value(tmp_path: Path) -> None:
    first = marks(VALUES, tmp_path)
    assert marks(VALUES, tmp_path) == first
    assert len(set(first.values.values())) == 2, "one value at two places is not shown to be one"
    assert "lab" not in "".join(first.values.values())


def test_each_cache_folder_has_a_key_of_its_own_that_only_its_user_reads(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
    one, other = (marks(VALUES, folder) for folder in folders)
    assert one.key != other.key
    assert not set(one.values.values()) & set(other.values.values())
    if os.name == "posix":
        assert (folders[0] / KEY).stat().st_mode & 0o777 == 0o600


def test_a_key_that_was_cut_is_drawn_anew(tmp_path: Path) -> None:
    (tmp_path / KEY).write_bytes(b"cut")
    assert marks(VALUES, tmp_path) == marks(VALUES, tmp_path)
    assert len((tmp_path / KEY).read_bytes()) == 32


def test_a_changed_value_is_refused_by_its_place(tmp_path: Path) -> None:
    recorded = marks(VALUES, tmp_path)
    assert check("run", recorded, VALUES, tmp_path) == ()
    with pytest.raises(UsageError, match=r"--resume run: platforms\.lab\.host is not what it was") as caught:
        check("run", recorded, VALUES | {"platforms.lab.host": "ann@other.example"}, tmp_path)
    assert "other.example" not in str(caught.value)


def test_what_no_mark_tells_is_said_to_be_unchecked(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    elsewhere = marks(VALUES, tmp_path / "other")
    assert check("run", elsewhere, VALUES, tmp_path) == tuple(VALUES)
