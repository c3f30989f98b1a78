"""The images of a set, from its seed: the same pixels on every platform, and the same bytes from the same encoder.

An image is a grid of patches of one colour each with noise over it: no photograph, but at quality 90 its JPEG has the
size of one (500 × 375: about 105 kB), so a decoder has as many bits to read and as many pixels to write. The pixels
come from Python's Mersenne Twister and integers alone, so no version of a library changes them.
"""

from __future__ import annotations

import importlib
import io
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import Any

from harness.agent.messages import Scalar
from harness.agent.task import Context

PATCH = 25  # pixels, the side of a patch
NOISE = 32  # of 256 levels: added or taken away at most
CLASSES = 1000  # labels from 1 on: ImageNet's in TFRecords, whose 0 is the background
CHANNELS = 3

PARAMS: dict[str, Scalar] = {
    "count": 128,
    "width": 500,
    "height": 375,
    "quality": 90,
    "shard_size": 64,  # images in a TFRecord shard
    "seed": 0,
}
TRAINING_PARAMS: dict[str, Scalar] = {"images": 256, "image_width": 500, "image_height": 375, "image_quality": 90}
"""Of a workload that trains on such a set."""
LIMITS = {"quality": (1.0, 100.0)}
TRAINING_LIMITS = {"image_quality": LIMITS["quality"]}
TRAINING_SHARD = 64


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Makes a JPEG of pixels (height, width, 3) of uint8 at a quality; `name` has the version: other bytes, another."""

    name: str
    encode: Callable[[Any, int], bytes]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """So many images of one size; their JPEGs are encoded once and kept."""

    count: int
    width: int
    height: int
    quality: int
    shard_size: int
    seed: int
    encoder: Encoder

    @classmethod
    def of(cls, context: Context, encoder: Encoder) -> ImageSet:
        """Read the set's parameters, those of PARAMS."""
        return cls(**{name: context.integer(name) for name in PARAMS}, encoder=encoder)

    @classmethod
    def to_train(cls, context: Context, encoder: Encoder) -> ImageSet:
        """Read the parameters of a training's set, those of TRAINING_PARAMS."""
        count, width, height, quality = map(context.integer, TRAINING_PARAMS)
        size = {"count": count, "width": width, "height": height, "quality": quality}
        return cls(**size, shard_size=TRAINING_SHARD, seed=0, encoder=encoder)

    @property
    def parameters(self) -> dict[str, int]:
        """What makes the set but for its encoder."""
        return {name: int(getattr(self, name)) for name in PARAMS}

    @property
    def raw_bytes(self) -> int:
        """The size of one image without compression."""
        return self.height * self.width * CHANNELS

    @property
    def labels(self) -> tuple[int, ...]:
        """The class of each image."""
        return tuple(1 + number % CLASSES for number in range(self.count))

    @cached_property
    def jpegs(self) -> tuple[bytes, ...]:
        """Each image as JPEG."""
        return tuple(self.encoder.encode(pixels, self.quality) for pixels in self.pixels())

    def pixels(self) -> Iterator[Any]:
        """Yield each image as an array (height, width, 3) of uint8."""
        numpy = importlib.import_module("numpy")
        source = random.Random(self.seed)  # noqa: S311 - no secret
        rows, columns = -(-self.height // PATCH), -(-self.width // PATCH)

        def drawn(rows: int, columns: int) -> Any:  # noqa: ANN401 - an array
            data = source.randbytes(rows * columns * CHANNELS)
            return numpy.frombuffer(data, numpy.uint8).reshape(rows, columns, CHANNELS)

        for _ in range(self.count):
            patches = drawn(rows, columns).repeat(PATCH, axis=0).repeat(PATCH, axis=1)
            noise = drawn(self.height, self.width).astype(numpy.int16) % (2 * NOISE) - NOISE
            yield (patches[: self.height, : self.width] + noise).clip(0, 255).astype(numpy.uint8)


def pillow_encoder() -> Encoder:
    """Return Pillow's JPEG encoder, its colours at half the resolution as is usual."""

    def encode(pixels: Any, quality: int) -> bytes:  # noqa: ANN401 - an array
        buffer = io.BytesIO()
        importlib.import_module("PIL.Image").fromarray(pixels).save(buffer, "JPEG", quality=quality)
        return buffer.getvalue()

    return Encoder(name=f"pillow {version('pillow')}", encode=encode)


def tensorflow_encoder(tensorflow: Any) -> Encoder:  # noqa: ANN401 - a module
    """Return TensorFlow's JPEG encoder, which keeps colours at half the resolution, as is usual."""

    def encode(pixels: Any, quality: int) -> bytes:  # noqa: ANN401 - an array
        encoded: bytes = tensorflow.io.encode_jpeg(pixels, quality=quality).numpy()
        return encoded

    return Encoder(name=f"tensorflow {tensorflow.__version__}", encode=encode)
