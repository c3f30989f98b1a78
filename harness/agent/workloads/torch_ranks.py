"""A training shared by several processes of this host: DistributedDataParallel over NCCL between GPUs, else over gloo.

The measuring process is rank 0 on its cell's device; it starts the others, which make the same steps on the GPUs behind
(on a CPU: on the CPU). After each step's backward pass all have the same gradients. They meet through a file.
"""

from __future__ import annotations

import importlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.agent import oom
from harness.agent.messages import CellSpec, to_json
from harness.agent.ranks import Rank, meeting
from harness.agent.task import Context, Unavailable

LIMIT = 120.0  # seconds for all to meet, and for one to wait for another's gradients
LAST_WORDS = 2.0  # seconds that a rank whose loss broke the group may take to end

Share = Callable[[Any], Any]  # makes a model one of all ranks


@dataclass(frozen=True, kw_only=True)
class _Seat:
    """Which of how many ranks, and the file to meet through."""

    rank: int
    ranks: int
    store: Path


@contextmanager
def joined(torch: Any, context: Context) -> Iterator[Share]:  # noqa: ANN401 - a module
    """Start the other ranks, if the parameters ask for any, and yield what makes a model one of all.

    Raises Unavailable where GPUs are lacking; of another rank that failed StepError with what it said, or MemoryError.
    """
    ranks = context.integer("processes")
    if ranks == 1:
        yield _alone
        return
    _check(torch, context.spec.device, ranks)
    with tempfile.TemporaryDirectory(prefix="overhead-matrix-") as folder, ExitStack() as stack:
        seat = _Seat(rank=0, ranks=ranks, store=Path(folder, "store"))
        others = [_start(context, replace(seat, rank=number)) for number in range(1, ranks)]
        for other in others:
            stack.callback(other.end)
        os.environ.update(meeting())
        try:
            with _member(torch, context.spec.device, seat) as share:
                yield share
        except RuntimeError as error:  # of torch, whose text only says that a connection is gone
            if not oom.is_lack(error):
                _blame(others)
            raise


def versions(torch: Any, context: Context) -> dict[str, str]:  # noqa: ANN401 - a module
    """Return what joins the ranks, `torch.distributed`: `gloo` or `nccl 2.29.7`; nothing of one that is alone."""
    if context.integer("processes") == 1:
        return {}
    backend = _backend(torch, context.spec.device)
    number = ".".join(map(str, torch.cuda.nccl.version())) if backend == "nccl" else ""
    return {"torch.distributed": f"{backend} {number}".strip()}


def _backend(torch: Any, device: str) -> str:  # noqa: ANN401 - a module
    """NCCL between GPUs; gloo without them, and where torch is built without NCCL, as it is for Windows."""
    return "nccl" if device != "cpu" and torch.distributed.is_nccl_available() else "gloo"


def _alone(model: Any) -> Any:  # noqa: ANN401 - a model
    return model


def _check(torch: Any, device: str, ranks: int) -> None:  # noqa: ANN401 - a module
    if not torch.distributed.is_available():
        msg = "this build of torch has no torch.distributed: leave processes out"
        raise Unavailable(msg)
    if device != "cpu" and torch.cuda.device_count() < ranks:
        msg = f"processes is {ranks}, one a GPU, and torch sees {torch.cuda.device_count()}: lower it, or add GPUs"
        raise Unavailable(msg)


def _start(context: Context, seat: _Seat) -> Rank:
    spec = replace(context.spec, device="cpu" if context.spec.device == "cpu" else f"cuda:{seat.rank}")
    params = {**context.params, "seed": context.integer("seed") + seat.rank}  # other images; the model is rank 0's
    order = {"spec": to_json(spec), "params": params, **vars(seat), "store": str(seat.store)}
    return Rank(seat.rank, "harness.agent.workloads.torch_ranks", order)


def _blame(others: Sequence[Rank]) -> None:
    """Raise what a rank has failed with, if one has or does within LAST_WORDS."""
    due = time.monotonic() + LAST_WORDS
    while time.monotonic() < due:
        ended = [other.has_ended() for other in others]  # each is asked every time
        if all(ended):
            return
        time.sleep(0.05)


@contextmanager
def _member(torch: Any, device: str, seat: _Seat) -> Iterator[Share]:  # noqa: ANN401 - a module
    distributed = importlib.import_module("torch.distributed")
    distributed.init_process_group(
        _backend(torch, device),
        init_method=seat.store.as_uri(),
        rank=seat.rank,
        world_size=seat.ranks,
        timeout=timedelta(seconds=LIMIT),
    )
    try:
        yield torch.nn.parallel.DistributedDataParallel
    finally:
        with suppress(RuntimeError):  # of a group that is broken already
            distributed.destroy_process_group()


def main(arguments: Sequence[str]) -> int:
    """Be a rank that is not measured."""
    order = json.loads(arguments[0])
    spec = CellSpec.from_json(order["spec"])
    context = Context(spec=spec, params=order["params"], progress=lambda _done, _total, _note: None)
    seat = _Seat(rank=order["rank"], ranks=order["ranks"], store=Path(order["store"]))
    torch = importlib.import_module("torch")
    with _member(torch, spec.device, seat) as share:
        importlib.import_module("harness.agent.workloads.torch_cnn").follow(torch, context, share)
    return 0
