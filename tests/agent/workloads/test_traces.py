"""The traces' readers on the traces of traces/README.md: recorded ones of a CPU, hand-written ones of a GPU."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.agent.messages import Metric
from harness.agent.workloads import tensorflow_trace, torch_trace
from harness.agent.workloads.cuda_calls import count_of

TRACES = Path(__file__).with_name("traces")

ON_GPU = {
    "sync_count": 2.0,
    "allocation_count": 0.5,
    "copy_count h2d": 1.0,
    "copy_count d2h": 1.0,
    "copy_count d2d": 1.0,
    "copy_bytes h2d": 602112.0,
    "copy_bytes d2h": 4.0,
    "copy_bytes d2d": 4096.0,
}


def read(name: str) -> Any:  # noqa: ANN401 - JSON
    return json.loads((TRACES / name).read_text(encoding="utf-8"))


def values(metrics: Iterable[Metric]) -> Mapping[str, float]:
    return {" ".join([metric.name, *map(str, metric.dims.values())]): metric.samples[0] for metric in metrics}


def test_a_step_of_torch_on_a_cpu() -> None:
    """Forward 2, gradient's seed 1, backward 10 (transposes and detached gradients too), update 2, loss 1."""
    found = values(torch_trace.counts(read("torch_cpu_recorded.json"), device="cpu"))
    assert found == {"operation_count": 16.0}


def test_a_step_of_torch_on_a_gpu() -> None:
    found = values(torch_trace.counts(read("torch_cuda_handwritten.json"), device="cuda:0"))
    assert found == {**ON_GPU, "operation_count": 4.0, "launch_count": 5.0}  # three kernels, a memset and a graph


def test_a_trace_without_steps_is_refused() -> None:
    with pytest.raises(torch_trace.TraceError, match="ProfilerStep"):
        torch_trace.counts({"traceEvents": [{"ph": "M", "name": "process_name"}]}, device="cpu")


def test_a_step_of_tensorflow_on_a_cpu() -> None:
    """Eight operations of the function, and the assignment that Python dispatches."""
    found = values(tensorflow_trace.counts(tensorflow_events("tensorflow_cpu_recorded.json"), steps=2, device="cpu"))
    assert found == {"operation_count": 9.0}


def test_a_step_of_tensorflow_on_a_gpu() -> None:
    events = tensorflow_events("tensorflow_cuda_handwritten.json")
    found = values(tensorflow_trace.counts(events, steps=2, device="cuda:0"))
    assert found == {**ON_GPU, "operation_count": 2.0, "launch_count": 3.0, "sync_count": 1.0}  # two kernels, a memset


def tensorflow_events(name: str) -> list[tensorflow_trace.Event]:
    return [tensorflow_trace.Event(*fields) for fields in read(name)]


@pytest.mark.parametrize(
    ("call", "count"),
    [
        ("cudaLaunchKernelExC", "launch_count"),
        ("cuLaunchCooperativeKernel", "launch_count"),
        ("cudaMallocAsync", "allocation_count"),
        ("cuMemAlloc_v2", "allocation_count"),
        ("cudaMallocHost", ""),
        ("cuMemAllocHost_v2", ""),
        ("cudaFree", ""),
        ("cudaEventSynchronize", "sync_count"),
        ("cuCtxSynchronize", "sync_count"),
        ("cudaMemcpyAsync", ""),
        ("cudaStreamIsCapturing", ""),
    ],
)
def test_calls_of_the_driver_by_name(call: str, count: str) -> None:
    assert count_of(call) == count
