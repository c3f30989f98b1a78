"""Image sets on disk, and what is said of those that are damaged. TensorFlow's records: see test_on_stacks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.agent.datasets.stored import DataSetError, Stored, damaged_shard, write_files, write_raw
from tests.agent.datasets.test_images import image_set


def write_shard(path: Path, sizes: Sequence[int]) -> None:
    """Write records as TFRecord frames them, without checksums that hold."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(size.to_bytes(8, "little") + b"crc1" + b"x" * size + b"crc2" for size in sizes))


def test_files_hold_the_encoded_images(tmp_path: Path) -> None:
    images = image_set()
    stored = write_files(tmp_path / "files", images)
    assert [path.name for path in stored.paths] == ["000000.jpg", "000001.jpg", "000002.jpg"]
    assert [path.read_bytes() for path in stored.paths] == list(images.jpegs)
    assert stored.complaint() == ""


def test_the_raw_file_holds_image_behind_image(tmp_path: Path) -> None:
    images = image_set()
    stored = write_raw(tmp_path / "raw", images)
    assert stored.paths[0].read_bytes() == b"".join(pixels.tobytes() for pixels in images.pixels())
    assert stored.sizes == (3 * images.raw_bytes,)


def test_the_digest_is_the_content(tmp_path: Path) -> None:
    first, again, other = (
        write_files(tmp_path / name, image_set(seed=seed)).sha256 for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first == again != other


@pytest.mark.parametrize(("left", "words"), [(None, "is missing"), (10, "has 10 of its 90 bytes")])
def test_a_damaged_set_is_named(tmp_path: Path, left: int | None, words: str) -> None:
    stored: Stored = write_files(tmp_path / "files", image_set())
    damaged = stored.paths[1]
    content = damaged.read_bytes()
    damaged.unlink()
    if left is not None:
        damaged.write_bytes(content[:left])
    assert f"{damaged} {words}" in stored.complaint()


@pytest.mark.parametrize(
    ("cut", "record"), [(1, "record 3"), (4, "record 3"), (30, "record 3"), (43, "record 2"), (85, "record 1")]
)
def test_a_shard_that_is_cut_is_named(tmp_path: Path, cut: int, record: str) -> None:
    write_shard(tmp_path / "train-00000-of-00002", [20, 5])
    shard = tmp_path / "train-00001-of-00002"
    write_shard(shard, [10, 10, 20])
    assert damaged_shard(tmp_path) == ""
    left = shard.read_bytes()[:-cut]
    shard.write_bytes(left)
    said = damaged_shard(tmp_path)
    assert f"{shard} is cut at byte {len(left)}" in said
    assert record in said


def test_a_shard_that_is_cut_between_records_is_whole(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-00000-of-00001", [])
    assert damaged_shard(tmp_path) == ""


def test_without_shards_there_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(DataSetError, match="holds no shard"):
        damaged_shard(tmp_path)
    with pytest.raises(DataSetError, match="is no folder"):
        damaged_shard(tmp_path / "gone")
