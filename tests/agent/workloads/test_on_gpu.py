"""What of the workloads needs an NVIDIA GPU, on the stacks with CUDA. Elsewhere each is a skip."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import gpu
from harness.agent.messages import CellResult, Location, Scalar
from harness.cache import cache_dir
from tests.agent.cells import run_cell, stack_python

pytestmark = [pytest.mark.stack, pytest.mark.slow]

FEW: Mapping[str, Scalar] = {"batch_size": 16, "num_batches": 12, "num_warmup_batches": 3}


@pytest.fixture(scope="module")
def gpus() -> int:
    """How many GPUs there are; a skip where there is none."""
    found = [each for each in gpu.gpus() if "stand_in" not in each]
    if not found:
        pytest.skip("no NVIDIA GPU on this machine")
    return len(found)


@pytest.fixture(scope="module")
def torch_python(gpus: int) -> Path:
    return stack_python("torch", gpu=True)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cuda_graph": True},
        {"cuda_graph": True, "precision": "float16"},
        {"cuda_graph": True, "forward_only": True},
        {"precision": "float16", "channels_last": True},
        {"precision": "bfloat16"},
    ],
    ids=str,
)
@pytest.mark.parametrize("model", ["resnet20", "alexnet"])
def test_a_twin_trains(torch_python: Path, model: str, options: Mapping[str, Scalar]) -> None:
    result = run_cell(f"torch_cnn.{model}", {**FEW, **options}, python=torch_python, stack="torch", device="cuda:0")
    assert (result.status, result.reason) == ("ok", "")
    metrics = {metric.name: metric for metric in result.metrics}
    host, device = metrics["step_seconds"].samples, metrics["cuda_step_seconds"].samples
    assert len(host) == len(device) == 15
    assert all(0 < on_device <= on_host for on_host, on_device in zip(host, device, strict=True))


def _measured(result: CellResult) -> set[str]:
    assert (result.status, result.reason) == ("ok", "")
    assert all(min(metric.samples) >= 0 for metric in result.metrics)
    return {metric.name for metric in result.metrics}


@pytest.mark.parametrize(
    ("entry", "params"),
    [
        ("torch_decode.gpt", {"cuda_graph": False}),
        ("torch_decode.gpt", {"cuda_graph": True}),
        ("torch_matmul.square", {"size": 8192, "products": 20}),
    ],
    ids=str,
)
def test_the_two_ends_run_and_are_measured(torch_python: Path, entry: str, params: Mapping[str, Scalar]) -> None:
    found = _measured(run_cell(entry, params, python=torch_python, stack="torch", device="cuda:0"))
    assert found >= {"step_seconds", "cuda_step_seconds", "cuda_peak_memory_bytes", "peak_memory_bytes"}
    if entry == "torch_matmul.square":  # it lasts long enough to be sampled
        assert found >= {"gpu_utilization", "energy_per_product"}


@pytest.mark.parametrize(
    "entry", ["counts.torch_cnn.resnet20", "counts.torch_decode.gpt", "counts.torch_matmul.square"]
)
def test_a_step_on_a_gpu_is_counted(torch_python: Path, entry: str) -> None:
    result = run_cell(entry, python=torch_python, stack="torch", device="cuda:0")
    assert _measured(result) >= {"launch_count", "sync_count", "copy_count", "copy_bytes", "operation_count"}
    assert next(each.samples[0] for each in result.metrics if each.name == "launch_count") >= 1


def test_batches_are_loaded_into_pinned_memory(torch_python: Path, tmp_path: Path) -> None:
    params: Mapping[str, Scalar] = {"count": 16, "workers": 1, "rounds": 1}
    place = Location(name="disk", path=str(tmp_path))
    result = run_cell("storage.loader", params, python=torch_python, stack="torch", device="cuda:0", locations=[place])
    assert _measured(result) >= {"samples_per_second", "first_batch_seconds"}
    rates = [metric for metric in result.metrics if metric.name == "samples_per_second"]
    assert {metric.dims["pin_memory"] for metric in rates} == {False, True}


@pytest.fixture(scope="module")
def tensorflow_python(gpus: int) -> Path:
    return stack_python("tensorflow", gpu=True)


@pytest.fixture(scope="module")
def checkout(gpus: int) -> Path:
    from harness import sources  # noqa: PLC0415 - the controller's: the agent's tests also run on older Pythons

    return sources.tf_benchmarks(environ=os.environ, cache=cache_dir(), progress=lambda _line: None)


@pytest.mark.parametrize("options", [{}, {"use_fp16": True}, {"xla": True}, {"forward_only": True}], ids=str)
def test_tf_cnn_trains(checkout: Path, tensorflow_python: Path, options: Mapping[str, Scalar]) -> None:
    params = {**FEW, **options}
    resources = {"tf_benchmarks": str(checkout)}
    result = run_cell("tf_cnn.resnet50", params, python=tensorflow_python, device="cuda:0", resources=resources)
    assert _measured(result) >= {"step_seconds", "images_per_second", "peak_memory_bytes"}


@pytest.mark.parametrize("update", ["parameter_server", "replicated"])
def test_tf_cnn_trains_on_two_gpus(gpus: int, checkout: Path, tensorflow_python: Path, update: str) -> None:
    params = {**FEW, "num_gpus": 2, "variable_update": update}
    resources = {"tf_benchmarks": str(checkout)}
    result = run_cell("tf_cnn.resnet50", params, python=tensorflow_python, device="cuda:0", resources=resources)
    if gpus < 2:
        assert result.status == "unavailable"
        assert "TensorFlow lists 1 GPU" in result.reason
    else:
        assert "step_seconds" in _measured(result)


@pytest.mark.parametrize("xla", [False, True])
def test_keras_trains(tensorflow_python: Path, xla: bool) -> None:
    params = {**FEW, "xla": xla}
    assert "step_seconds" in _measured(
        run_cell("keras_cnn.resnet50", params, python=tensorflow_python, device="cuda:0")
    )


@pytest.mark.parametrize("entry", ["counts.tf_cnn.trivial", "counts.keras_cnn.trivial"])
def test_a_step_of_tensorflow_on_a_gpu_is_counted(checkout: Path, tensorflow_python: Path, entry: str) -> None:
    resources = {"tf_benchmarks": str(checkout)}
    result = run_cell(entry, python=tensorflow_python, device="cuda:0", resources=resources)
    assert _measured(result) >= {"launch_count", "sync_count", "copy_count", "copy_bytes", "operation_count"}


def test_a_graph_of_tiny_kernels_gains(torch_python: Path) -> None:
    rates = []
    for graph in (False, True):
        params = {**FEW, "batch_size": 1, "cuda_graph": graph}
        result = run_cell("torch_cnn.resnet20", params, python=torch_python, stack="torch", device="cuda:0")
        rates.append(next(each.samples[0] for each in result.metrics if each.name == "images_per_second"))
    assert rates[1] > rates[0], "hundreds of tiny kernels are launched at once"


def test_processes_share_a_training(gpus: int, torch_python: Path) -> None:
    params = {**FEW, "processes": 2}
    result = run_cell("torch_cnn.resnet20", params, python=torch_python, stack="torch", device="cuda:0")
    if gpus < 2:
        assert result.status == "unavailable"
        assert "torch sees 1" in result.reason
    else:
        assert (result.status, result.reason) == ("ok", "")
        assert result.versions["torch.distributed"].startswith("nccl ")
