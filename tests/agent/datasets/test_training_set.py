"""The set of a training: made by another process, found by this one. Pillow is a fake; the process is real."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from harness.agent import own_process
from harness.agent.datasets import training_set as module
from harness.agent.datasets.images import Encoder, ImageSet
from harness.agent.datasets.kept import FOLDER
from harness.agent.datasets.stored import DataSetError, Stored
from harness.agent.datasets.training_set import in_memory, training_set
from tests.agent.datasets.test_images import image_set
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree

FAKE_PILLOW = """
class fromarray:
    def __init__(self, pixels): self.pixels = pixels
    def save(self, buffer, form, quality): buffer.write(bytes(self.pixels[0]))
"""


def forbidden(_pixels: object, _quality: int) -> NoReturn:
    raise AssertionError("this process encodes")


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ImageSet:
    """Install a fake Pillow for the process that makes the set; return a set that can't be encoded here."""
    site = tmp_path / "site"
    (site / "PIL").mkdir(parents=True)
    (site / "PIL" / "__init__.py").touch()
    (site / "PIL" / "Image.py").write_text(FAKE_PILLOW, encoding="utf-8")
    (site / "pillow-0.1.dist-info").mkdir()
    (site / "pillow-0.1.dist-info" / "METADATA").write_text("Name: pillow\nVersion: 0.1\n", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setattr(module, "isolation", lambda: ())
    return image_set(encoder=Encoder(name="pillow 0.1", encode=forbidden))


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "in_memory", lambda _folder: False)
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk"


def test_another_process_makes_the_set_once(images: ImageSet, disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with training_set(disk, "files", images) as made:
        assert len(made.paths) == images.count
    monkeypatch.setattr(own_process, "PROGRAM", "raise SystemExit('it was there already')")
    with training_set(disk, "files", images) as again:
        assert again == made == Stored.at(made.paths)


def test_in_memory_the_set_goes_with_its_training(
    images: ImageSet, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "in_memory", lambda _folder: True)
    with training_set(disk, "files", images) as made:
        assert all(path.is_file() and disk in path.parents for path in made.paths)
    assert list(disk.iterdir()) == []


@pytest.mark.parametrize(
    ("program", "error", "words"),
    [
        ("raise OSError(28, 'No space left on device')", DataSetError, "it could not be made: OSError.*No space left"),
        ("raise MemoryError", MemoryError, "the process that makes the data set: MemoryError"),
        ("pass", DataSetError, "what was made in .* is not there"),
    ],
)
def test_a_maker_that_fails_says_why(
    images: ImageSet, disk: Path, monkeypatch: pytest.MonkeyPatch, program: str, error: type[Exception], words: str
) -> None:
    monkeypatch.setattr(own_process, "PROGRAM", program)
    with pytest.raises(error, match=words), training_set(disk, "files", images):
        pass
    assert not (disk / FOLDER).exists()


@not_on_windows("it has no tmpfs")
def test_a_tmpfs_lies_in_memory(tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    assert in_memory(small_disk(1024))


@not_on_windows("it has no mountinfo")
@pytest.mark.parametrize(("kind", "told"), [("tmpfs", True), ("ramfs", True), ("ext4", False)])
def test_the_mount_tells(tmp_path: Path, kind: str, told: bool) -> None:
    device = tmp_path.stat().st_dev
    lines = [
        f"22 1 {os.major(device)}:{os.minor(device)} / / rw shared:1 - {kind} none rw",
        "23 1 0:9999 / /t rw - tmpfs t rw",
    ]
    files = tree(tmp_path, {"/proc/self/mountinfo": "\n".join(lines)})
    assert in_memory(tmp_path, files) is told
