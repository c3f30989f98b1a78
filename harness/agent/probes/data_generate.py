"""`data.generate`: how long a platform takes to make an image set, on every location.

The sets are those of `storage.loader`: by `source` one JPEG file an image, TFRecord shards in ImageNet's layout (by
TensorFlow), or one raw file, the same to the byte for the same parameters and encoder; each form's digest stands in
the versions. `generate_seconds` is all of a set: pixels from the seed, their encoding, writing, and forcing it to the
disk. `write_seconds` is the last two alone, of the same images with their JPEGs at hand: `raw` has none. Trainings on
real data have their sets made by the same code, each once a location, and find them there by their parameters.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from harness.agent.datasets import images
from harness.agent.datasets.images import ImageSet
from harness.agent.loops import PythonClock
from harness.agent.messages import Metric, Scalar
from harness.agent.probes.storage_loader import Loader, loader_of
from harness.agent.probes.storage_locations import Place, on_each_location
from harness.agent.task import Context, Outcome, Task

WARMUP = 1  # sets
RAW = "raw"


def run_generate(context: Context) -> Outcome:
    """Measure `generate_seconds` and `write_seconds` of each form on each location.

    A location that fails is left out with a warning. Raises Unavailable where the stack lacks a package or no location
    remains.
    """
    loader = loader_of(context.spec, batch_size=1)  # nothing is loaded
    sets = WARMUP + context.integer("sets")
    digests: dict[str, str] = {}

    def generate(place: Place) -> list[Metric]:
        metrics = []
        for source in loader.sources:
            names = ("generate_seconds",) if source == RAW else ("generate_seconds", "write_seconds")
            seconds: dict[str, list[float]] = {name: [] for name in names}
            for _ in range(sets):
                made = ImageSet.of(context, loader.encoder)
                for values in seconds.values():  # the second time the JPEGs are at hand
                    taken, digests[source] = _written(loader, source, place.directory / source, made)
                    values.append(taken)
            dims: dict[str, Scalar] = {"location": place.location, "source": source}
            metrics += [_metric(name, values, dims) for name, values in seconds.items()]
        return metrics

    one = ImageSet.of(context, loader.encoder)
    outcome = on_each_location(context, PythonClock(), {"generating": generate}, needs=one.raw_bytes * one.count)
    versions = {**loader.versions, **{f"data_set.{source}": digest for source, digest in digests.items()}}
    return Outcome(metrics=outcome.metrics, versions=versions, warnings=outcome.warnings)


def _written(loader: Loader, source: str, folder: Path, made: ImageSet) -> tuple[float, str]:
    """Write a set and remove it; return the seconds of writing, and what the set's digest is."""
    start = time.perf_counter()
    stored = loader.write(source, folder, made)
    seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return seconds, stored.sha256


def _metric(name: str, seconds: list[float], dims: dict[str, Scalar]) -> Metric:
    return Metric(name=name, unit="s", better="lower", samples=tuple(seconds), warmup=WARMUP, dims=dims)


TASK = Task(
    summary="Make an image set from its seed: JPEG files, TFRecords, one raw file, on every location.",
    run=run_generate,
    params={**images.PARAMS, "sets": 3},
    frameworks=("torch", "tensorflow"),
    work=("count", "sets"),
    limits=images.LIMITS,
    seconds=40.0,
)
