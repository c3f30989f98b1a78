"""The traces' readers on the traces of traces/README.md: recorded ones of a CPU, hand-written ones of a GPU."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.agent.messages import Metric
from harness.agent.workloads import tensorflow_trace, torch_trace
from harness.agent.workloads.cuda_calls import Copy, count_of, per_step_on_gpu

TRACES = Path(__file__).with_name("traces")

ON_GPU = {
    "sync_count": 2.0,
    "allocation_count": 0.5,
    "copy_count h2d pinned": 1.0,
    "copy_count d2h pageable": 1.0,
    "copy_count d2d": 1.0,
    "copy_bytes h2d pinned": 602112.0,
    "copy_bytes d2h pageable": 4.0,
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


def test_what_did_not_happen_is_0() -> None:
    found = values(per_step_on_gpu([], [Copy("h2d", "", 4), Copy("h2d", "pinned", 8)], steps=2))
    assert {name: value for name, value in found.items() if value} == {
        "copy_count h2d": 0.5,
        "copy_count h2d pinned": 0.5,
        "copy_bytes h2d": 2.0,
        "copy_bytes h2d pinned": 4.0,
    }
    assert found.keys() >= {"launch_count", "sync_count", "allocation_count", "copy_count d2h", "copy_bytes d2d"}


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
        ("StreamExecutor::SynchronizeAllActivity", ""),
    ],
)
def test_calls_of_the_driver_by_name(call: str, count: str) -> None:
    assert count_of(call) == count
