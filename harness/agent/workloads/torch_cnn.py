"""Twins in torch of models of tf_cnn: the same model and training step, without TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from harness.agent.messages import Scalar
from harness.agent.task import Context, Outcome, Task, Unsupported
from harness.agent.workloads import torch_steps
from harness.agent.workloads.torch_steps import Rate

PARAMS: Mapping[str, Scalar] = {
    "batch_size": 32,
    "forward_only": False,
    "precision": "float32",  # float16 and bfloat16: torch's automatic mixed precision
    "channels_last": False,
    "compile": False,  # by torch.compile, which wants a C++ compiler on a CPU
    **torch_steps.PARAMS,
}
PRECISIONS = ("float32", "float16", "bfloat16")

# Seconds of one invocation with these parameters on 2 CPU cores (a rough expectation).
SECONDS: Mapping[str, float] = {
    "trivial": 6.0,
    "lenet": 8.0,
    "alexnet": 60.0,
    "vgg16": 700.0,
    "resnet50": 300.0,
    "resnet50_v1.5": 320.0,
    "inception3": 400.0,
    "resnet20": 15.0,  # on CIFAR-10's images
}


def run(context: Context) -> Outcome:
    """Train the twin that the task's entry names.

    Raises Unavailable where the stack has no torch, Unsupported for a precision that there is not.
    """
    if context.text("precision") not in PRECISIONS:
        msg = f"precision {context.text('precision')} is not one of {', '.join(PRECISIONS)}: correct it in matrix.yaml"
        raise Unsupported(msg)
    rate = Rate(name="images_per_second", unit="images/s", per_step=context.integer("batch_size"))
    return torch_steps.run(context, Inference if context.flag("forward_only") else Training, rate)


class _Model:
    """A model and its data on the device, as the parameters ask for them."""

    def __init__(self, torch: Any, context: Context) -> None:  # noqa: ANN401 - a module
        models = importlib.import_module("harness.agent.workloads.torch_models")
        self._torch = torch
        self._device = torch.device(context.spec.device)
        self._batch_size = context.integer("batch_size")
        self._precision = context.text("precision")
        self._twin = models.TWINS[context.spec.entry.partition(".")[2]]
        layout = torch.channels_last if context.flag("channels_last") else torch.contiguous_format
        self._model = self._twin.model().to(self._device, memory_format=layout)
        self._images = self._synthetic_images().to(memory_format=layout)
        self._forward = torch.compile(self._model) if context.flag("compile") else self._model

    def _mixed(self) -> Any:  # noqa: ANN401 - a context manager
        """Return what the forward pass runs in."""
        dtype = getattr(self._torch, self._precision)
        return self._torch.autocast(self._device.type, dtype=dtype, enabled=self._precision != "float32")

    def _labels(self) -> Any:  # noqa: ANN401 - a tensor
        """Return new labels: upstream draws them anew in every step and keeps the images."""
        return self._torch.randint(0, self._twin.classes - 1, (self._batch_size,), device=self._device)

    def _synthetic_images(self) -> Any:  # noqa: ANN401 - a tensor
        """Return upstream's synthetic images: normal around 127, deviation 60, cut at two deviations."""
        side = self._twin.image_size
        images = self._torch.empty(self._batch_size, 3, side, side, device=self._device)
        return self._torch.nn.init.trunc_normal_(images, mean=127.0, std=60.0, a=7.0, b=247.0)


class Training(_Model):
    """Steps of stochastic gradient descent."""

    def __init__(self, torch: Any, context: Context) -> None:  # noqa: ANN401 - a module
        super().__init__(torch, context)
        layers = importlib.import_module("harness.agent.workloads.torch_layers")
        self._optimizer = torch.optim.SGD(layers.parameter_groups(self._model), lr=0.0)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._precision == "float16")

    def step(self, number: int, end: Any = None) -> float:  # noqa: ANN401 - a CUDA event
        """Make a training step and return its loss: fetching it waits for the device, as upstream does."""
        labels = self._labels()
        for group in self._optimizer.param_groups:
            group["lr"] = self._twin.learning_rate(number, self._batch_size)
        self._optimizer.zero_grad(set_to_none=True)
        with self._mixed():
            loss = self._torch.nn.functional.cross_entropy(self._forward(self._images), labels)
        self._scaler.scale(loss).backward()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if end is not None:
            end.record()
        return float(loss.item())


class Inference(_Model):
    """Forward passes in evaluation mode."""

    def step(self, number: int, end: Any = None) -> float:  # noqa: ARG002, ANN401 - steps are alike; a CUDA event
        """Make a forward pass and return the mean of its outputs, as a sign of their soundness."""
        self._model.eval()
        with self._torch.no_grad(), self._mixed():
            outputs = self._forward(self._images)
        if end is not None:
            end.record()
        return float(outputs.float().mean().item())


def _task(model: str) -> Task:
    return Task(
        summary=f"Training steps of a torch twin of tf_cnn's {model} on synthetic data.",
        run=run,
        params=PARAMS,
        frameworks=("torch",),
        devices=("cpu", "cuda"),
        work=("batch_size", "num_batches"),
        seconds=SECONDS[model],
    )


TASKS: Mapping[str, Task] = {model: _task(model) for model in SECONDS}
