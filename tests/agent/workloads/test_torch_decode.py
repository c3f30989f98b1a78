from __future__ import annotations

import pytest

from harness.agent.task import Unsupported
from harness.agent.workloads import torch_decode
from tests.agent.workloads.conftest import MakeContext


def test_a_graph_needs_a_gpu(make_context: MakeContext) -> None:
    with pytest.raises(Unsupported, match="a CUDA graph needs a GPU"):
        torch_decode.run(make_context("torch_decode.gpt", params={"cuda_graph": True}))


def test_heads_divide_the_width(make_context: MakeContext) -> None:
    with pytest.raises(Unsupported, match="width 100 is no multiple of heads 8"):
        torch_decode.run(make_context("torch_decode.gpt", params={"width": 100}))
