"""Which count of a step a call of the CUDA driver or its runtime belongs to, by the names that CUPTI gives calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from harness.agent.messages import Metric
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
    if call.startswith(LAUNCHING):
        return LAUNCHES
    if call.startswith(ALLOCATING) and not call.startswith(PINNING):
        return ALLOCATIONS
    return SYNCHRONIZATIONS if SYNCHRONIZING in call else ""


def per_step_on_gpu(calls: Iterable[str], copies: Iterable[tuple[str, int]], steps: int) -> list[Metric]:
    """Return the counts of a step from the host's calls, and the GPU's copies (direction, bytes), of so many steps.

    What did not happen is 0.
    """
    called = Counter(map(count_of, calls))
    number: Counter[str] = Counter()
    size: Counter[str] = Counter()
    for direction, length in copies:
        number[direction] += 1
        size[direction] += length
    return [
        *(per_step(name, called[name] / steps) for name in (LAUNCHES, SYNCHRONIZATIONS, ALLOCATIONS)),
        *(per_step(COPIES, number[way] / steps, direction=way) for way in DIRECTIONS),
        *(per_step(COPY_BYTES, size[way] / steps, direction=way) for way in DIRECTIONS),
    ]
