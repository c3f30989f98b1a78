"""The CUDA driver: contexts, kernel launches, ways to wait, graphs. `driver` declares these tasks as its own.

- `launch`: n empty kernels back to back, then a wait for all. `enqueue_seconds` is the host's time until the last call
  returned, `complete_seconds` the time until all was done; both are of all n. Where the driver collects launches and
  hands them over in batches (WDDM), the curve over n has steps, and `launch_call_seconds`, each call timed alone, two
  modes. With `flush`, cuStreamQuery follows each launch and hands it over at once. Intercept and slope are those of
  `complete_seconds` over n (`fit`), from the medians.
- `sync`: one launch until it is done, by the three ways in which a context can let its thread wait.
- `graph`: the same launches as one CUDA graph, captured from a stream; `graph_instantiate_seconds` is of the largest.
- `context`: what a process pays before its first kernel. `jit_seconds` is a module of PTX that no cache holds,
  `module_load_seconds` the same one again: then the driver's cache has it, which lies in a temporary folder here.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from harness.agent import cuda_types as types
from harness.agent import ptx
from harness.agent.cuda import Device, Kernel, open_driver
from harness.agent.cuda_loops import cuda_loops
from harness.agent.cuda_operations import Kind, Operation, launch
from harness.agent.cuda_session import Session, fitted, ordinal, session, typical
from harness.agent.messages import Metric
from harness.agent.sampling import NANOSECOND
from harness.agent.task import Context, Outcome, Task

WARMUP = 2  # samples of each point
FEWEST = 10
INSTANTIATIONS = 10
BATCH = 256  # launches between two waits where each call is timed: less than any driver's queue holds
SYNCS = {"spin": types.SCHED_SPIN, "yield": types.SCHED_YIELD, "blocking": types.SCHED_BLOCKING}
CACHE, LOADING = "CUDA_CACHE_PATH", "CUDA_MODULE_LOADING"

T = TypeVar("T")


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


def run_context(context: Context) -> Outcome:
    """Measure a context's creation and destruction, a module's compilation, and its loading once compiled."""
    total = 1 + context.integer("samples")
    with _private_cache():
        start = time.perf_counter_ns()
        driver = open_driver()
        seconds: dict[str, list[float]] = {"init_seconds": [(time.perf_counter_ns() - start) * NANOSECOND]}
        for done in range(1, total + 1):
            for name, value in _one_context(driver.device(ordinal(context)), done).items():
                seconds.setdefault(name, []).append(value)
            context.progress(done, total, "contexts")
    with driver.device(ordinal(context)).context() as gpu:
        cuda = Session(gpu, cuda_loops(driver))
        metrics = [cuda.metric(name, each, warmup=min(1, len(each) - 1)) for name, each in seconds.items()]
        return cuda.outcome(metrics)


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
        elapsed, executable = _timed(lambda: cuda.driver.handle("cuGraphInstantiateWithFlags", graph, 0))
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


def _one_context(device: Device, number: int) -> dict[str, float]:
    """Return the seconds of each step of one context's life. The text is this process's and this number's own."""
    driver = device.driver
    text = ptx.unseen((os.getpid() << 16) + number).encode("ascii")
    created, handle = _timed(lambda: driver.handle("cuCtxCreate_v2", types.SCHED_SPIN, device.handle))
    try:
        compiled, module = _timed(lambda: driver.handle("cuModuleLoadData", text))
        driver.call("cuModuleUnload", module)
        loaded, module = _timed(lambda: driver.handle("cuModuleLoadData", text))
    except BaseException:
        driver.status("cuCtxDestroy_v2", handle)
        raise
    destroyed, _ = _timed(lambda: driver.call("cuCtxDestroy_v2", handle))
    return {
        "context_create_seconds": created,
        "jit_seconds": compiled,
        "module_load_seconds": loaded,
        "context_destroy_seconds": destroyed,
    }


def _timed(call: Callable[[], T]) -> tuple[float, T]:
    """Return the seconds that a call takes, and what it returns: for what takes much longer than the interpreter."""
    start = time.perf_counter_ns()
    value = call()
    return (time.perf_counter_ns() - start) * NANOSECOND, value


@contextmanager
def _private_cache() -> Iterator[None]:
    """Let the driver keep what it compiles in a folder that goes away, and compile when a module is loaded.

    It reads both when it starts; by default it may put compilation off until a kernel is first used.
    """
    with tempfile.TemporaryDirectory(prefix="overhead-matrix-", ignore_cleanup_errors=True) as folder:
        settings = {CACHE: folder, LOADING: "EAGER"}
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


CUDA_TASKS = {
    "context": Task(
        summary="Before the first kernel: the driver's start, a context, a module's compilation and loading.",
        run=run_context,
        params={"samples": 5},
        devices=("cuda",),
        seconds=4.0,
    ),
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
