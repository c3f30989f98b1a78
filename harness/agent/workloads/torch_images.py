"""Where a torch training's images come from: drawn once as upstream draws them, or JPEG files through a DataLoader.

The files are a set made from a seed (`harness.agent.datasets`) in the platform's first location, read over and over. A
worker reads a file, decodes it with Pillow and scales it to the model's input; torch brings them together, and the
training turns the pixels into float32 on its device.
"""

from __future__ import annotations

import importlib
import multiprocessing
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from harness.agent.datasets.images import TRAINING_PARAMS, ImageSet, pillow_encoder
from harness.agent.datasets.stored import DataSetError, Stored
from harness.agent.datasets.training_set import training_set
from harness.agent.datasets.worker_errors import in_short
from harness.agent.messages import Scalar
from harness.agent.task import Context, Unavailable

PARAMS: Mapping[str, Scalar] = {
    "real_data": False,
    "workers": 2,
    **TRAINING_PARAMS,
}  # workers of the DataLoader; 0: none
AHEAD = 2  # batches that each worker has ready, torch's default


class Images(Protocol):
    """What a training takes its batches from; `data_seconds` is what making the files took."""

    versions: Mapping[str, str]
    data_seconds: float

    def images(self) -> Any:  # noqa: ANN401 - a tensor
        """Return the images of the next step on the device: float32, (batch, 3, side, side)."""

    def labels(self) -> Any:  # noqa: ANN401 - a tensor
        """Return their labels."""


class Synthetic:
    """One batch for all steps; upstream draws the labels anew in every step and keeps the images."""

    versions: Mapping[str, str] = {}
    data_seconds = 0.0

    def __init__(self, torch: Any, context: Context, side: int, classes: int) -> None:  # noqa: ANN401 - a module
        self._torch = torch
        self._device = context.spec.device
        self._classes = classes
        images = torch.empty(context.integer("batch_size"), 3, side, side, device=self._device)
        drawn = torch.nn.init.trunc_normal_(images, mean=127.0, std=60.0, a=7.0, b=247.0)  # upstream's
        self._images = drawn.to(memory_format=layout(torch, context))

    def images(self) -> Any:  # noqa: ANN401 - a tensor
        """Return the same images again."""
        return self._images

    def labels(self) -> Any:  # noqa: ANN401 - a tensor
        """Draw labels."""
        return self._torch.randint(0, self._classes - 1, (len(self._images),), device=self._device)


class Loaded:
    """The batches of a DataLoader."""

    def __init__(self, torch: Any, context: Context, loader: Any, stored: Stored, seconds: float) -> None:  # noqa: ANN401
        self.data_seconds = seconds
        self._device = context.spec.device
        self._form = {"dtype": torch.float32, "memory_format": layout(torch, context)}
        self._batches = iter(loader)
        self._labels: Any = None
        self.versions: Mapping[str, str] = {"pillow": version("pillow"), "data_set.files": stored.sha256}

    def images(self) -> Any:  # noqa: ANN401 - a tensor
        """Wait for the next batch and move it to the device."""
        with in_short():
            images, self._labels = next(self._batches)
        return images.to(self._device, non_blocking=True).to(**self._form)

    def labels(self) -> Any:  # noqa: ANN401 - a tensor
        """Return the labels of the batch that `images` gave."""
        return self._labels.to(self._device, non_blocking=True)

    def close(self) -> None:
        """End the workers."""
        self._batches = iter(())


@dataclass(frozen=True)
class Scaled:
    """A map-style data set of `length` images, the files over and over: (3, side, side) of uint8, and the class."""

    paths: tuple[str, ...]
    labels: tuple[int, ...]
    side: int
    length: int

    def __len__(self) -> int:
        """Return the number of images."""
        return self.length

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Read, decode and scale an image."""
        torch, numpy, pillow = map(importlib.import_module, ("torch", "numpy", "PIL.Image"))
        number = index % len(self.paths)
        with pillow.open(self.paths[number]) as image:
            scaled = image.convert("RGB").resize((self.side, self.side), pillow.Resampling.BILINEAR)
        return torch.from_numpy(numpy.array(scaled)).permute(2, 0, 1), self.labels[number]


def check(context: Context) -> None:
    """Raise Unavailable if there is no place for the set, or nothing to decode it."""
    if not context.flag("real_data"):
        return
    if not context.spec.locations:
        raise Unavailable("torch_cnn: the platform offers no location to write the data set to")
    for module, package in (("PIL", "pillow"), ("numpy", "numpy")):
        if find_spec(module) is None:
            raise Unavailable(f"torch_cnn: this stack has no {package}, which real_data needs: install it")


@contextmanager
def supplied(torch: Any, context: Context, side: int, classes: int) -> Iterator[Images]:  # noqa: ANN401 - a module
    """Yield the images that the parameters ask for.

    Raises DataSetError if the set was changed meanwhile.
    """
    if not context.flag("real_data"):
        yield Synthetic(torch, context, side, classes)
        return
    started = time.perf_counter()
    importlib.import_module("PIL.Image").preinit()  # else the first image to be opened loads Pillow's decoders
    images = ImageSet.to_train(context, pillow_encoder())
    with training_set(Path(context.spec.locations[0].path), "files", images) as stored:
        seconds = time.perf_counter() - started
        loaded = Loaded(torch, context, _loader(torch, context, stored, images.labels, side), stored, seconds)
        try:
            yield loaded
        except (OSError, RuntimeError) as error:
            if complaint := stored.complaint():
                raise DataSetError(complaint) from error
            raise
        finally:
            loaded.close()


def layout(torch: Any, context: Context) -> Any:  # noqa: ANN401 - a module, a memory format
    """Return how images and weights lie in memory."""
    return torch.channels_last if context.flag("channels_last") else torch.contiguous_format


def _loader(torch: Any, context: Context, stored: Stored, labels: tuple[int, ...], side: int) -> Any:  # noqa: ANN401
    steps = context.integer("num_warmup_batches") + context.integer("num_batches")
    workers, batch_size = context.integer("workers"), context.integer("batch_size")
    ahead = AHEAD * workers + 1  # so that the workers are as busy in the last step as in any
    starts = [name for name in ("fork", "spawn") if name in multiprocessing.get_all_start_methods()]
    return torch.utils.data.DataLoader(
        Scaled(tuple(map(str, stored.paths)), labels, side, (steps + ahead) * batch_size),
        batch_size=batch_size,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        multiprocessing_context=starts[0] if workers else None,
        pin_memory=context.spec.device != "cpu",
    )
