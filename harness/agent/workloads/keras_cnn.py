"""Twins of tf_cnn as TensorFlow is written today: Keras 3 and `tf.function`, beside tf_cnn's graph and session."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from harness.agent.messages import Scalar
from harness.agent.task import Context, Outcome, Task, Unavailable
from harness.agent.workloads.steps import Items, Recorder, outcome, record
from harness.agent.workloads.upstream import IMAGENET_CLASSES, WEIGHT_DECAY

PARAMS: Mapping[str, Scalar] = {
    "batch_size": 32,
    "num_batches": 20,
    "num_warmup_batches": 5,
    "xla": False,
    "num_intra_threads": 0,  # 0: as many as TensorFlow chooses
    "num_inter_threads": 0,
    "seed": 0,
}


@dataclass(frozen=True, kw_only=True)
class Imported:
    """TensorFlow and Keras; `failure` says why they can't train here."""

    tensorflow: Any
    keras: Any
    seconds: float
    versions: Mapping[str, str]
    failure: str = ""


def run(context: Context) -> Outcome:
    """Train the twin that the task's entry names. Raises what `imported` does."""
    recorder = Recorder.of(context)
    ready = imported(context)
    if ready.failure:
        return Outcome(metrics=(), versions=ready.versions, status="failed", reason=ready.failure)
    seconds = record(recorder, Training(ready.tensorflow, ready.keras, context).timed)
    batch_size = context.integer("batch_size")
    return outcome(
        recorder,
        items=Items(name="image", per_step=batch_size, on_device=batch_size),
        per_second=batch_size * recorder.batches / seconds,
        import_seconds=ready.seconds,
        versions=ready.versions,
    )


def imported(context: Context) -> Imported:
    """Import both. Raises Unavailable where the stack has no TensorFlow or Keras 3."""
    if find_spec("tensorflow") is None:
        msg = "This stack has no TensorFlow. Run the task on a stack that has it."
        raise Unavailable(msg)
    started = time.perf_counter()
    tensorflow, keras = importlib.import_module("tensorflow"), importlib.import_module("keras")
    seconds = time.perf_counter() - started
    if int(keras.__version__.partition(".")[0]) < 3 or keras.backend.backend() != "tensorflow":
        msg = f"Keras {keras.__version__} on {keras.backend.backend()} is not Keras 3 on TensorFlow: change the stack."
        raise Unavailable(msg)
    missing = context.spec.device != "cpu" and not tensorflow.config.list_physical_devices("GPU")
    reason = "TensorFlow lists no GPU: its CUDA libraries or the driver are not visible here." if missing else ""
    return Imported(tensorflow=tensorflow, keras=keras, seconds=seconds, versions=_versions(tensorflow), failure=reason)


class Training:
    """A model, its data on the device, and its steps."""

    def __init__(self, tensorflow: Any, keras: Any, context: Context) -> None:  # noqa: ANN401 - modules
        _configure(tensorflow, keras, context)
        models = importlib.import_module("harness.agent.workloads.keras_models")
        self._tensorflow = tensorflow
        self._batch_size = context.integer("batch_size")
        self._twin = models.TWINS[context.spec.entry.partition(".")[2]]
        self._model = self._twin.model()
        self._decayed = _decayed(keras, self._model)
        self._optimizer = keras.optimizers.SGD(0.0)
        self._images = self._synthetic_images()
        self._train = tensorflow.function(self._once, jit_compile=context.flag("xla") or None)

    def timed(self, number: int) -> tuple[float, float]:
        """Make a training step; return its seconds and its loss: fetching it waits for the device."""
        started = time.perf_counter()
        self._optimizer.learning_rate = self._twin.learning_rate(number, self._batch_size)
        loss = float(self._train().numpy())
        return time.perf_counter() - started, loss

    def _once(self) -> Any:  # noqa: ANN401 - a tensor
        tf = self._tensorflow
        labels = tf.random.uniform((self._batch_size,), 0, IMAGENET_CLASSES - 1, dtype=tf.int32)
        with tf.GradientTape() as tape:
            logits = self._model(self._images, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            total = loss + WEIGHT_DECAY * tf.add_n([tf.nn.l2_loss(weights.value) for weights in self._decayed])
        weights = self._model.trainable_variables
        self._optimizer.apply(tape.gradient(total, weights), weights)
        return loss

    def _synthetic_images(self) -> Any:  # noqa: ANN401 - a tensor
        """Return upstream's synthetic images: normal around 127, deviation 60, cut at two deviations."""
        side = self._twin.image_size
        return self._tensorflow.random.truncated_normal((self._batch_size, side, side, 3), mean=127.0, stddev=60.0)


def _configure(tensorflow: Any, keras: Any, context: Context) -> None:  # noqa: ANN401 - modules
    threading = tensorflow.config.threading
    threading.set_intra_op_parallelism_threads(context.integer("num_intra_threads"))
    threading.set_inter_op_parallelism_threads(context.integer("num_inter_threads"))
    keras.utils.set_random_seed(context.integer("seed"))


def _decayed(keras: Any, model: Any) -> list[Any]:  # noqa: ANN401 - a module, a model
    """Return the weights that upstream's decay applies to."""
    kept = [layer for layer in model.layers if not isinstance(layer, keras.layers.BatchNormalization)]
    return [weights for layer in kept for weights in layer.trainable_variables]


def _versions(tensorflow: Any) -> dict[str, str]:  # noqa: ANN401 - a module
    found = {"tensorflow": str(tensorflow.__version__)}
    for package in ("keras", "numpy"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _task(model: str, seconds: float) -> Task:
    return Task(
        summary=f"Training steps of a Keras 3 twin of tf_cnn's {model} on synthetic data.",
        run=run,
        params=PARAMS,
        frameworks=("tensorflow",),
        devices=("cpu", "cuda"),
        work=("batch_size", "num_batches"),
        seconds=seconds,
    )


TASKS: Mapping[str, Task] = {"trivial": _task("trivial", 12.0), "resnet50": _task("resnet50", 450.0)}
