"""Sums over all processes of a training: `copies` declares this task as its own.

`all_reduce_seconds` is one all-reduce of torch.distributed by bytes: over gloo between two processes on a CPU, over
NCCL between the GPUs where there are two or more. `bus_bandwidth` is that of the largest size as nccl-tests count it:
bytes / seconds × 2 (n - 1) / n for n ranks, what each rank's link carries if the algorithm is a ring.
"""

from __future__ import annotations

from harness.agent import frameworks
from harness.agent.children import StepError
from harness.agent.collective import Group, all_reduce
from harness.agent.loops import PythonLoops, instrument
from harness.agent.messages import Metric, Scalar
from harness.agent.probes.copies_paths import sizes
from harness.agent.task import SEVERAL, Context, Outcome, Task, Unavailable

CPU_RANKS = 2


def run_collective(context: Context) -> Outcome:
    """Measure the all-reduce. Raises Unavailable without torch, or without a second GPU on a cell of a GPU."""
    torch = frameworks.load(context.spec)
    on_gpu = context.spec.device != "cpu"
    ranks = torch.cuda.device_count() if on_gpu else CPU_RANKS
    if ranks < 2:
        raise Unavailable(f"copies.collective needs two GPUs and {ranks} is visible: leave it out on this machine")
    warmup = context.integer("warmup")
    group = Group(
        ranks=ranks,
        backend="nccl" if on_gpu and torch.distributed.is_nccl_available() else "gloo",
        device="cuda" if on_gpu else "cpu",
        sizes=tuple(sizes(context.integer("max_bytes"), context.integer("growth"))),
        samples=warmup + context.integer("samples"),
    )
    versions = {"torch": str(torch.__version__)}
    try:
        found = all_reduce(group)
    except StepError as error:
        return Outcome(metrics=(), versions=versions, status="failed", reason=str(error))
    dims: dict[str, Scalar] = {"ranks": group.ranks, "backend": group.backend}
    curve = [
        Metric(
            name="all_reduce_seconds",
            unit="s",
            better="lower",
            samples=tuple(seconds),
            warmup=warmup,
            dims={**dims, "bytes": size},
        )
        for size, seconds in found.items()
    ]
    largest = max(found)
    carried = largest * 2 * (ranks - 1) / ranks
    rates = tuple(carried / seconds for seconds in found[largest])
    dims["bytes"] = largest
    bus = Metric(name="bus_bandwidth", unit="B/s", better="higher", samples=rates, warmup=warmup, dims=dims)
    return Outcome(metrics=(*curve, bus, *instrument(PythonLoops())), versions=versions)


COLLECTIVE = Task(
    summary="All-reduce of torch.distributed: gloo between two processes, NCCL between GPUs.",
    run=run_collective,
    params={"max_bytes": 2**24, "growth": 16, "samples": 50, "warmup": 5},
    limits={"growth": SEVERAL},
    frameworks=("torch",),
    devices=("cpu", "cuda"),
    seconds=8.0,
)
