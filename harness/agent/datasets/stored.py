"""Image sets on a file system: written, forced to the disk, and told when they are no longer what was written."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.agent.datasets.images import ImageSet

FRAME = 12  # bytes before a record: its length in 8, little-endian, and their checksum
CHECKSUM = 4  # bytes after a record
CIFAR10_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))


class DataSetError(Exception):
    """A set is missing, cut or not what it should be; the text names the file and says what to do."""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The files of a set in their order, and how many bytes each had when it was written."""

    paths: tuple[Path, ...]
    sizes: tuple[int, ...]
    sha256: str  # of all files one behind the other

    @classmethod
    def at(cls, paths: Sequence[Path]) -> Stored:
        """Force files that have just been written to the disk, and take down what they are."""
        digest = hashlib.sha256()
        sizes = []
        for path in paths:
            with path.open("r+b") as file:
                os.fsync(file.fileno())
                content = file.read()
            digest.update(content)
            sizes.append(len(content))
        return cls(paths=tuple(paths), sizes=tuple(sizes), sha256=digest.hexdigest())

    def complaint(self) -> str:
        """Return which file is not as it was written and what to do; '' if all are."""
        for path, size in zip(self.paths, self.sizes, strict=True):
            found = path.stat().st_size if path.exists() else None
            if found != size:
                what = "is missing" if found is None else f"has {found} of its {size} bytes"
                return f"data set: {path} {what}: something else changed it meanwhile; run the cell again"
        return ""


def write_files(folder: Path, images: ImageSet) -> Stored:
    """Write one JPEG file an image."""
    return _written(folder, ((f"{number:06d}.jpg", jpeg) for number, jpeg in enumerate(images.jpegs)))


def write_raw(folder: Path, images: ImageSet) -> Stored:
    """Write one file of uint8 pixels, image behind image, each (height, width, 3)."""
    folder.mkdir()
    path = folder / "images.raw"
    with path.open("wb") as file:
        for pixels in images.pixels():
            file.write(pixels.tobytes())
    return Stored.at([path])


def write_records(folder: Path, images: ImageSet, tensorflow: Any) -> Stored:  # noqa: ANN401 - a module
    """Write TFRecord shards `train-00000-of-…` with the features of ImageNet's that readers of it ask for."""
    folder.mkdir()
    starts = range(0, images.count, images.shard_size)
    paths = [folder / f"train-{number:05d}-of-{len(starts):05d}" for number in range(len(starts))]
    for path, start in zip(paths, starts, strict=True):
        with tensorflow.io.TFRecordWriter(str(path)) as writer:
            for number in range(start, min(start + images.shard_size, images.count)):
                writer.write(_example(images, number, tensorflow).SerializeToString(deterministic=True))
    return Stored.at(paths)


def shards(folder: Path) -> list[Path]:
    """Return the TFRecord shards `train-…` of a folder. Raises DataSetError if there is none."""
    found = sorted(folder.glob("train-*-of-*"))
    if not found:
        what = "holds no shard train-00000-of-…" if folder.is_dir() else "is no folder"
        raise DataSetError(f"data_dir: {folder} {what}: correct it, or mount it where the platform sees it")
    return found


def check_cifar10(folder: Path) -> None:
    """Raise DataSetError unless a folder holds CIFAR-10's training batches in the form for Python."""
    missing = [name for name in CIFAR10_BATCHES if not (folder / name).is_file()]
    if missing:
        what = f"holds no {missing[0]} of CIFAR-10" if folder.is_dir() else "is no folder"
        raise DataSetError(f"data_dir: {folder} {what}: correct it, or mount it where the platform sees it")


def damaged_shard(folder: Path) -> str:
    """Return which shard ends in the middle of a record, and where; '' if none does. Reads the lengths alone."""
    return next((found for found in map(_cut, shards(folder)) if found), "")


def _cut(path: Path) -> str:
    size, position, records = path.stat().st_size, 0, 0
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            head = file.read(FRAME)
            position += FRAME + int.from_bytes(head[:8], "little") + CHECKSUM
            if len(head) < FRAME or position > size:
                return f"{path} is cut at byte {size}, in the middle of record {records + 1}: make it anew"
            records += 1
    return ""


def _written(folder: Path, content: Iterable[tuple[str, bytes]]) -> Stored:
    folder.mkdir()
    paths = []
    for name, data in content:
        paths.append(folder / name)
        paths[-1].write_bytes(data)
    return Stored.at(paths)


def _example(images: ImageSet, number: int, tensorflow: Any) -> Any:  # noqa: ANN401 - a module, a message
    """The layout of build_imagenet_data.py in tensorflow/models, without bounding boxes."""
    train = tensorflow.train

    def numbers(value: int) -> Any:  # noqa: ANN401 - a message
        return train.Feature(int64_list=train.Int64List(value=[value]))

    def text(value: bytes) -> Any:  # noqa: ANN401 - a message
        return train.Feature(bytes_list=train.BytesList(value=[value]))

    label = images.labels[number]
    features = {
        "image/height": numbers(images.height),
        "image/width": numbers(images.width),
        "image/colorspace": text(b"RGB"),
        "image/channels": numbers(3),
        "image/class/label": numbers(label),
        "image/class/synset": text(f"n{label:08d}".encode()),
        "image/class/text": text(f"class {label}".encode()),
        "image/format": text(b"JPEG"),
        "image/filename": text(f"{number:06d}.jpg".encode()),
        "image/encoded": text(images.jpegs[number]),
    }
    return train.Example(features=train.Features(feature=features))
