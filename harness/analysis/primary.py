"""The one metric of each task that speaks for it: the headline shows it, and a run that stops by precision heeds it.

The others stay in the table. Hundreds of copy sizes need not all be settled, and a headline of a curve's every point
says nothing: where a metric has sizes, one fixed size speaks, large enough for what is measured to be all that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from harness.agent.sampling import CALL_METRIC, CLOCK_METRIC
from harness.analysis.frame import dims_text

T = TypeVar("T")
Point = tuple[T, Mapping[str, Any]]  # with its dims
Described = Callable[[T], tuple[str, Mapping[str, Any]]]  # metric and dims


@dataclass(frozen=True)
class Primary:
    """A metric, and the size at which it speaks; its other dims (direction, location) all count."""

    metric: str
    size: Mapping[str, int] = field(default_factory=dict)  # one dim, or none


STEP = "step_seconds"
WORKLOAD = Primary(STEP)
INSTRUMENT = frozenset({CLOCK_METRIC, CALL_METRIC})  # of every probe, and speak for none
PRIMARY: Mapping[str, Primary] = {
    "control.fma": Primary("fma_seconds"),
    "control.fma_device": Primary("device_fma_seconds"),
    "control.delay": Primary("delay_seconds"),
    "control.step": Primary(STEP),
    "copies.allocation": Primary("allocate_seconds", {"bytes": 2**20}),
    "copies.bandwidth": Primary("copy_bandwidth", {"bytes": 2**28}),
    "copies.collective": Primary("bus_bandwidth"),
    "copies.gated": Primary("driver_path_seconds", {"bytes": 4}),
    "copies.overlap": Primary("overlap_ratio"),
    "copies.peer": Primary("peer_bandwidth", {"bytes": 2**28}),
    "data.generate": Primary("generate_seconds"),
    "driver.context": Primary("first_context_seconds"),
    "driver.dispatch": Primary("dispatch_seconds"),
    "driver.graph": Primary("graph_slope_seconds"),
    "driver.jitter": Primary("lateness_seconds"),
    "driver.launch": Primary("launch_slope_seconds"),
    "driver.spawn": Primary("spawn_seconds"),
    "driver.switch": Primary("switch_seconds"),
    "driver.sync": Primary("round_trip_seconds"),
    "driver.syscall": Primary("syscall_seconds"),
    "memory.affinity": Primary("work_seconds"),
    "memory.bandwidth": Primary("triad_bandwidth"),
    "memory.faults": Primary("fault_seconds"),
    "memory.latency": Primary("load_seconds"),
    "storage.loader": Primary("samples_per_second"),
    "storage.prefetch": Primary("read_bandwidth"),
    "storage.random": Primary("read_iops"),
    "storage.sequential": Primary("read_bandwidth"),
    "storage.small_files": Primary("open_read_seconds"),
    "tooling.build": Primary("compile_seconds"),
    "tooling.build_cuda": Primary("compile_seconds"),
    "tooling.import": Primary("import_seconds"),
    "tooling.install": Primary("install_seconds"),
    "tooling.make": Primary("make_seconds"),
}


def primary_of(task: str, found: Sequence[T], describe: Described[T]) -> list[T]:
    """Return those of a task's quantities, on one platform, that speak for it.

    A curve that ends before the fixed size (a limit on pinned memory) speaks by its largest. Where the metric is not
    there (a probe of one metric needs no entry; another version's task), the first in the order of names speaks.
    """
    wanted = PRIMARY.get(task.partition("[")[0], WORKLOAD)
    described = [(each, *describe(each)) for each in found]
    measured = [(each, dims) for each, metric, dims in described if metric == wanted.metric]
    if measured:
        return [_at(curve, wanted.size) for curve in _curves(measured, wanted.size)]
    first = min((metric for _, metric, _ in described if metric not in INSTRUMENT), default="")
    return [each for each, metric, _ in described if metric == first]


def _curves(measured: Sequence[Point[T]], size: Mapping[str, int]) -> Iterable[Sequence[Point[T]]]:
    """Put together what differs in nothing but size."""
    curves: dict[str, list[Point[T]]] = {}
    for each, dims in measured:
        others = {name: value for name, value in dims.items() if name not in size}
        curves.setdefault(dims_text(others), []).append((each, dims))
    return curves.values()


def _at(curve: Sequence[Point[T]], size: Mapping[str, int]) -> T:
    fixed = [each for each, dims in curve if size.items() <= dims.items()]
    return fixed[0] if fixed else max(curve, key=lambda point: [point[1].get(name, 0) for name in size])[0]
