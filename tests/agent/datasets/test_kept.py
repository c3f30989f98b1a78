"""Image sets that are kept: made once, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from harness.agent.datasets.images import Encoder, ImageSet
from harness.agent.datasets.kept import ABOUT, FOLDER, kept
from harness.agent.datasets.stored import Stored, write_files, write_raw
from tests.agent.datasets.test_images import image_set


def forbidden(_folder: Path, _images: ImageSet) -> NoReturn:
    raise AssertionError("it was there already")


def test_a_set_is_made_once(tmp_path: Path) -> None:
    made = kept(tmp_path, "files", image_set(), write_files)
    assert kept(tmp_path, "files", image_set(), forbidden) == made
    assert made == Stored.at(made.paths)
    assert [path.name for path in (tmp_path / FOLDER).iterdir()] == [made.paths[0].parent.name]


def test_another_set_is_another(tmp_path: Path) -> None:
    other = Encoder(name="another version", encode=lambda _pixels, _quality: b"other bytes")
    made = [
        kept(tmp_path, "files", image_set(), write_files),
        kept(tmp_path, "files", image_set(seed=7), write_files),
        kept(tmp_path, "files", image_set(encoder=other), write_files),
        kept(tmp_path, "raw", image_set(), write_raw),
    ]
    assert len({stored.paths for stored in made}) == len({stored.sha256 for stored in made}) == 4


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def alter(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize(("name", "damage"), [("000001.jpg", cut), ("000001.jpg", alter), ("000001.jpg", Path.unlink)])
def test_a_damaged_set_is_made_anew(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    made = kept(tmp_path, "files", image_set(), write_files)
    damage(made.paths[0].parent / name)
    assert kept(tmp_path, "files", image_set(), write_files) == made == Stored.at(made.paths)


@pytest.mark.parametrize("about", ["", "{}", "[]", '{"names": 3, "sha256": ""}'])
def test_what_does_not_say_what_it_is_is_made_anew(tmp_path: Path, about: str) -> None:
    made = kept(tmp_path, "files", image_set(), write_files)
    (made.paths[0].parent / ABOUT).write_text(about, encoding="utf-8")
    assert kept(tmp_path, "files", image_set(), write_files) == made


def test_a_writer_that_dies_leaves_no_set(tmp_path: Path) -> None:
    def die(folder: Path, images: ImageSet) -> NoReturn:
        write_files(folder, images)
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        kept(tmp_path, "files", image_set(), die)
    assert list((tmp_path / FOLDER).iterdir()) == []


def test_of_two_writers_the_first_is_used(tmp_path: Path) -> None:
    def overtaken(folder: Path, images: ImageSet) -> Stored:
        first.append(kept(tmp_path, "files", image_set(), write_files))
        return write_files(folder, images)

    first: list[Stored] = []
    assert kept(tmp_path, "files", image_set(), overtaken) == first[0]
    assert len(list((tmp_path / FOLDER).iterdir())) == 1
