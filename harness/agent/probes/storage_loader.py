"""Data loading as a training does it: read, decode, make a batch of tensors, by the framework's own loader.

A sample is one pass over a set of images (an epoch): `samples_per_second` from asking for the first batch until the
last is there, with nobody who uses them. `first_batch_seconds` is what the very first pass waits for its first batch:
on top of a batch's own time it holds the start of the workers, for which the later passes do not pay.

By `source`: `files` are JPEG files, `records` TFRecord shards (TensorFlow alone reads them), `raw` is one file of
pixels that need no decoding. By `workers`: torch's worker processes, whose `start` is `fork` or `spawn` (`raw`: the
first of these that the system has), or tf.data's `num_parallel_calls` (`start` = `threads`); 0 loads where the batches
are used. Images are read in order, and every pass checks that it got all of them. With `cache` = `warm` the set was
written or read just before; with `cold` its pages were dropped before each pass. Where pages stay, cold is left out.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.agent import frameworks
from harness.agent.datasets import images
from harness.agent.datasets.images import Encoder, ImageSet
from harness.agent.datasets.stored import DataSetError, Stored
from harness.agent.loops import PythonClock
from harness.agent.messages import CellSpec, Metric, Scalar
from harness.agent.probes.storage_locations import Place, drop_pages, on_each_location
from harness.agent.task import Context, Outcome, Task, Unsupported

WARMUP = 1  # passes
Passes = Callable[[], Iterable[int]]  # begins a pass, yields the number of images of each batch


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a loader works: its parallel workers, how they start, and whether it copies batches to pinned memory."""

    workers: int
    start: str = "none"
    pin_memory: bool = False


class Loader(Protocol):
    """What a framework brings: an encoder, the sources that it reads, and its loader."""

    versions: Mapping[str, str]
    sources: Sequence[str]
    errors: tuple[type[Exception], ...]  # what a damaged set makes it raise
    encoder: Encoder

    def ways(self, source: str, workers: Sequence[int]) -> list[Way]:
        """Return every way to load from the source with so many workers."""

    def write(self, source: str, folder: Path, images: ImageSet) -> Stored:
        """Write the set."""

    def passes(self, source: str, stored: Stored, images: ImageSet, way: Way) -> Passes:
        """Return what begins a pass over the stored set."""


@dataclass(frozen=True, kw_only=True)
class Loading:
    """The parts of `storage.loader`."""

    loader: Loader
    images: ImageSet
    workers: Sequence[int]
    passes: int
    digests: dict[str, str] = field(default_factory=dict)  # by source, of the set that was written last
    stays: dict[str, str] = field(default_factory=dict)  # by location, why the set can't be dropped from memory

    @property
    def bytes(self) -> int:
        """What all forms of the set take at most: a JPEG is no larger than its pixels."""
        return self.images.raw_bytes * self.images.count * len(self.loader.sources)

    def load(self, place: Place) -> list[Metric]:
        """Write the set in each form; load it in every way: warm, and cold where its pages can be dropped."""
        metrics = []
        for source in self.loader.sources:
            stored = self.loader.write(source, place.directory / source, self.images)
            self.digests[source] = stored.sha256
            for way in self.loader.ways(source, self.workers):
                with _blamed(stored, self.loader.errors):
                    metrics += self._load(place, source, stored, way)
        return metrics

    def check_cold(self, place: Place) -> list[Metric]:
        """Raise Unsupported with the reason if cold passes were left out."""
        if reason := self.stays.get(place.location):
            raise Unsupported(reason)
        return []

    def _load(self, place: Place, source: str, stored: Stored, way: Way) -> list[Metric]:
        begin = self.loader.passes(source, stored, self.images, way)
        warm = [self._timed(begin) for _ in range(self.passes)]
        cold = [] if place.location in self.stays else self._cold(place, stored, begin)
        dims: dict[str, Scalar] = {"location": place.location, "source": source, **vars(way)}
        first = Metric(name="first_batch_seconds", unit="s", better="lower", samples=(warm[0][0],), dims=dims)
        rates = [self._rates(seconds, dims, cache) for cache, seconds in (("warm", warm), ("cold", cold)) if seconds]
        return [first, *rates]

    def _cold(self, place: Place, stored: Stored, begin: Passes) -> list[tuple[float, float]]:
        """Make the cold passes; none, and none in this location from now on, where the set stays in memory."""
        passes = []
        for _ in range(self.passes):
            try:
                drop_pages(list(stored.paths))
            except Unsupported as error:
                self.stays[place.location] = str(error)
                return []
            passes.append(self._timed(begin))
        return passes

    def _timed(self, begin: Passes) -> tuple[float, float]:
        """Return the seconds until the first batch and those until the last. Raises DataSetError if images lack."""
        arrived = []
        count = 0
        start = time.perf_counter()
        for size in begin():
            arrived.append(time.perf_counter() - start)
            count += size
        if count != self.images.count:
            raise DataSetError(f"data set: {count} of its {self.images.count} images were loaded")
        return arrived[0], arrived[-1]

    def _rates(self, seconds: Sequence[tuple[float, float]], dims: Mapping[str, Scalar], cache: str) -> Metric:
        return Metric(
            name="samples_per_second",
            unit="samples/s",
            better="higher",
            samples=tuple(self.images.count / whole for _, whole in seconds),
            warmup=WARMUP,
            dims={**dims, "cache": cache},
        )


def run_loader(context: Context) -> Outcome:
    """Measure `samples_per_second` and `first_batch_seconds` on each location.

    A location that fails is left out with a warning. Raises Unavailable where the stack lacks a package or no location
    remains; a damaged set and a loader that fails are `failed`.
    """
    loader = loader_of(context.spec, batch_size=context.integer("batch_size"))
    loading = Loading(
        loader=loader,
        images=ImageSet.of(context, loader.encoder),
        workers=_counts(context.integer("workers")),
        passes=WARMUP + context.integer("rounds"),
    )
    parts = {"data loading": loading.load, "cold reads": loading.check_cold}
    try:
        outcome = on_each_location(context, PythonClock(), parts, needs=loading.bytes)
    except DataSetError as error:
        return Outcome(metrics=(), versions=loader.versions, status="failed", reason=str(error))
    digests = {f"data_set.{source}": digest for source, digest in loading.digests.items()}
    return Outcome(metrics=outcome.metrics, versions={**loader.versions, **digests}, warnings=outcome.warnings)


def loader_of(spec: CellSpec, *, batch_size: int) -> Loader:
    """Return the loader of the stack's framework. Raises Unavailable where it lacks a package."""
    frameworks.load(spec)
    module = f"harness.agent.probes.storage_loader_{frameworks.named(spec)}"
    loader: Loader = importlib.import_module(module).loader(spec, batch_size=batch_size)
    return loader


def _counts(limit: int) -> list[int]:
    """Return 0 and the powers of two up to the limit."""
    return [0, *(1 << power for power in range(limit.bit_length()))]


@contextmanager
def _blamed(stored: Stored, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Raise DataSetError in place of what a framework says of a set that is not as it was written."""
    try:
        yield
    except errors as error:
        if complaint := stored.complaint():
            raise DataSetError(complaint) from error
        raise


TASK = Task(
    summary="Images a second by torch's DataLoader or tf.data, from JPEG files, TFRecords and raw pixels, by workers.",
    run=run_loader,
    params={**images.PARAMS, "batch_size": 16, "workers": 2, "rounds": 3},
    frameworks=("torch", "tensorflow"),
    devices=("cpu", "cuda"),  # the GPU's part is pinned memory
    work=("count",),
    limits=images.LIMITS,
    seconds=60.0,
)
