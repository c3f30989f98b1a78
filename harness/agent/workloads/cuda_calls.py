"""Which count of a step a call of the CUDA driver or its runtime belongs to, by the names that CUPTI gives calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from harness.agent.messages import Metric, Scalar
from harness.agent.step_counts import (
    ALLOCATIONS,
    COPIES,
    COPY_BYTES,
    DIRECTIONS,
    LAUNCHES,
    SYNCHRONIZATIONS,
    per_step,
)

# What the host submits: kernels and memsets one by one, a CUDA graph as a whole.
LAUNCHING = ("cudaLaunch", "cuLaunch", "cudaGraphLaunch", "cuGraphLaunch", "cudaMemset", "cuMemset")
ALLOCATING = ("cudaMalloc", "cuMemAlloc", "cuMemCreate")  # of device memory
PINNING = ("cudaMallocHost", "cuMemAllocHost")  # of host memory
SYNCHRONIZING = "Synchronize"  # cudaStreamSynchronize, cudaDeviceSynchronize, cuEventSynchronize, …


def count_of(call: str) -> str:
    """Return LAUNCHES, ALLOCATIONS or SYNCHRONIZATIONS; '' for any other call."""
    if not call.startswith("cu"):
        return ""
    if call.startswith(LAUNCHING):
        return LAUNCHES
    if call.startswith(ALLOCATING) and not call.startswith(PINNING):
        return ALLOCATIONS
    return SYNCHRONIZATIONS if SYNCHRONIZING in call else ""


class Copy(NamedTuple):
    """A copy by the GPU; `memory` is the host's, pinned or pageable, '' where it is not told or not the host's."""

    direction: str
    memory: str
    size: int  # bytes


def host_memory(text: str) -> str:
    """Return which kind of the host's memory a text names."""
    return next((kind for kind in ("pinned", "pageable") if kind in text.lower()), "")


def per_step_on_gpu(calls: Iterable[str], copies: Iterable[Copy], steps: int) -> list[Metric]:
    """Return the counts of a step from the host's calls and the GPU's copies, of so many steps.

    What did not happen is 0; copies with the host have the dim `memory` where it is told.
    """
    called = Counter(map(count_of, calls))
    number: Counter[tuple[str, str]] = Counter()
    size: Counter[tuple[str, str]] = Counter()
    for copy in copies:
        number[copy.direction, copy.memory] += 1
        size[copy.direction, copy.memory] += copy.size
    seen = {direction for direction, _ in number}
    paths = sorted(path for path in number if path[0] in DIRECTIONS)
    paths += [(direction, "") for direction in DIRECTIONS if direction not in seen]
    return [
        *(per_step(name, called[name] / steps) for name in (LAUNCHES, SYNCHRONIZATIONS, ALLOCATIONS)),
        *(per_step(COPIES, number[path] / steps, **_dims(*path)) for path in paths),
        *(per_step(COPY_BYTES, size[path] / steps, **_dims(*path)) for path in paths),
    ]


def _dims(direction: str, memory: str) -> dict[str, Scalar]:
    return {"direction": direction, "memory": memory} if memory else {"direction": direction}
