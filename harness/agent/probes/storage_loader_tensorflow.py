"""tf.data over JPEG files, TFRecord shards and raw pixels."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.agent.datasets.images import CHANNELS, ImageSet, tensorflow_encoder
from harness.agent.datasets.stored import Stored, write_files, write_raw, write_records
from harness.agent.messages import CellSpec
from harness.agent.probes.storage_loader import Passes, Way

Tensor = Any  # of TensorFlow, which is not installed where types are checked


class TensorFlowLoader:
    """tf.data: what runs in parallel is the map that reads files and decodes; records and pixels are read by one."""

    sources = ("files", "records", "raw")

    def __init__(self, *, batch_size: int) -> None:
        self._tf: Any = importlib.import_module("tensorflow")
        self._tf.config.set_visible_devices([], "GPU")  # loading needs none of its memory
        self._batch_size = batch_size
        self.encoder = tensorflow_encoder(self._tf)
        self.errors: tuple[type[Exception], ...] = (self._tf.errors.OpError,)
        self.versions: Mapping[str, str] = {"tensorflow": str(self._tf.__version__)}

    def ways(self, source: str, workers: Sequence[int]) -> list[Way]:  # noqa: ARG002 - the protocol's signature
        """Threads of tf.data."""
        return [Way(workers=count, start="threads" if count else "none") for count in workers]

    def write(self, source: str, folder: Path, images: ImageSet) -> Stored:
        """Write the set."""
        if source == "records":
            return write_records(folder, images, self._tf)
        return write_files(folder, images) if source == "files" else write_raw(folder, images)

    def passes(self, source: str, stored: Stored, images: ImageSet, way: Way) -> Passes:
        """Nothing tunes itself: no more than `workers` calls in parallel, no map made parallel behind our back."""
        parallel = way.workers or None
        options = self._tf.data.Options()
        options.autotune.enabled = False
        options.experimental_optimization.map_parallelization = False
        loaded = self._images(source, stored, images, parallel).batch(self._batch_size).with_options(options)
        if parallel:
            loaded = loaded.prefetch(1)

        def sizes() -> Iterator[int]:
            for _, labels in loaded:
                yield int(labels.shape[0])

        return sizes

    def _images(self, source: str, stored: Stored, images: ImageSet, parallel: int | None) -> Tensor:
        tf = self._tf
        paths = [str(path) for path in stored.paths]
        shape = (images.height, images.width, CHANNELS)
        if source == "records":
            return tf.data.TFRecordDataset(paths).map(self._from_example, num_parallel_calls=parallel)
        labels = tf.data.Dataset.from_tensor_slices(list(images.labels))
        if source == "files":
            named = tf.data.Dataset.zip((tf.data.Dataset.from_tensor_slices(paths), labels))
            return named.map(
                lambda path, label: (tf.io.decode_jpeg(tf.io.read_file(path), CHANNELS), label),
                num_parallel_calls=parallel,
            )
        raw = tf.data.Dataset.zip((tf.data.FixedLengthRecordDataset(paths, images.raw_bytes), labels))
        return raw.map(
            lambda data, label: (tf.reshape(tf.io.decode_raw(data, tf.uint8), shape), label),
            num_parallel_calls=parallel,
        )

    def _from_example(self, example: Tensor) -> tuple[Tensor, Tensor]:
        tf = self._tf
        layout = {
            "image/encoded": tf.io.FixedLenFeature([], tf.string),
            "image/class/label": tf.io.FixedLenFeature([], tf.int64),
        }
        found = tf.io.parse_single_example(example, layout)
        return tf.io.decode_jpeg(found["image/encoded"], CHANNELS), found["image/class/label"]


def loader(_spec: CellSpec, *, batch_size: int) -> TensorFlowLoader:
    """Return TensorFlow's loader."""
    return TensorFlowLoader(batch_size=batch_size)
