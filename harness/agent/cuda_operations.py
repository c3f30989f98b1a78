"""What the loops over the CUDA driver enqueue and allocate, in Python and as the native loops read it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from harness.agent.cuda import Kernel


class Kind(IntEnum):
    """What an operation does: enum cuda_kind of native/cuda.h."""

    LAUNCH = 0
    GRAPH = 1
    TO_DEVICE = 2
    TO_HOST = 3
    ON_DEVICE = 4
    TO_PEER = 5
    RECORD = 6
    EXPECT_PENDING = 7


class Memory(IntEnum):
    """A kind of memory: enum cuda_memory of native/cuda.h."""

    DEVICE = 0
    POOL = 1
    HOST = 2
    REGISTERED = 3


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing to enqueue on a stream. `handle` is a graph, an event, or the context of a peer copy's source."""

    kind: Kind
    stream: int
    handle: int = 0
    peer: int = 0  # the context of a peer copy's destination
    kernel: Kernel | None = None
    destination: int = 0
    source: int = 0
    size: int = 0  # bytes


def launch(stream: int, kernel: Kernel) -> Operation:
    """One thread of the kernel."""
    return Operation(kind=Kind.LAUNCH, stream=stream, kernel=kernel)


def record(stream: int, event: int) -> Operation:
    """The event, when the stream gets there."""
    return Operation(kind=Kind.RECORD, stream=stream, handle=event)


def expect_pending(stream: int, event: int) -> Operation:
    """Nothing; but the loop ends with BlockingIOError (EAGAIN) if the event has come by now."""
    return Operation(kind=Kind.EXPECT_PENDING, stream=stream, handle=event)


class PackedOperation(ctypes.Structure):
    """cuda_operation_t of native/cuda.h."""

    _fields_ = (
        ("kind", ctypes.c_int64),
        ("stream", ctypes.c_void_p),
        ("handle", ctypes.c_void_p),
        ("parameters", ctypes.c_void_p),
        ("destination", ctypes.c_uint64),
        ("source", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
    )


def pack(operations: Sequence[Operation]) -> ctypes.Array[PackedOperation]:
    """Return the operations as the native loops read them; `operations` must live as long as that."""
    return (PackedOperation * len(operations))(
        *(
            PackedOperation(
                int(each.kind),
                each.stream,
                each.kernel.function if each.kernel else each.handle,
                each.kernel.parameters if each.kernel else each.peer,
                each.destination,
                each.source,
                each.size,
            )
            for each in operations
        )
    )
