"""All-reduce among processes of this host, as torch.distributed does it: every rank is a process of its own.

The parent starts the ranks and reads what rank 0 wrote down; the ranks meet through a file, so no port is needed. One
sample is an all-reduce from a barrier until it is done (on a GPU: until the device is), on rank 0's clock. The sum is
checked after each, outside the timed section.
"""

from __future__ import annotations

import importlib
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from harness.agent.children import StepError
from harness.agent.ranks import Rank

LIMIT = 120.0  # seconds for all ranks together
POLL = 0.05  # seconds; the ranks' own clocks count
FLOAT = 4  # bytes


@dataclass(frozen=True, kw_only=True)
class Group:
    """So many ranks on a device (`cpu`, or `cuda` with a GPU for each), the backend that joins them, what they do."""

    ranks: int
    backend: str
    device: str
    sizes: Sequence[int]  # bytes, multiples of four
    samples: int


def all_reduce(group: Group) -> Mapping[int, list[float]]:
    """Return bytes → seconds of each all-reduce. Raises StepError if a rank fails or does not end."""
    with tempfile.TemporaryDirectory(prefix="overhead-matrix-") as name, ExitStack() as stack:
        folder = Path(name)
        ranks = []
        for number in range(group.ranks):
            order = {**vars(group), "sizes": list(group.sizes), "rank": number, "folder": str(folder)}
            ranks.append(Rank(number, "harness.agent.collective", order))
            stack.callback(ranks[-1].end)
        _await(ranks)
        found: dict[str, list[float]] = json.loads((folder / "seconds.json").read_text(encoding="utf-8"))
        return {int(size): seconds for size, seconds in found.items()}


def _await(ranks: Sequence[Rank]) -> None:
    """Wait for all; of those that fail the first counts, since the others then wait for it in vain."""
    due = time.monotonic() + LIMIT
    while sum(rank.has_ended() for rank in ranks) < len(ranks):  # each is asked every time
        if time.monotonic() > due:
            raise StepError(f"the process group: no end within {LIMIT:g} s: {ranks[0].said()}")
        time.sleep(POLL)


def main(arguments: Sequence[str]) -> int:
    """Be a rank; rank 0 writes the seconds down."""
    (order,) = arguments
    given = json.loads(order)
    torch = importlib.import_module("torch")
    distributed = importlib.import_module("torch.distributed")
    folder, rank = Path(given.pop("folder")), int(given.pop("rank"))
    group = Group(**given)
    if group.device != "cpu":
        torch.cuda.set_device(rank)
    distributed.init_process_group(
        group.backend,
        init_method=(folder / "store").as_uri(),
        rank=rank,
        world_size=group.ranks,
        timeout=timedelta(seconds=LIMIT),
    )
    seconds = {size: list(_samples(torch, distributed, group, size)) for size in group.sizes}
    if rank == 0:
        (folder / "seconds.json").write_text(json.dumps(seconds), encoding="utf-8")
    distributed.destroy_process_group()
    return 0


def _samples(torch: Any, distributed: Any, group: Group, size: int) -> Iterator[float]:  # noqa: ANN401 - modules
    wait = torch.cuda.synchronize if group.device != "cpu" else _nothing
    for _ in range(group.samples):
        tensor = torch.ones(size // FLOAT, device=group.device)
        distributed.barrier()
        wait()
        start = time.perf_counter()
        distributed.all_reduce(tensor)
        wait()
        yield time.perf_counter() - start
        if not bool((tensor == group.ranks).all()):
            raise ArithmeticError(f"the sum of {group.ranks} ones over {size} bytes is wrong")


def _nothing() -> None:
    """A CPU has summed up when the call returns."""
