"""What the probes of copies share: paths between memories, sizes, and how large a copy may be."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.agent import host_memory
from harness.agent.capacity import MIB
from harness.agent.cuda_operations import Kind, Operation
from harness.agent.cuda_session import Session, paced, typical
from harness.agent.fit import line
from harness.agent.messages import Metric
from harness.agent.task import Context

Direction = Literal["h2d", "d2h", "d2d"]
KINDS = {"h2d": Kind.TO_DEVICE, "d2h": Kind.TO_HOST, "d2d": Kind.ON_DEVICE}

SMALLEST = 4  # bytes
LARGE = 16 * MIB  # from here on a copy's latency is a thousandth of it, or little more
DEVICE_SHARE = 8  # a buffer takes this part of the GPU's free memory at most: Windows spills what does not fit
HOST_SHARE = 8  # and of the host's available memory


class CopyError(Exception):
    """A copy did not bring what was sent: no time of it counts."""


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """Addresses of two buffers of the GPU and of one of the host, equally large."""

    device: tuple[int, int]
    host: int

    def copy(self, direction: Direction, size: int, stream: int) -> Operation:
        """Return the copy: up from the host into the first buffer, down from the second, on the device between them."""
        first, second = self.device
        ends = {"h2d": (first, self.host), "d2h": (self.host, second), "d2d": (second, first)}[direction]
        return Operation(kind=KINDS[direction], stream=stream, destination=ends[0], source=ends[1], size=size)


def sizes(most: int, growth: int, least: int = SMALLEST) -> Iterator[int]:
    """Yield `least`, times `growth`… up to `most`, and at least two of them: a line needs two points."""
    size = least
    while size <= max(most, least * growth):
        yield size
        size *= growth


def largest(cuda: Session, wanted: int, growth: int, least: int = SMALLEST) -> tuple[int, list[str]]:
    """Return the largest size of the series up to `wanted` that both memories have room for; a note if it is less."""
    room = min(cuda.gpu.free_memory() // DEVICE_SHARE, host_memory.available() // HOST_SHARE)
    found = max(sizes(min(wanted, room), growth, least))
    if found * growth > wanted:
        return found, []
    return found, [f"copies of up to {found} bytes only: {room // MIB} MiB of memory may be used for each buffer"]


def bandwidths(cuda: Session, name: str, curve: Sequence[Metric], *, copies: int = 1) -> list[Metric]:
    """Return bytes over seconds of a curve's large copies, or of its largest where there is none; sample by sample.

    Nothing is fitted: the latency is in it. Each point of the curve is the seconds of `copies` copies at once.
    """
    sizes_there = [int(each.dims["bytes"]) for each in curve]
    wanted = {size for size in sizes_there if size >= LARGE} or {max(sizes_there)}
    return [
        cuda.rate(name, [copies * size / seconds for seconds in each.samples], warmup=each.warmup, **each.dims)
        for each, size in zip(curve, sizes_there, strict=True)
        if size in wanted
    ]


def latency(cuda: Session, name: str, curve: Sequence[Metric], what: str) -> tuple[list[Metric], list[str]]:
    """Return the intercept of the line through a curve's medians over the bytes, and why there is none.

    Noise may put it at or below 0, which no cost is. It names how far the curve goes: another end is another line.
    """
    points = {float(each.dims["bytes"]): typical(each.samples, each.warmup) for each in curve}
    seconds = line(points).intercept
    if seconds <= 0:
        return [], [f"{what}: no {name}, the fit gives {seconds:.3g}"]
    dims = {name: value for name, value in curve[0].dims.items() if name != "bytes"}
    return [cuda.metric(name, [seconds], warmup=0, **dims, up_to_bytes=int(max(points)))], []


def pace(context: Context) -> tuple[float, int]:
    """Return how many seconds the samples of one point may take, and how many there are at most."""
    return context.number("point_seconds"), context.integer("samples")


def measured(cuda: Session, operations: Sequence[Operation], context: Context) -> tuple[list[float], list[float]]:
    """Return seconds to enqueue and seconds to complete; the first of each is warm-up."""

    def take(samples: int) -> list[tuple[float, float]]:
        return list(zip(*cuda.loops.enqueue(samples, operations), strict=True))

    pairs = paced(take, *pace(context))
    return [enqueued for enqueued, _ in pairs], [complete for _, complete in pairs]


def check(cuda: Session, buffers: Buffers, stream: int, size: int) -> None:
    """Send bytes up, across and down again; raise CopyError unless the same come back."""
    sent = os.urandom(size)
    ctypes.memmove(buffers.host, sent, size)
    cuda.loops.enqueue(1, [buffers.copy("h2d", size, stream), buffers.copy("d2d", size, stream)])
    ctypes.memset(buffers.host, 0, size)
    cuda.loops.enqueue(1, [buffers.copy("d2h", size, stream)])
    if ctypes.string_at(buffers.host, size) != sent:
        msg = f"{size} bytes did not come back as they were sent: check the GPU's memory and its slot"
        raise CopyError(msg)
