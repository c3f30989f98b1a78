from __future__ import annotations

from harness.agent.workloads.torch_decode import TASKS

TASK = TASKS["gpt"]


def test_a_graph_needs_a_gpu() -> None:
    assert "a CUDA graph needs a GPU" in TASK.unsupported("cpu", {**TASK.params, "cuda_graph": True})
    assert TASK.unsupported("cpu", TASK.params) == ""


def test_heads_divide_the_width() -> None:
    assert TASK.conflict({**TASK.params, "width": 100}) == "width 100 is no multiple of heads 8. Change one of the two."
    assert TASK.conflict(TASK.params) == ""
