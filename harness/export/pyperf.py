"""A bundle as suites of pyperf, one a platform: `pyperf compare_to native.json docker.json`.

The file format is pyperf's own, version 1.0 (pyperf.readthedocs.io, api.html, "Benchmark file format"): a run is a
process, as an invocation is. pyperf pools the values of all runs, so its significance is not this project's: its unit
is the value, not the process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.agent.messages import CellResult, Metric
from harness.analysis.exclusions import MEASURED
from harness.report.words import clean
from harness.results.bundle import Bundle

SECONDS = "s"
NAME_LIMIT = 10_000

Suite = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Suites:
    """What pyperf can hold, by the arm's name (`native@2`), and the names of what it can't: values of 0 and less."""

    suites: Mapping[str, Suite]
    left_out: tuple[str, ...]


def suites(bundle: Bundle) -> Suites:
    """Return a suite for each arm, with every metric in seconds of the invocations that count as results."""
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    timed = list(_timed(bundle.invocations))
    unfit = {_name(result, metric) for result, metric in timed if not _fits(metric)}
    for result, metric in timed:
        name = _name(result, metric)
        if name not in unfit:
            runs.setdefault(result.platform, {}).setdefault(name, []).append(_run(result, metric))
    return Suites(suites={arm: _suite(found) for arm, found in runs.items()}, left_out=tuple(sorted(unfit)))


def _timed(invocations: Iterable[CellResult]) -> Iterator[tuple[CellResult, Metric]]:
    for result in invocations:
        if result.status in MEASURED:
            steady = (each for each in result.metrics if len(each.samples) > each.warmup)
            yield from ((result, each) for each in steady if each.unit == SECONDS)


def _fits(metric: Metric) -> bool:
    """Whether pyperf takes it: values above 0, and warm-ups of 0 at least."""
    return all(value > 0 for value in metric.samples[metric.warmup :]) and all(value >= 0 for value in metric.samples)


def _name(result: CellResult, metric: Metric) -> str:
    """What pyperf matches between two suites: all but the platform."""
    dims = ",".join(f"{name}={metric.dims[name]}" for name in sorted(metric.dims))
    parts = (f"{result.stack}/{result.task}", metric.name, f"[{dims}]" if dims else "", result.device)
    return clean(" ".join(filter(None, parts)), NAME_LIMIT).strip()


def _run(result: CellResult, metric: Metric) -> dict[str, Any]:
    return {
        "metadata": {"block": result.block, "attempt": result.attempt},
        "warmups": [[1, value] for value in metric.samples[: metric.warmup]],
        "values": list(metric.samples[metric.warmup :]),
    }


def _suite(found: Mapping[str, list[dict[str, Any]]]) -> Suite:
    benchmarks = [{"metadata": {"name": name}, "runs": runs} for name, runs in sorted(found.items())]
    return {"version": "1.0", "metadata": {"unit": "second"}, "benchmarks": benchmarks}
