"""Twins in torch of tf_cnn's `trivial` and `resnet50`: the same model and training step, without TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from harness.agent.messages import Scalar
from harness.agent.task import Context, Outcome, Task
from harness.agent.workloads import torch_steps
from harness.agent.workloads.torch_steps import Rate

PARAMS: Mapping[str, Scalar] = {"batch_size": 32, **torch_steps.PARAMS}


def run(context: Context) -> Outcome:
    """Train the twin that the task's entry names. Raises Unavailable where the stack has no torch."""
    rate = Rate(name="images_per_second", unit="images/s", per_step=context.integer("batch_size"))
    return torch_steps.run(context, Training, rate)


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

    def step(self, number: int, end: Any = None) -> float:  # noqa: ANN401 - a CUDA event
        """Make a training step and return its loss: fetching it waits for the device, as upstream does."""
        torch = self._torch
        # Upstream draws labels anew in every step and keeps the images.
        labels = torch.randint(0, self._classes - 1, (self._batch_size,), device=self._device)
        for group in self._optimizer.param_groups:
            group["lr"] = self._twin.learning_rate(number, self._batch_size)
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


def _task(model: str, seconds: float) -> Task:
    return Task(
        summary=f"Training steps of a torch twin of tf_cnn's {model} on synthetic data.",
        run=run,
        params=PARAMS,
        frameworks=("torch",),
        devices=("cpu", "cuda"),
        work=("batch_size", "num_batches"),
        seconds=seconds,
    )


TASKS: Mapping[str, Task] = {"trivial": _task("trivial", 6.0), "resnet50": _task("resnet50", 300.0)}
