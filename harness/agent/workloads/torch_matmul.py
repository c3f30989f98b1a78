"""Matrix products and nothing else: the end of all workloads at which only the processor (or the GPU) counts.

A step is `products` products of square float32 matrices (TF32 on a GPU, as the other workloads). No kernel is short,
nothing is copied, nothing is allocated, no data are read: what a platform costs here is clock and share, and no
mechanism of the driver or the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.agent.messages import Scalar
from harness.agent.task import Context, Outcome, Task
from harness.agent.workloads import torch_steps
from harness.agent.workloads.steps import Items
from harness.agent.workloads.torch_steps import Prepare, whole

PARAMS: Mapping[str, Scalar] = {"size": 4096, "products": 1, **torch_steps.PARAMS}


def run(context: Context) -> Outcome:
    """Multiply. Raises Unavailable where the stack has no torch."""
    products = context.integer("products")
    return torch_steps.run(context, chosen(context), Items(name="product", per_step=products, on_device=products))


def chosen(context: Context) -> Prepare:  # noqa: ARG001 - all parameters go together
    """Return what prepares the matrices."""
    return whole(Products)


class Products:
    """Two matrices on the device, and room for their product."""

    versions: Mapping[str, str] = {}
    data_seconds = 0.0

    def __init__(self, torch: Any, context: Context) -> None:  # noqa: ANN401 - a module
        size = context.integer("size")
        self._torch = torch
        self._products = context.integer("products")
        self._left, self._right, self._product = (torch.rand(size, size, device=context.spec.device) for _ in range(3))

    def step(self, number: int, end: Any = None) -> float:  # noqa: ARG002, ANN401 - steps are alike; a CUDA event
        """Multiply `products` times and return an element of the product."""
        for _ in range(self._products):
            self._torch.mm(self._left, self._right, out=self._product)
        if end is not None:
            end.record()
        return float(self._product[0, 0].item())


TASKS: Mapping[str, Task] = {
    "square": Task(
        summary="Products of large square matrices: nothing but the processor's or the GPU's arithmetic.",
        run=run,
        params=PARAMS,
        frameworks=("torch",),
        devices=("cpu", "cuda"),
        work=("size", "size", "size", "products", "num_batches"),  # a product of matrices takes size³
        seconds=50.0,
    ),
}
