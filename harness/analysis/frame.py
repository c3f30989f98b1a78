"""Bundles as a table: one row a sample, and one row an invocation's metric.

Columns are built as whole arrays; a text that repeats is a categorical. A *series* is one metric of one invocation.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from harness.agent.messages import CellResult, Metric
from harness.analysis import warmup
from harness.analysis.exclusions import counts
from harness.results.bundle import Bundle

Values = NDArray[np.float64]
Counts = NDArray[np.int64]

SERIES_COLUMNS = ("run", "boot", "platform", "stack", "device", "task", "metric", "unit", "better", "dims", "block")
SAMPLE_COLUMNS = ("series", *SERIES_COLUMNS, "index", "value", "warmup", "steady", "unchecked")


def dims_text(dims: Mapping[str, Any]) -> str:
    """Return the canonical text of a set of dims: JSON with sorted names."""
    return json.dumps(dict(dims), sort_keys=True, ensure_ascii=False)


def dims_of(text: str) -> dict[str, Any]:
    """Return the dims that `dims_text` wrote."""
    dims: dict[str, Any] = json.loads(text)
    return dims


def frame(bundles: Iterable[Bundle]) -> pd.DataFrame:
    """Return one row a sample of every invocation that counts, `SAMPLE_COLUMNS` its columns.

    `platform` is the arm's name (`native@2`), `dims` the text of `dims_text`, `index` counts from 0 in the order
    measured, `warmup` says whether the sample is warm-up, as the task says or as `harness.analysis.warmup` finds,
    `steady` whether its series reached a steady state, `unchecked` whether it has too few steps to tell, `series`
    numbers the (invocation, metric) pairs.
    """
    return _framed(_placed(bundles))


def frame_of(invocations: Iterable[CellResult]) -> pd.DataFrame:
    """As `frame`, of invocations of one run; `run` and `boot` are empty."""
    return _framed(("", "", result) for result in invocations)


def medians(samples: pd.DataFrame) -> pd.DataFrame:
    """Return one row a series that has samples beyond warm-up.

    It holds `SERIES_COLUMNS`, the `median` of those samples and their number `samples`, how many are left out as
    `warmup`, and whether the series is `steady` or `unchecked`.

    The invocation is the unit of replication, so this is the only place where samples are summed up.
    """
    beyond = samples.loc[~samples["warmup"], ["series", "value", "index"]]
    grouped = beyond.groupby("series", sort=True)
    summary = pd.DataFrame(
        {"median": grouped["value"].median(), "samples": grouped.size(), "warmup": grouped["index"].min()}
    )
    heads = samples.drop_duplicates("series").set_index("series")[[*SERIES_COLUMNS, "steady", "unchecked"]]
    return heads.join(summary, how="inner").reset_index(drop=True)


def unsteady(samples: pd.DataFrame) -> int:
    """Return how many series have warm-up samples only: they are left out of the medians, and reported."""
    return int(samples.groupby("series")["warmup"].all().sum()) if len(samples) else 0


def _placed(bundles: Iterable[Bundle]) -> Iterator[tuple[str, str, CellResult]]:
    """Yield the run and the boot of every invocation: of a merged bundle, those of the run that it came from."""
    for bundle in bundles:
        origins, numbers = bundle.manifest.origins, bundle.boots()
        for result in bundle.invocations:
            origin = origins[numbers[result.block] - 1]
            yield origin.run_id, origin.boot_id, result


def _framed(results: Iterable[tuple[str, str, CellResult]]) -> pd.DataFrame:
    heads: list[tuple[object, ...]] = []
    metrics: list[Metric] = []
    for run, boot, result in results:
        if counts(result):
            heads.extend(_head(run, boot, result, metric) for metric in result.metrics)
            metrics.extend(result.metrics)
    return _expanded(pd.DataFrame(heads, columns=list(SERIES_COLUMNS)), metrics)


def _head(run: str, boot: str, result: CellResult, metric: Metric) -> tuple[object, ...]:
    place = (run, boot, result.platform, result.stack, result.device, result.task)
    return (*place, metric.name, metric.unit, metric.better, dims_text(metric.dims), result.block)


def _expanded(heads: pd.DataFrame, metrics: list[Metric]) -> pd.DataFrame:
    """Repeat each series' head for each of its samples."""
    lengths = np.array([len(metric.samples) for metric in metrics], dtype=np.int64)
    starts = np.cumsum(lengths) - lengths
    values = _values(metrics)
    warmups, steady = _settled(metrics, values, starts)
    unchecked = np.array([_is_unchecked(metric) for metric in metrics], dtype=bool)
    series = np.repeat(np.arange(len(metrics)), lengths)
    index = np.arange(len(series)) - starts[series]
    columns: dict[str, Any] = {"series": series}
    for name in SERIES_COLUMNS[:-1]:
        columns[name] = pd.Categorical(heads[name]).take(series)
    columns["block"] = heads["block"].to_numpy(dtype=np.int64)[series]
    columns["index"] = index
    columns["value"] = values
    columns["warmup"] = index < warmups[series]
    columns["steady"] = steady[series]
    columns["unchecked"] = unchecked[series]
    return pd.DataFrame(columns)


def _values(metrics: list[Metric]) -> Values:
    arrays = [np.asarray(metric.samples, dtype=np.float64) for metric in metrics]
    return np.concatenate(arrays) if arrays else np.empty(0)


def _is_unchecked(metric: Metric) -> bool:
    """Whether a workload's steps are too few for the search for their steady state."""
    return metric.name in warmup.METRICS and len(metric.samples) - metric.warmup < warmup.LEAST_STEPS


def _settled(metrics: list[Metric], values: Values, starts: Counts) -> tuple[Counts, NDArray[np.bool_]]:
    """Return how many samples of each series are warm-up, and whether it is steady; those of equal length at once."""
    warmups = np.array([metric.warmup for metric in metrics], dtype=np.int64)
    steady = np.ones(len(metrics), dtype=bool)
    by_length: defaultdict[int, list[int]] = defaultdict(list)
    for number, metric in enumerate(metrics):
        if metric.name in warmup.METRICS:
            by_length[len(metric.samples) - metric.warmup].append(number)
    for length, numbers in by_length.items():
        rows = values[(starts + warmups)[numbers][:, None] + np.arange(length)]
        more, steady[numbers] = warmup.settled_after(rows)
        warmups[numbers] += more
    return warmups, steady
