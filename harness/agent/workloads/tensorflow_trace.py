"""What a trace of TensorFlow's profiler says of its steps: a pure function over the events of its XSpace.

The profiler runs between two steps' ends, so every event belongs to a step. Operations are those of a graph, which
executors name `gradients/MatMul:MatMul` (not those that they take as free: constants, identities), and those that
Python dispatches one by one (`EagerLocalExecute: Mul`, but for whole functions, whose operations count themselves).
With a GPU, calls of the CUDA driver count by their names on the host's planes, and copies on the GPU's plane, with the
bytes of their `memcpy_details`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from harness.agent.messages import Metric
from harness.agent.step_counts import OPERATIONS, per_step
from harness.agent.workloads.cuda_calls import Copy, host_memory, per_step_on_gpu

HOST = "/host:CPU"
CALLS = (HOST, "/host:CUPTI")  # the profiler merges the second into the first when it ends
GPU = "/device:GPU:"
COPIED = {"MemcpyH2D": "h2d", "MemcpyD2H": "d2h", "MemcpyD2D": "d2d"}

_IN_GRAPH = re.compile(r"[A-Za-z0-9.][\w.\\/>-]*:_?[A-Za-z]\w*")
_EAGER = re.compile(r"EagerLocalExecute: (?!__)\w+")
_SIZE = re.compile(r"\bsize:(\d+)")


class Event(NamedTuple):
    """An event of a plane; `details` are those of a copy."""

    plane: str
    name: str
    details: str = ""


def counts(events: Sequence[Event], *, steps: int, device: str) -> list[Metric]:
    """Return the counts of a step, the mean over `steps`. On a CPU there are operations alone."""
    found = [per_step(OPERATIONS, sum(map(_is_operation, events)) / steps)]
    if device == "cpu":
        return found
    calls = (event.name for event in events if event.plane in CALLS)
    return found + per_step_on_gpu(calls, _copies(events), steps)


def flat(space: Any) -> Iterator[Event]:  # noqa: ANN401 - a message, XSpace
    """Yield the events of an XSpace."""
    for plane in space.planes:
        details = {number for number, stat in plane.stat_metadata.items() if stat.name == "memcpy_details"}
        for line in plane.lines:
            for event in line.events:
                said = [_text(stat, plane) for stat in event.stats if stat.metadata_id in details]
                yield Event(plane.name, plane.event_metadata[event.metadata_id].name, *said[:1])


def _text(stat: Any, plane: Any) -> str:  # noqa: ANN401 - messages
    """Return a text that stands in the stat or that the stat refers to."""
    return str(stat.str_value or plane.stat_metadata[stat.ref_value].name)


def _is_operation(event: Event) -> bool:
    return event.plane == HOST and bool(_IN_GRAPH.fullmatch(event.name) or _EAGER.fullmatch(event.name))


def _copies(events: Iterable[Event]) -> Iterator[Copy]:
    for event in events:
        if event.plane.startswith(GPU) and event.name in COPIED:
            size = _SIZE.search(event.details)  # of kind_src:pinned kind_dst:device size:602112 dest:0 async:1
            yield Copy(COPIED[event.name], host_memory(event.details), int(size[1]) if size else 0)
