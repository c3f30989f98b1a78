"""Copies from one GPU to another: `copies` declares this task as its own.

`peer_seconds` is one cuMemcpyPeerAsync on an idle stream until it is done, by direction and bytes. Where the GPUs can't
use each other's memory, the driver stages the copy in the host's, and a warning says so: it is the same metric, since
that is what the platform costs. `peer_bandwidth` is bytes over those seconds, of each large size by itself;
`peer_latency_seconds` is the intercept of the line over all bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.agent.cuda import CudaContext, Device
from harness.agent.cuda_operations import Kind, Operation
from harness.agent.cuda_session import Session, session
from harness.agent.messages import Metric
from harness.agent.probes.copies_paths import bandwidths, largest, latency, measured, sizes
from harness.agent.task import SEVERAL, Context, Outcome, Task, Unavailable

WARMUP = 1
STAGED = "these GPUs have no peer access here (nvidia-smi topo -p2p r): the driver copied through the host's memory"


def run_peer(context: Context) -> Outcome:
    """Measure copies from the cell's GPU to another and back. Raises Unavailable where there is one GPU only."""
    growth = context.integer("growth")
    with session(context) as cuda:
        with _other(cuda.gpu.device).context() as other:
            direct = _connect(cuda.gpu, other)
            cuda.gpu.make_current()
            most, notes = largest(cuda, context.integer("max_bytes"), growth)
            metrics, more = _both_directions(cuda, other, context, most)
        cuda.gpu.make_current()
        return cuda.outcome(metrics, warnings=[*notes, *more, *(() if direct else (STAGED,))])


def _other(device: Device) -> Device:
    count = device.driver.number("cuDeviceGetCount")
    if count < 2:
        raise Unavailable(f"copies.peer needs two GPUs and {count} is visible: leave it out on this machine")
    return device.driver.device(1 if device.ordinal == 0 else 0)


def _connect(one: CudaContext, other: CudaContext) -> bool:
    """Let the two use each other's memory; return whether they can."""
    pairs = ((one, other), (other, one))
    if not all(user.device.reaches(owner.device) for user, owner in pairs):
        return False
    for user, owner in pairs:
        user.make_current()
        user.driver.call("cuCtxEnablePeerAccess", owner.handle, 0)
    return True


@dataclass(frozen=True, kw_only=True)
class _End:
    context: int
    address: int


def _both_directions(cuda: Session, other: CudaContext, context: Context, most: int) -> tuple[list[Metric], list[str]]:
    with cuda.gpu.memory(most) as here:
        other.make_current()
        with other.memory(most) as there:
            cuda.gpu.make_current()
            ends = _End(context=cuda.gpu.handle, address=here), _End(context=other.handle, address=there)
            forth, notes = _curve(cuda, context, *ends, direction="to", most=most)
            back, more = _curve(cuda, context, *reversed(ends), direction="from", most=most)
            other.make_current()
        cuda.gpu.make_current()
    return [*forth, *back], [*notes, *more]


def _curve(
    cuda: Session, context: Context, source: _End, destination: _End, *, direction: str, most: int
) -> tuple[list[Metric], list[str]]:
    stream = cuda.gpu.stream()
    curve: list[Metric] = []
    for size in sizes(most, context.integer("growth")):
        copy = Operation(
            kind=Kind.TO_PEER,
            stream=stream,
            handle=source.context,
            peer=destination.context,
            destination=destination.address,
            source=source.address,
            size=size,
        )
        _, complete = measured(cuda, [copy], context)
        curve.append(cuda.metric("peer_seconds", complete, warmup=WARMUP, direction=direction, bytes=size))
        context.progress(len(curve), len(curve) + 1, direction)
    found, notes = latency(cuda, "peer_latency_seconds", curve, f"peer {direction}")
    return [*curve, *found, *bandwidths(cuda, "peer_bandwidth", curve)], notes


PEER = Task(
    summary="Copies from one GPU to another and back, by size; through the host where there is no peer access.",
    run=run_peer,
    params={"max_bytes": 2**28, "growth": 4, "samples": 100, "point_seconds": 0.1},
    limits={"growth": SEVERAL},
    devices=("cuda",),
    seconds=6.0,
)
