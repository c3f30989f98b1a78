"""The options of the twins that need an NVIDIA GPU, on the stack with CUDA. Elsewhere each is a skip."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import gpu
from harness.agent.messages import Scalar
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
