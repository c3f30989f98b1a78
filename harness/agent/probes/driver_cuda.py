"""The CUDA driver: kernel launches, ways to wait, graphs. `driver` declares these tasks as its own.

- `launch`: n empty kernels back to back, then a wait for all. `enqueue_seconds` is the host's time until the last call
  returned, `complete_seconds` the time until all was done; both are of all n. Where the driver collects launches and
  hands them over in batches (WDDM), the curve over n has steps, and `launch_call_seconds`, each call timed alone, two
  modes. With `flush`, cuStreamQuery follows each launch and hands it over at once. Intercept and slope are those of
  `complete_seconds` over n (`fit`), from the medians.
- `sync`: one launch until it is done, by the three ways in which a context can let its thread wait.
- `graph`: the same launches as one CUDA graph, captured from a stream; `graph_instantiate_seconds` is of the largest.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping

from harness.agent import cuda_types as types
from harness.agent.cuda import Kernel
from harness.agent.cuda_operations import Kind, Operation, launch
from harness.agent.cuda_session import Session, fitted, session, typical
from harness.agent.messages import Metric
from harness.agent.probes.driver_context import CONTEXT
from harness.agent.sampling import timed
from harness.agent.task import Context, Outcome, Task

WARMUP = 2  # samples of each point
FEWEST = 10
INSTANTIATIONS = 10
BATCH = 256  # launches between two waits where each call is timed: less than any driver's queue holds
SYNCS = {"spin": types.SCHED_SPIN, "yield": types.SCHED_YIELD, "blocking": types.SCHED_BLOCKING}


def run_launch(context: Context) -> Outcome:
    """Measure launches of an empty kernel, 1, 2, 4… back to back, with and without a flush after each."""
    with session(context) as cuda:
        operation = launch(cuda.gpu.stream(), cuda.kernel("empty"))
        metrics: list[Metric] = []
        warnings: list[str] = []
        for done, flush in enumerate((False, True), start=1):
            measured, notes = _launches(cuda, context, operation, flush=flush)
            metrics += measured
            warnings += notes
            context.progress(done, 2, "flushed" if flush else "")
        return cuda.outcome(metrics, warnings=warnings)


def run_sync(context: Context) -> Outcome:
    """Measure `round_trip_seconds` by sync: one launch of an empty kernel until the host knows that it is done."""
    warmup = context.integer("warmup")
    outcomes = []
    for done, (sync, flags) in enumerate(SYNCS.items(), start=1):
        with session(context, flags=flags) as cuda:
            operation = launch(cuda.gpu.stream(), cuda.kernel("empty"))
            _, seconds = cuda.loops.enqueue(warmup + context.integer("samples"), [operation])
            outcomes.append(cuda.outcome([cuda.metric("round_trip_seconds", seconds, warmup=warmup, sync=sync)]))
        context.progress(done, len(SYNCS), sync)
    trips = [outcome.metrics[0] for outcome in outcomes]
    last = outcomes[-1]
    return Outcome(metrics=(*trips, *last.metrics[1:]), versions=last.versions, warnings=last.warnings)


def run_graph(context: Context) -> Outcome:
    """Measure graphs of 1, 4, 16… empty kernels: enqueuing and completing one, per graph."""
    counts = list(_powers(context.integer("launches"), 4))
    with session(context) as cuda:
        stream, kernel = cuda.gpu.stream(), cuda.kernel("empty")
        cuda.loops.enqueue(1, [launch(stream, kernel)])  # loads the kernel, which a capture might not allow
        metrics: list[Metric] = []
        points: dict[float, float] = {}
        for done, nodes in enumerate(counts, start=1):
            with cuda.driver.owned(_captured(cuda, stream, kernel, nodes), "cuGraphDestroy") as graph:
                measured = _graph(cuda, stream, graph, WARMUP + _samples(context, nodes), nodes)
                metrics += measured
                points[nodes] = typical(measured[1].samples, WARMUP)
                if nodes == counts[-1]:
                    metrics.append(_instantiation(cuda, graph, nodes))
            context.progress(done, len(counts), f"{nodes} nodes")
        fits, notes = _fit(cuda, points, "graph")
        return cuda.outcome([*metrics, *fits], warnings=notes)


def _launches(cuda: Session, context: Context, operation: Operation, *, flush: bool) -> tuple[list[Metric], list[str]]:
    calls = cuda.loops.each(BATCH + context.integer("calls"), operation, batch=BATCH, flush=flush)
    metrics = [cuda.metric("launch_call_seconds", calls, warmup=BATCH, flush=flush)]
    points: dict[float, float] = {}
    for launches in _powers(context.integer("launches"), 2):
        samples = WARMUP + _samples(context, launches)
        enqueued, complete = cuda.loops.enqueue(samples, [operation], repeats=launches, flush=flush)
        metrics.append(cuda.metric("enqueue_seconds", enqueued, warmup=WARMUP, launches=launches, flush=flush))
        metrics.append(cuda.metric("complete_seconds", complete, warmup=WARMUP, launches=launches, flush=flush))
        points[launches] = typical(complete, WARMUP)
    fits, notes = _fit(cuda, points, "launch", flush=flush)
    return [*metrics, *fits], notes


def _fit(cuda: Session, points: Mapping[float, float], what: str, **dims: bool) -> tuple[list[Metric], list[str]]:
    """Return `<what>_intercept_seconds` and `<what>_slope_seconds`, one value each: seconds, and seconds a launch."""
    found, notes = fitted(points, what)
    return [cuda.metric(f"{what}_{name}_seconds", [value], **dims) for name, value in found.items()], notes


def _powers(most: int, base: int) -> Iterator[int]:
    """Yield 1, base, base²… up to `most`, and at least two of them: a line needs two points."""
    number = 1
    while number <= max(most, base):
        yield number
        number *= base


def _samples(context: Context, launches: int) -> int:
    """Return how many samples of so many launches fit into what is asked for; 10 at least."""
    return max(FEWEST, min(context.integer("samples"), context.integer("launches_per_point") // launches))


def _graph(cuda: Session, stream: int, graph: int, samples: int, nodes: int) -> tuple[Metric, Metric]:
    """Return the seconds until one launch of the graph has been enqueued, and until it is done."""
    executable = cuda.driver.handle("cuGraphInstantiateWithFlags", graph, 0)
    with cuda.driver.owned(executable, "cuGraphExecDestroy"):
        operation = Operation(kind=Kind.GRAPH, stream=stream, handle=executable)
        enqueued, complete = cuda.loops.enqueue(samples, [operation])
    return (
        cuda.metric("graph_enqueue_seconds", enqueued, warmup=WARMUP, nodes=nodes),
        cuda.metric("graph_complete_seconds", complete, warmup=WARMUP, nodes=nodes),
    )


def _instantiation(cuda: Session, graph: int, nodes: int) -> Metric:
    seconds = []
    for _ in range(1 + INSTANTIATIONS):
        elapsed, executable = timed(lambda: cuda.driver.handle("cuGraphInstantiateWithFlags", graph, 0))
        cuda.driver.call("cuGraphExecDestroy", executable)
        seconds.append(elapsed)
    return cuda.metric("graph_instantiate_seconds", seconds, warmup=1, nodes=nodes)


def _captured(cuda: Session, stream: int, kernel: Kernel, nodes: int) -> int:
    driver = cuda.driver
    driver.call("cuStreamBeginCapture_v2", stream, types.CAPTURE_THREAD_LOCAL)
    for _ in range(nodes):
        driver.call("cuLaunchKernel", kernel.function, *(1,) * 6, 0, stream, kernel.parameters, None)
    graph = ctypes.c_void_p()
    driver.call("cuStreamEndCapture", stream, ctypes.byref(graph))
    return graph.value or 0


CUDA_TASKS = {
    "context": CONTEXT,
    "launch": Task(
        summary="Empty kernels, 1 to 4096 back to back, with and without a flush after each launch.",
        run=run_launch,
        params={"launches": 4096, "samples": 100, "launches_per_point": 10_000, "calls": 2000},
        devices=("cuda",),
        seconds=5.0,
    ),
    "sync": Task(
        summary="One launch until the host knows that it is done: by spinning, yielding and blocking.",
        run=run_sync,
        params={"samples": 500, "warmup": 50},
        devices=("cuda",),
        seconds=2.0,
    ),
    "graph": Task(
        summary="The same launches as one CUDA graph.",
        run=run_graph,
        params={"launches": 4096, "samples": 100, "launches_per_point": 10_000},
        devices=("cuda",),
        seconds=2.0,
    ),
}
