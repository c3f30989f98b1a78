"""One CUDA graph of what is done over and over: all its kernels are launched at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.agent.messages import Scalar

WARMUP = 3  # times on a stream of their own before a capture, as torch's documentation has it


def unsupported(device: str, params: Mapping[str, Scalar]) -> str:
    """Return why a workload can't use its graph on the device; '' if it can, or is not asked to."""
    if params["cuda_graph"] and device == "cpu":
        return "a CUDA graph needs a GPU: run the task without cuda_graph here"
    return ""


def captured(torch: Any, work: Callable[[], None]) -> Callable[[], None]:  # noqa: ANN401 - a module
    """Return what replays `work`, which must use the same memory each time and leave its results in it."""
    cuda = torch.cuda
    side = cuda.Stream()
    side.wait_stream(cuda.current_stream())
    with cuda.stream(side):
        for _ in range(WARMUP):
            work()
    cuda.current_stream().wait_stream(side)
    graph = cuda.CUDAGraph()
    with cuda.graph(graph):
        work()
    replay: Callable[[], None] = graph.replay
    return replay
