"""Twins in torch of models of tf_cnn: the same model and training step, without TensorFlow."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from harness.agent.datasets.images import TRAINING_LIMITS
from harness.agent.datasets.stored import DataSetError
from harness.agent.messages import Scalar
from harness.agent.task import Context, Outcome, Task
from harness.agent.workloads import torch_graph, torch_images, torch_ranks, torch_steps
from harness.agent.workloads.steps import Items
from harness.agent.workloads.torch_images import Images, layout
from harness.agent.workloads.torch_ranks import Share
from harness.agent.workloads.torch_steps import Prepare, Work

PARAMS: Mapping[str, Scalar] = {
    "batch_size": 32,
    "forward_only": False,
    "precision": "float32",  # float16 and bfloat16: torch's automatic mixed precision
    "channels_last": False,
    "compile": False,  # by torch.compile, which wants a C++ compiler on a CPU
    "cuda_graph": False,  # of the forward and backward pass; the optimizer's step stays outside
    "processes": 1,  # that share the training, each with batch_size images, and on GPUs each with one
    **torch_images.PARAMS,
    **torch_steps.PARAMS,
}
LIMITS = {"workers": (0.0, 64.0), **TRAINING_LIMITS}
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
    "resnet20": 15.0,
}
ON_CIFAR10 = frozenset({"resnet20"})


def run(context: Context) -> Outcome:
    """Train the twin that the task's entry names. Raises Unavailable where the stack has no torch, and as `chosen`."""
    batch_size = context.integer("batch_size")
    images = Items(name="image", per_step=batch_size * context.integer("processes"), on_device=batch_size)
    try:
        return torch_steps.run(context, chosen(context), images, losses=not context.flag("forward_only"))
    except DataSetError as error:
        return Outcome(metrics=(), status="failed", reason=str(error))


def chosen(context: Context) -> Prepare:
    """Return what prepares the twin that the entry names. Raises Unavailable where there is no place for its data."""
    torch_images.check(context)
    return _prepared


def follow(torch: Any, context: Context, share: Share) -> None:  # noqa: ANN401 - a module
    """Make the steps of a rank that is not measured."""
    torch_steps.configure(torch, context)
    with _work(torch, context, share) as work:
        for number in range(context.integer("num_warmup_batches") + context.integer("num_batches")):
            work.step(number)


def conflict(model: str, params: Mapping[str, Scalar]) -> str:
    """Return which parameters don't go together and what to do, empty if they do."""
    if params["real_data"] and model in ON_CIFAR10:
        return f"real_data makes images of ImageNet's size, and {model} is made for CIFAR-10's. Leave it out."
    if params["processes"] != 1 and params["forward_only"]:
        return "processes share gradients, and forward_only has none. Set one of the two."
    if params["cuda_graph"] and (params["processes"] != 1 or params["compile"]):
        return "cuda_graph captures what one process runs without torch.compile. Leave processes and compile out."
    if params["cuda_graph"] and params["real_data"]:
        return "cuda_graph reads the same memory in each step, and real_data brings new images. Set one of the two."
    return ""


@contextmanager
def _prepared(torch: Any, context: Context) -> Iterator[Work]:  # noqa: ANN401 - a module
    with torch_ranks.joined(torch, context) as share, _work(torch, context, share) as work:
        yield work


@contextmanager
def _work(torch: Any, context: Context, share: Share) -> Iterator[Work]:  # noqa: ANN401 - a module
    models = importlib.import_module("harness.agent.workloads.torch_models")
    twin = models.TWINS[context.spec.entry.partition(".")[2]]
    kind = Inference if context.flag("forward_only") else Training
    with torch_images.supplied(torch, context, twin.image_size, twin.classes) as images:
        yield kind(torch, context, twin, images, share)


class _Model:
    """A model and its data on the device, as the parameters ask for them."""

    def __init__(self, torch: Any, context: Context, twin: Any, images: Images, share: Share) -> None:  # noqa: ANN401
        self._torch = torch
        self._device = torch.device(context.spec.device)
        self._batch_size = context.integer("batch_size")
        self._precision = context.text("precision")
        self._twin = twin
        self._supply = images
        self.versions: Mapping[str, str] = {**images.versions, **torch_ranks.versions(torch, context)}
        self.data_seconds = images.data_seconds
        self._model = twin.model().to(self._device, memory_format=layout(torch, context))
        shared = share(self._model)
        self._forward = torch.compile(shared) if context.flag("compile") else shared
        self._graph = context.flag("cuda_graph")

    def _mixed(self) -> Any:  # noqa: ANN401 - a context manager
        """Return what the forward pass runs in."""
        dtype = getattr(self._torch, self._precision)
        return self._torch.autocast(self._device.type, dtype=dtype, enabled=self._precision != "float32")


class Training(_Model):
    """Steps of stochastic gradient descent."""

    def __init__(self, torch: Any, context: Context, twin: Any, images: Images, share: Share) -> None:  # noqa: ANN401
        super().__init__(torch, context, twin, images, share)
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
        images, labels = self._supply.images(), self._supply.labels()
        self._optimizer.zero_grad(set_to_none=True)
        with self._mixed():
            self._loss = self._torch.nn.functional.cross_entropy(self._forward(images), labels)
        self._scaler.scale(self._loss).backward()


class Inference(_Model):
    """Forward passes in evaluation mode."""

    def __init__(self, torch: Any, context: Context, twin: Any, images: Images, share: Share) -> None:  # noqa: ANN401
        super().__init__(torch, context, twin, images, share)
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
            self._outputs = self._forward(self._supply.images())


def _task(model: str) -> Task:
    return Task(
        summary=f"Training steps of a torch twin of tf_cnn's {model} on synthetic data, or on JPEG files.",
        run=run,
        params=PARAMS,
        frameworks=("torch",),
        devices=("cpu", "cuda"),
        choices={"precision": PRECISIONS},
        conflict=partial(conflict, model),
        unsupported=torch_graph.unsupported,
        work=("batch_size", "num_batches"),
        limits=LIMITS,
        seconds=SECONDS[model],
    )


TASKS: Mapping[str, Task] = {model: _task(model) for model in SECONDS}
