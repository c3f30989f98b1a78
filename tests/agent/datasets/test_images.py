"""The pixels of an image set: nothing but the seed decides them."""

from __future__ import annotations

import hashlib
from typing import Any

from harness.agent.datasets.images import Encoder, ImageSet

ENCODER = Encoder(name="fake", encode=lambda pixels, quality: pixels.tobytes()[:quality])


def image_set(**changes: Any) -> ImageSet:  # noqa: ANN401 - fields of ImageSet
    values = {"count": 3, "width": 60, "height": 40, "quality": 90, "shard_size": 2, "seed": 0}
    return ImageSet(**{**values, "encoder": ENCODER, **changes})


def digest(images: ImageSet) -> str:
    return hashlib.sha256(b"".join(pixels.tobytes() for pixels in images.pixels())).hexdigest()


def test_the_seed_decides_the_pixels() -> None:
    # On x86_64, CPython 3.11.7 and numpy 2.4; every platform and version must give the same.
    assert digest(image_set()) == "624211aa22f5dc33a059cf558584642f56f1b5ff320b4054992980daf0429310"
    assert digest(image_set()) != digest(image_set(seed=1))


def test_a_longer_set_begins_with_the_shorter_one() -> None:
    short, long = ([pixels.tobytes() for pixels in image_set(count=count).pixels()] for count in (2, 3))
    assert long[:2] == short
    assert len(set(long)) == 3


def test_an_image_is_patches_under_noise() -> None:
    (pixels,) = image_set(count=1).pixels()
    assert (pixels.shape, pixels.dtype.name) == ((40, 60, 3), "uint8")
    within = pixels[:25, :25, 0].astype(int)
    assert 16 < within.max() - within.min() <= 63
    assert len({round(pixels[:25, x : x + 25, 0].mean()) for x in (0, 25)}) == 2


def test_images_are_encoded_once_at_their_quality() -> None:
    images = image_set(quality=7)
    assert [len(jpeg) for jpeg in images.jpegs] == [7, 7, 7]
    assert images.jpegs is images.jpegs


def test_labels_are_imagenets() -> None:
    labels = image_set(count=2001).labels
    assert (labels[0], labels[999], labels[1000], set(labels) == set(range(1, 1001))) == (1, 1000, 1, True)
