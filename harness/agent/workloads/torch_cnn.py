"""Twins in torch of models of tf_cnn: the same model and training step, without TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from harness.agent.messages import Scalar
from harness.agent.task import Context, Outcome, Task
from harness.agent.workloads import torch_graph, torch_ranks, torch_steps
from harness.agent.workloads.torch_ranks import Share
from harness.agent.workloads.torch_steps import Rate, Work

PARAMS: Mapping[str, Scalar] = {
    "batch_size": 32,
    "forward_only": False,
    "precision": "float32",  # float16 and bfloat16: torch's automatic mixed precision
    "channels_last": False,
    "compile": False,  # by torch.compile, which wants a C++ compiler on a CPU
    "cuda_graph": False,  # of the forward and backward pass; the optimizer's step stays outside
    "processes": 1,  # that share the training, each with batch_size images, and on GPUs each with one
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

    Raises Unavailable where the stack has no torch or GPUs are lacking, Unsupported for a CUDA graph on a CPU.
    """
    if context.flag("cuda_graph"):
        torch_graph.check(context.spec.device)
    images = context.integer("batch_size") * context.integer("processes")
    rate = Rate(name="images_per_second", unit="images/s", per_step=images)
    with ExitStack() as stack:

        def prepared(torch: Any, context: Context) -> Work:  # noqa: ANN401 - a module
            return _work(torch, context, stack.enter_context(torch_ranks.joined(torch, context)))

        return torch_steps.run(context, prepared, rate)


def follow(torch: Any, context: Context, share: Share) -> None:  # noqa: ANN401 - a module
    """Make the steps of a rank that is not measured."""
    torch_steps.configure(torch, context)
    work = _work(torch, context, share)
    for number in range(context.integer("num_warmup_batches") + context.integer("num_batches")):
        work.step(number)


def conflict(params: Mapping[str, Scalar]) -> str:
    """Return which parameters don't go together and what to do, empty if they do."""
    if params["processes"] != 1 and params["forward_only"]:
        return "processes share gradients, and forward_only has none. Set one of the two."
    if params["cuda_graph"] and (params["processes"] != 1 or params["compile"]):
        return "cuda_graph captures what one process runs without torch.compile. Leave processes and compile out."
    return ""


def _work(torch: Any, context: Context, share: Share) -> Work:  # noqa: ANN401 - a module
    return (Inference if context.flag("forward_only") else Training)(torch, context, share)


class _Model:
    """A model and its data on the device, as the parameters ask for them."""

    def __init__(self, torch: Any, context: Context, share: Share) -> None:  # noqa: ANN401 - a module
        models = importlib.import_module("harness.agent.workloads.torch_models")
        self._torch = torch
        self._device = torch.device(context.spec.device)
        self._batch_size = context.integer("batch_size")
        self._precision = context.text("precision")
        self._twin = models.TWINS[context.spec.entry.partition(".")[2]]
        layout = torch.channels_last if context.flag("channels_last") else torch.contiguous_format
        self._model = self._twin.model().to(self._device, memory_format=layout)
        self._images = self._synthetic_images().to(memory_format=layout)
        shared = share(self._model)
        self._forward = torch.compile(shared) if context.flag("compile") else shared
        self._graph = context.flag("cuda_graph")

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

    def __init__(self, torch: Any, context: Context, share: Share) -> None:  # noqa: ANN401 - a module
        super().__init__(torch, context, share)
        layers = importlib.import_module("harness.agent.workloads.torch_layers")
        self._optimizer = torch.optim.SGD(layers.parameter_groups(self._model), lr=0.0)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._precision == "float16")
        self._passes = torch_graph.captured(torch, self._eager) if self._graph else self._eager

    def step(self, number: int, end: Any = None) -> float:  # noqa: ANN401 - a CUDA event
        """Make a training step and return its loss: fetching it waits for the device, as upstream does."""
        for group in self._optimizer.param_groups:
            group["lr"] = self._twin.learning_rate(number, self._batch_size)
        self._passes()
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if end is not None:
            end.record()
        return float(self._loss.item())

    def _eager(self) -> None:
        """Compute loss and gradients, in memory that stays the same where this is captured."""
        labels = self._labels()
        self._optimizer.zero_grad(set_to_none=True)
        with self._mixed():
            self._loss = self._torch.nn.functional.cross_entropy(self._forward(self._images), labels)
        self._scaler.scale(self._loss).backward()


class Inference(_Model):
    """Forward passes in evaluation mode."""

    def __init__(self, torch: Any, context: Context, share: Share) -> None:  # noqa: ANN401 - a module
        super().__init__(torch, context, share)
        self._model.eval()
        self._pass = torch_graph.captured(torch, self._eager) if self._graph else self._eager

    def step(self, number: int, end: Any = None) -> float:  # noqa: ARG002, ANN401 - steps are alike; a CUDA event
        """Make a forward pass and return the mean of its outputs, as a sign of their soundness."""
        self._pass()
        if end is not None:
            end.record()
        return float(self._outputs.float().mean().item())

    def _eager(self) -> None:
        with self._torch.no_grad(), self._mixed():
            self._outputs = self._forward(self._images)


def _task(model: str) -> Task:
    return Task(
        summary=f"Training steps of a torch twin of tf_cnn's {model} on synthetic data.",
        run=run,
        params=PARAMS,
        frameworks=("torch",),
        devices=("cpu", "cuda"),
        choices={"precision": PRECISIONS},
        conflict=conflict,
        work=("batch_size", "num_batches"),
        seconds=SECONDS[model],
    )


TASKS: Mapping[str, Task] = {model: _task(model) for model in SECONDS}
