from __future__ import annotations

import sys
import types
from importlib.util import find_spec

import pytest

from harness.agent.task import Unavailable
from harness.agent.workloads import tf_cnn, torch_cnn
from tests.agent.workloads.conftest import MakeContext


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed in the tests' environment")
def test_without_torch_the_stack_lacks_it(make_context: MakeContext) -> None:
    with pytest.raises(Unavailable, match="no torch"):
        torch_cnn.run(make_context("torch_cnn.trivial"))


def test_a_gpu_cell_without_a_gpu_fails(make_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch = types.ModuleType("torch")
    vars(fake_torch).update(
        __spec__=types.SimpleNamespace(name="torch"),
        __version__="2.13.0+cpu",
        version=types.SimpleNamespace(cuda=None),
        backends=types.SimpleNamespace(cudnn=types.SimpleNamespace(version=lambda: None)),
        cuda=types.SimpleNamespace(is_available=lambda: False),
    )
    monkeypatch.setitem(sys.modules, "torch", fake_torch)
    result = torch_cnn.run(make_context("torch_cnn.trivial", device="cuda:0"))
    assert (result.status, result.versions) == ("failed", {"torch": "2.13.0+cpu"})
    assert "torch sees no GPU" in result.reason


def test_the_twins_have_names_of_tf_cnn() -> None:
    assert set(torch_cnn.TASKS) <= set(tf_cnn.IMAGENET) | set(tf_cnn.CIFAR10)


def test_what_torch_cannot_do_together_is_refused_by_plan() -> None:
    task = torch_cnn.TASKS["trivial"]
    assert task.refusal("precision", "float8") == "one of float32, float16, bfloat16 is expected"
    assert task.conflict(task.params) == ""
    assert task.conflict({**task.params, "processes": 2, "precision": "bfloat16"}) == ""
    assert "forward_only has none" in task.conflict({**task.params, "processes": 2, "forward_only": True})
    assert "Leave processes and compile out" in task.conflict({**task.params, "cuda_graph": True, "processes": 2})
    assert "Leave processes and compile out" in task.conflict({**task.params, "cuda_graph": True, "compile": True})


def test_a_cuda_graph_needs_a_gpu() -> None:
    task = torch_cnn.TASKS["trivial"]
    assert "a CUDA graph needs a GPU" in task.unsupported("cpu", {**task.params, "cuda_graph": True})
    assert task.unsupported("cuda:0", {**task.params, "cuda_graph": True}) == ""


def test_images_of_cifar10_are_not_made() -> None:
    task = torch_cnn.TASKS["resnet20"]
    assert "resnet20 is made for CIFAR-10's" in task.conflict({**task.params, "real_data": True})
    assert torch_cnn.TASKS["lenet"].conflict({**task.params, "real_data": True}) == ""
