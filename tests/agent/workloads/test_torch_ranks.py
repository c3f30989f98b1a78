"""Several processes in one training, as far as it goes without torch; `test_on_stacks` has the real ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from harness.agent import own_process
from harness.agent.children import StepError
from harness.agent.task import Unavailable
from harness.agent.workloads import torch_ranks
from tests.agent.workloads.conftest import MakeContext


def fake_torch(*, available: bool = True, gpus: int = 0) -> SimpleNamespace:
    distributed = SimpleNamespace(is_available=lambda: available)
    return SimpleNamespace(distributed=distributed, cuda=SimpleNamespace(device_count=lambda: gpus))


def test_a_process_alone_is_not_joined(make_context: MakeContext) -> None:
    with torch_ranks.joined(fake_torch(available=False), make_context("torch_cnn.trivial")) as share:
        assert share("model") == "model"


@pytest.mark.parametrize(
    ("torch", "device", "words"),
    [
        (fake_torch(available=False), "cpu", "has no torch.distributed"),
        (fake_torch(gpus=1), "cuda:0", "processes is 2, one a GPU, and torch sees 1"),
    ],
)
def test_what_several_need_is_told(make_context: MakeContext, torch: SimpleNamespace, device: str, words: str) -> None:
    context = make_context("torch_cnn.trivial", device=device, params={"processes": 2})
    with pytest.raises(Unavailable, match=words), torch_ranks.joined(torch, context):
        pass


@pytest.mark.parametrize(
    ("device", "nccl", "expected"),
    [("cpu", True, "gloo"), ("cuda:0", True, "nccl 2.29.7"), ("cuda:0", False, "gloo")],
)
def test_what_joins_the_ranks_is_recorded(make_context: MakeContext, device: str, nccl: bool, expected: str) -> None:
    torch = fake_torch()
    torch.distributed.is_nccl_available = lambda: nccl
    torch.cuda.nccl = SimpleNamespace(version=lambda: (2, 29, 7))
    context = make_context("torch_cnn.trivial", device=device, params={"processes": 2})
    assert torch_ranks.versions(torch, context) == {"torch.distributed": expected}
    assert torch_ranks.versions(torch, make_context("torch_cnn.trivial", device=device)) == {}


@contextmanager
def fake_member(torch: object, device: str, seat: object) -> Iterator[torch_ranks.Share]:
    yield lambda model: model


@pytest.mark.parametrize(
    ("program", "error", "words"),
    [
        ("import sys; sys.exit('no room')", StepError, "rank 1 of the process group: exit status 1: no room"),
        ("pass", RuntimeError, "Connection closed by peer"),
        (
            "import sys; sys.exit('torch.OutOfMemoryError: CUDA out of memory. Tried' + 700 * '.' + '\\nleft over')",
            MemoryError,
            "rank 1 of the process group: torch.OutOfMemoryError: CUDA out of memory",
        ),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            MemoryError,
            "rank 1 of the process group: was killed",
            marks=pytest.mark.skipif(sys.platform == "win32", reason="not on Windows: it has no SIGKILL"),
        ),
    ],
)
def test_a_rank_that_failed_is_told_in_place_of_the_lost_connection(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch, program: str, error: type[Exception], words: str
) -> None:
    monkeypatch.setattr(own_process, "PROGRAM", program)
    monkeypatch.setattr(torch_ranks, "_member", fake_member)
    context = make_context("torch_cnn.trivial", params={"processes": 2})
    with pytest.raises(error, match=words), torch_ranks.joined(fake_torch(), context):
        raise RuntimeError("Connection closed by peer")


def test_a_rank_that_hangs_is_ended(make_context: MakeContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_process, "PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(torch_ranks, "_member", fake_member)
    with torch_ranks.joined(fake_torch(), make_context("torch_cnn.trivial", params={"processes": 3})) as share:
        assert share("model") == "model"


def test_what_this_process_lacks_is_not_blamed_on_another(
    make_context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_process, "PROGRAM", "import sys; sys.exit('Connection closed by peer')")
    monkeypatch.setattr(torch_ranks, "_member", fake_member)
    context = make_context("torch_cnn.trivial", params={"processes": 2})
    with pytest.raises(RuntimeError, match="CUDA out of memory"), torch_ranks.joined(fake_torch(), context):
        raise RuntimeError("CUDA out of memory. Tried to allocate 20 GiB")
