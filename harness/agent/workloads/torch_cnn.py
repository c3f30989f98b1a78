"""Twins in torch of tf_cnn's `trivial` and `resnet50`: the same model and training step, without TensorFlow."""

from __future__ import annotations

import importlib
import time
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from harness.agent.messages import Metric, Scalar
from harness.agent.task import Context, Outcome, Task, Unavailable
from harness.agent.workloads.steps import Recorder, outcome

PARAMS: Mapping[str, Scalar] = {
    "batch_size": 32,
    "num_batches": 20,
    "num_warmup_batches": 5,
    "threads": 0,  # of torch; 0: as many as it chooses
    "seed": 0,  # of weights and data, the same on every platform
}


def run(context: Context) -> Outcome:
    """Train the twin that the task's entry names. Raises Unavailable where the stack has no torch."""
    if find_spec("torch") is None:
        msg = "This stack has no torch. Run the task on a stack that has it."
        raise Unavailable(msg)
    started = time.perf_counter()
    torch = importlib.import_module("torch")
    import_seconds = time.perf_counter() - started
    versions = _versions(torch)
    if context.spec.device != "cpu" and not torch.cuda.is_available():
        reason = "torch sees no GPU: its build is for CPU, or the driver is not visible here."
        return Outcome(metrics=(), versions=versions, status="failed", reason=reason)
    _configure(torch, context)
    recorder = Recorder(
        warmup=context.integer("num_warmup_batches"),
        batches=context.integer("num_batches"),
        progress=context.progress,
    )
    training = Training(torch, context)
    seconds = training.run(recorder)
    return outcome(
        recorder,
        images_per_second=context.integer("batch_size") * recorder.batches / seconds,
        import_seconds=import_seconds,
        versions=versions,
        further=training.device_metrics(recorder.warmup),
    )


class Training:
    """A model, its data on the device, and its steps."""

    def __init__(self, torch: Any, context: Context) -> None:  # noqa: ANN401 - a module
        models = importlib.import_module("harness.agent.workloads.torch_models")
        self._torch = torch
        self._device = torch.device(context.spec.device)
        self._batch_size = context.integer("batch_size")
        self._classes = models.CLASSES
        self._twin = models.TWINS[context.spec.entry.partition(".")[2]]
        self._model = self._twin.build().to(self._device)
        self._optimizer = torch.optim.SGD(models.parameter_groups(self._model), lr=0.0)
        self._images = self._synthetic_images()
        self._device_seconds: list[float] = []

    def run(self, recorder: Recorder) -> float:
        """Make every step and return the seconds of the timed ones, what lies between them included."""
        timed_from = time.perf_counter()
        for step in range(recorder.expected):
            if step == recorder.warmup:
                timed_from = time.perf_counter()
            recorder.add(*self._timed(step))
        return time.perf_counter() - timed_from

    def device_metrics(self, warmup: int) -> tuple[Metric, ...]:
        """Return the steps' time between two events on the GPU; nothing on a CPU."""
        if not self._device_seconds:
            return ()
        samples = tuple(self._device_seconds)
        return (Metric(name="cuda_step_seconds", unit="s", better="lower", samples=samples, warmup=warmup),)

    def _timed(self, step: int) -> tuple[float, float]:
        """Make a step and return its seconds and its loss. Fetching the loss waits for the device, as upstream does."""
        if self._device.type == "cpu":
            started = time.perf_counter()
            loss = self._step(step)
            return time.perf_counter() - started, loss
        cuda = self._torch.cuda
        first, last = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
        cuda.synchronize()
        started = time.perf_counter()
        first.record()
        loss = self._step(step, last)
        cuda.synchronize()
        seconds = time.perf_counter() - started
        self._device_seconds.append(first.elapsed_time(last) / 1000)
        return seconds, loss

    def _step(self, step: int, end: Any = None) -> float:  # noqa: ANN401 - a CUDA event
        torch = self._torch
        # Upstream draws labels anew in every step and keeps the images.
        labels = torch.randint(0, self._classes - 1, (self._batch_size,), device=self._device)
        for group in self._optimizer.param_groups:
            group["lr"] = self._twin.learning_rate(step, self._batch_size)
        self._optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(self._model(self._images), labels)
        loss.backward()
        self._optimizer.step()
        if end is not None:
            end.record()
        return float(loss.item())

    def _synthetic_images(self) -> Any:  # noqa: ANN401 - a tensor
        """Return upstream's synthetic images: normal around 127, deviation 60, cut at two deviations."""
        side = self._twin.image_size
        images = self._torch.empty(self._batch_size, 3, side, side, device=self._device)
        return self._torch.nn.init.trunc_normal_(images, mean=127.0, std=60.0, a=7.0, b=247.0)


def _configure(torch: Any, context: Context) -> None:  # noqa: ANN401 - a module
    threads = context.integer("threads")
    if threads > 0:
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(threads)
    torch.manual_seed(context.integer("seed"))
    if context.spec.device != "cpu":
        torch.cuda.set_device(context.spec.device)
        torch.backends.cudnn.benchmark = True  # TensorFlow, too, tries convolution algorithms out
        torch.set_float32_matmul_precision("high")  # TF32, TensorFlow's default


def _versions(torch: Any) -> dict[str, str]:  # noqa: ANN401 - a module
    found = {"torch": torch.__version__, "cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return {name: str(value) for name, value in found.items() if value is not None}


def _task(model: str, seconds: float) -> Task:
    return Task(
        summary=f"Training steps of a torch twin of tf_cnn's {model} on synthetic data.",
        run=run,
        params=PARAMS,
        frameworks=("torch",),
        devices=("cpu", "cuda"),
        seconds=seconds,
    )


TASKS: Mapping[str, Task] = {"trivial": _task("trivial", 6.0), "resnet50": _task("resnet50", 300.0)}
