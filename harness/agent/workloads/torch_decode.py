"""A small GPT that decodes one token at a time at batch 1: many tiny kernels, where launching them costs the most.

The other end is `torch_matmul`, where nothing but arithmetic counts; every real workload lies between. A step is a
token. With `cuda_graph` all kernels of a step are launched as one graph: what that gains is what launching them costs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from harness.agent.messages import Scalar
from harness.agent.task import Context, Outcome, Task
from harness.agent.workloads import torch_graph, torch_steps
from harness.agent.workloads.steps import Items
from harness.agent.workloads.torch_steps import Prepare, whole

PARAMS: Mapping[str, Scalar] = {
    "layers": 8,
    "width": 512,
    "heads": 8,
    "vocabulary": 8192,
    "context": 256,  # tokens; the next text begins after them
    "cuda_graph": False,
    **torch_steps.PARAMS,
    "num_batches": 200,  # tokens
    "num_warmup_batches": 20,
}


def run(context: Context) -> Outcome:
    """Decode. Raises Unavailable where the stack has no torch, and as `chosen`."""
    return torch_steps.run(context, chosen(context), Items(name="token", per_step=1, on_device=1))


def chosen(context: Context) -> Prepare:  # noqa: ARG001 - all parameters go together
    """Return what prepares the decoding."""
    return whole(Decoding)


def conflict(params: Mapping[str, Scalar]) -> str:
    """Return which sizes don't fit and what to do, empty if they do."""
    if int(params["width"]) % int(params["heads"]):
        return f"width {params['width']} is no multiple of heads {params['heads']}. Change one of the two."
    return ""


class Decoding:
    """The model, the last token and its position, all on the device."""

    versions: Mapping[str, str] = {}
    data_seconds = 0.0

    def __init__(self, torch: Any, context: Context) -> None:  # noqa: ANN401 - a module
        model = importlib.import_module("harness.agent.workloads.torch_gpt").Gpt(
            **{name: context.integer(name) for name in ("layers", "width", "heads", "vocabulary", "context")}
        )
        self._torch = torch
        self._context = context.integer("context")
        self._model = model.to(context.spec.device).eval()
        self._token, self._position = (torch.zeros(1, dtype=torch.int64, device=context.spec.device) for _ in range(2))
        self._decode: Callable[[], None] = self._eager
        if context.flag("cuda_graph"):
            self._decode = torch_graph.captured(torch, self._eager)

    def step(self, number: int, end: Any = None) -> float:  # noqa: ANN401 - a CUDA event
        """Decode a token and return it."""
        self._position.fill_(number % self._context)
        self._decode()
        if end is not None:
            end.record()
        return float(self._token.item())

    def _eager(self) -> None:
        with self._torch.no_grad():
            self._token.copy_(self._model(self._token, self._position))


TASKS: Mapping[str, Task] = {
    "gpt": Task(
        summary="A small GPT decodes one token at a time: many tiny kernels, eager or as one CUDA graph.",
        run=run,
        params=PARAMS,
        frameworks=("torch",),
        devices=("cpu", "cuda"),
        conflict=conflict,
        unsupported=torch_graph.unsupported,
        work=("num_batches",),
        seconds=8.0,
    ),
}
