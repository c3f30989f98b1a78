"""Traces a few steps of tf_cnn or of a Keras twin by TensorFlow's profiler, and counts what they consist of."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.agent.messages import Metric
from harness.agent.task import Context, Outcome
from harness.agent.workloads import keras_cnn, tensorflow_trace, tf_cnn
from harness.agent.workloads.reads import Reads

WARMUP = 3  # steps before: they trace functions, try algorithms and fill TensorFlow's pools
STEPS = 3
XPLANE = (  # where TensorFlow has the messages of its traces: from 2.11 on, before
    "tensorflow.tsl.profiler.protobuf.xplane_pb2",
    "tensorflow.core.profiler.protobuf.xplane_pb2",
)


def run_tf_cnn(context: Context) -> Outcome:
    """Count a step of the upstream program. Raises what `tf_cnn.run` does."""
    with tempfile.TemporaryDirectory() as folder:
        tracing = Tracing(Path(folder))
        trained = tf_cnn.train(context, lambda _seconds, _loss: tracing.step(context))
        return tracing.outcome(context, trained.versions, trained.failure)


def run_keras_cnn(context: Context) -> Outcome:
    """Count a step of a Keras twin. Raises what `keras_cnn.run` does."""
    with tempfile.TemporaryDirectory() as folder:
        tracing = Tracing(Path(folder))
        ready = keras_cnn.imported(context)
        if not ready.failure:
            training = keras_cnn.Training(ready.tensorflow, ready.keras, context)
            for number in range(WARMUP + STEPS):
                training.timed(number)
                tracing.step(context)
        return tracing.outcome(context, ready.versions, ready.failure)


class Tracing:
    """The profiler, on from the end of the warm-up to the end of the last step."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self._reads: Reads | None = None
        self._files: list[Metric] = []

    def step(self, context: Context) -> None:
        """Take note that a step has ended."""
        self._made += 1
        profiler = importlib.import_module("tensorflow").profiler.experimental
        if self._made == WARMUP:
            profiler.start(str(self._folder))
            self._reads = Reads()
        if self._made == WARMUP + STEPS and self._reads:
            self._files = self._reads.per_step(STEPS)
            profiler.stop()
        context.progress(self._made, WARMUP + STEPS, "steps")

    def outcome(self, context: Context, versions: Mapping[str, str], failure: str) -> Outcome:
        """Return the counts; status `failed` with the reason if there is one, or if steps are missing."""
        reason = failure or ("" if self._made == WARMUP + STEPS else f"{self._made} steps were made.")
        if reason:
            return Outcome(metrics=(), versions=versions, status="failed", reason=reason)
        (written,) = self._folder.rglob("*.xplane.pb")
        events = list(tensorflow_trace.flat(_space(written.read_bytes())))
        found = tensorflow_trace.counts(events, steps=STEPS, device=context.spec.device)
        return Outcome(metrics=(*found, *self._files), versions=versions)


def _space(data: bytes) -> Any:  # noqa: ANN401 - a message, XSpace
    for name in XPLANE:
        try:
            return importlib.import_module(name).XSpace.FromString(data)
        except ModuleNotFoundError:
            continue
    msg = "this TensorFlow has no messages for its profiler's traces"
    raise ModuleNotFoundError(msg)
