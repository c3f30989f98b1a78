"""What a GPU did during a workload's timed steps, from the samples: how busy it was, what energy an item took.

`gpu_utilization` is the mean of NVML's own counter (the share of time in which a kernel ran); `energy_per_image`, in
joules, the integral of the power over the timed steps by images; steps that NVML's own averaging blurs have neither.
Between two samples both are taken as straight lines, at the ends as the sample that lies nearest. They are the GPU's
that the task's device is, whoever else uses it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from harness.agent.messages import Metric
from harness.agent.task import Span

LEAST = 3  # samples within the timed steps; fewer say nothing of them
# Seconds that the timed steps must last. nvml.h: nvmlDeviceGetPowerUsage returns the mean over the last second on
# Ampere (except GA100) and later, and nvmlDeviceGetUtilizationRates has a period of a sixth of a second to a second.
SHORTEST = 2.0
AVERAGED = ("utilization_percent", "power_watts")
Point = tuple[float, float]  # seconds, value


def gpu_metrics(record: Mapping[str, Any], timed: Span | None) -> tuple[Metric, ...]:
    """Return the metrics of the timed steps that a telemetry record has samples for."""
    if timed is None or "timed" not in record:
        return ()
    begin, end = record["timed"]
    return tuple(_metrics(record["samples"], begin, end, timed)) if end - begin >= SHORTEST else ()


def gpu_warnings(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Return why a GPU that was sampled has no metrics of the timed steps: they were too short."""
    if "timed" not in record:
        return ()
    samples, (begin, end) = record["samples"], record["timed"]
    sampled = any(f"{gpu}.{name}" in samples["columns"] for gpu in samples["gpus"] for name in AVERAGED)
    if not sampled or end - begin >= SHORTEST:
        return ()
    what = f"the timed steps took {end - begin:.1f} s: too short for energy and GPU utilization"
    return (f"{what}, which NVML averages over up to a second. Raise num_batches until they take {SHORTEST:g} s.",)


def _metrics(samples: Mapping[str, Any], begin: float, end: float, timed: Span) -> Iterator[Metric]:
    for gpu in samples["gpus"]:
        busy = _integral(samples, f"{gpu}.utilization_percent", begin, end)
        if busy is not None:
            share = busy / (end - begin) / 100
            yield Metric(name="gpu_utilization", unit="ratio", better="higher", samples=(share,))
        joules = _integral(samples, f"{gpu}.power_watts", begin, end)
        if joules is not None:
            spent = joules / timed.done
            yield Metric(name=f"energy_per_{timed.item}", unit="J", better="lower", samples=(spent,))


def _integral(samples: Mapping[str, Any], column: str, begin: float, end: float) -> float | None:
    """Return the integral of a column from begin to end (trapezoids); None where too few samples lie between."""
    values = samples["columns"].get(column, ())
    known: list[Point] = [
        (time, value) for time, value in zip(samples["times"], values, strict=False) if value is not None
    ]
    within = [point for point in known if begin < point[0] < end]
    if len(within) < LEAST:
        return None
    path = [(begin, _at(known, begin)), *within, (end, _at(known, end))]
    return sum((after[0] - before[0]) * (before[1] + after[1]) / 2 for before, after in pairwise(path))


def _at(points: Sequence[Point], moment: float) -> float:
    """Return the value at a moment, between the two points around it; beyond them all that of the nearest."""
    for (start, before), (stop, after) in pairwise(points):
        if start <= moment <= stop and stop > start:
            return before + (after - before) * (moment - start) / (stop - start)
    return points[0][1] if moment < points[0][0] else points[-1][1]
