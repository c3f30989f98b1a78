"""What a trace of torch.profiler says of its steps: a pure function over the chrome trace that it exports.

A step is what the profiler marks `ProfilerStep#3`; what began outside of steps is not counted. Operations are events
of category `cpu_op`, each once with all that it calls (`aten::linear` is one, `aten::addmm` in it none), since
`driver.dispatch` knows what a whole one costs. The nodes of autograd's engine are no operations; what they call is.
Calls of the CUDA driver count by their names; torch's own pool of memory is not seen here. Copies are the GPU's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from harness.agent.messages import Metric
from harness.agent.step_counts import OPERATIONS, per_step
from harness.agent.workloads.cuda_calls import Copy, host_memory, per_step_on_gpu

STEP = "ProfilerStep#"
CALLS = ("cuda_runtime", "cuda_driver")  # categories
ENGINE = ("autograd::", "torch::autograd::")  # autograd's, which calls operations
COPIED = {"Memcpy HtoD": "h2d", "Memcpy DtoH": "d2h", "Memcpy DtoD": "d2d"}

Event = Mapping[str, Any]


class TraceError(ValueError):
    """A trace is not what the profiler should have written; the text says what is missing."""


def counts(trace: Mapping[str, Any], *, device: str) -> list[Metric]:
    """Return the counts of a step, the mean over the steps of the trace. Raises TraceError if there is no step.

    On a CPU there are operations alone.
    """
    events = [event for event in trace.get("traceEvents", ()) if event.get("ph") == "X"]
    steps = _Steps(events)
    inside = [event for event in events if steps.hold(event)]
    found = [per_step(OPERATIONS, _operations(inside) / steps.number)]
    if device == "cpu":
        return found
    calls = (str(event["name"]) for event in inside if event.get("cat") in CALLS)
    return found + per_step_on_gpu(calls, _copies(inside), steps.number)


class _Steps:
    """The time of the steps in a trace."""

    def __init__(self, events: Iterable[Event]) -> None:
        marks = {
            str(event["name"]): (float(event["ts"]), float(event["dur"]))
            for event in events
            if event.get("cat") == "user_annotation" and str(event["name"]).startswith(STEP)
        }
        if not marks:
            msg = f"the profiler's trace has no {STEP}…"
            raise TraceError(msg)
        spans = sorted(marks.values())
        self.number = len(spans)
        self._starts = [start for start, _ in spans]
        self._ends = [start + length for start, length in spans]

    def hold(self, event: Event) -> bool:
        """Whether the event began within a step."""
        place = bisect_right(self._starts, float(event["ts"])) - 1
        return place >= 0 and float(event["ts"]) < self._ends[place]


def _operations(events: Iterable[Event]) -> int:
    """Count the operations that no other one of their thread called."""
    threads: dict[tuple[object, object], list[tuple[float, float]]] = defaultdict(list)
    for event in events:
        if event.get("cat") == "cpu_op" and _dispatched(str(event["name"])):
            start = float(event["ts"])
            threads[event.get("pid"), event.get("tid")].append((start, -start - float(event["dur"])))
    return sum(map(_outermost, threads.values()))


def _dispatched(name: str) -> bool:
    """`aten::mm`, not `MmBackward0` and not `autograd::engine::evaluate_function: MmBackward0`."""
    return "::" in name and not name.startswith(ENGINE)


def _outermost(spans: Sequence[tuple[float, float]]) -> int:
    """Count the spans that lie in no other; each is its start and its negative end, so that the longer comes first."""
    number, ended = 0, float("-inf")
    for start, negative_end in sorted(spans):
        if start >= ended:
            number += 1
            ended = -negative_end
    return number


def _copies(events: Iterable[Event]) -> Iterator[Copy]:
    for event in events:
        if event.get("cat") == "gpu_memcpy":
            name = str(event["name"])  # Memcpy HtoD (Pageable -> Device)
            direction = next((way for words, way in COPIED.items() if name.startswith(words)), "")
            yield Copy(direction, host_memory(name), int(event.get("args", {}).get("bytes", 0)))
