"""A bundle's samples as one table, for other tools: one row a sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from harness.agent.messages import CellResult, Metric, Scalar
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle

HEAD = ("run", "boot", "platform", "arm", "stack", "device", "task", "metric", "unit", "better")
PLACE = ("block", "attempt", "status")
SAMPLE = ("index", "is_warmup", "value")
DIM = "dim_"  # before the name of a dim, so that no dim can be called as a column is
NUMBERED = frozenset({"boot", "arm", "block", "attempt"})
MOST_INTEGER = 2**63 - 1


def samples(bundle: Bundle) -> pd.DataFrame:
    """Return every sample of the attempts that count, in the order measured: `HEAD`, a column a dim, `PLACE`, `SAMPLE`.

    `boot` counts the runs of a merged bundle from 1, `arm` is 2 for the baseline's second arm (A/A), `index` counts
    from 0 with the warm-up first. Samples of every `status` are there: only those of `ok` and `limited` are results.
    A dim that a metric does not have is missing; its column is of numbers or truth values where all its values are.
    """
    series = [(result, metric) for result in bundle.invocations for metric in result.metrics]
    heads = _heads(bundle, series)
    lengths = np.array([len(metric.samples) for _, metric in series], dtype=np.int64)
    table = heads.loc[heads.index.repeat(lengths)].reset_index(drop=True)
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    table["index"] = np.arange(len(table), dtype=np.int64) - starts
    warmups = np.array([metric.warmup for _, metric in series], dtype=np.int64)
    table["is_warmup"] = table["index"].to_numpy() < np.repeat(warmups, lengths)
    values = [np.asarray(metric.samples, dtype=np.float64) for _, metric in series]
    table["value"] = np.concatenate(values) if values else np.empty(0)
    return table


def _heads(bundle: Bundle, series: Sequence[tuple[CellResult, Metric]]) -> pd.DataFrame:
    """Return one row a metric of an invocation: all columns but those of the single sample."""
    origins, boots = bundle.manifest.origins, bundle.boots()
    runs = {block: (origins[boot - 1].run_id, boot) for block, boot in boots.items()}
    rows = pd.DataFrame(
        [(*runs[result.block], *_head(result, metric)) for result, metric in series], columns=[*HEAD, *PLACE]
    )
    metrics = [metric for _, metric in series]
    columns: dict[str, Any] = {name: _narrow(rows[name]) for name in HEAD}
    for name in sorted({name for metric in metrics for name in metric.dims}):
        columns[DIM + name] = column([metric.dims.get(name) for metric in metrics])
    columns |= {name: _narrow(rows[name]) for name in PLACE}
    return pd.DataFrame(columns, index=rows.index)


def _head(result: CellResult, metric: Metric) -> tuple[object, ...]:
    platform = result.platform.removesuffix(SECOND_ARM)
    arm = 1 if platform == result.platform else 2
    head = (platform, arm, result.stack, result.device, result.task, metric.name, metric.unit, metric.better)
    return (*head, result.block, result.attempt, result.status)


def _narrow(values: pd.Series[Any]) -> pd.Series[Any]:
    """Text that repeats as a categorical: a million rows fit."""
    return values.astype("int64" if values.name in NUMBERED else "category")


def column(values: Sequence[Scalar | None]) -> pd.Series[Any]:
    """Return a dim's values as a column of truth values, whole numbers, numbers or, where they are mixed, text."""
    known = [value for value in values if value is not None]
    kinds = {type(value) for value in known}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(abs(value) <= MOST_INTEGER for value in known if isinstance(value, int)):
        return pd.Series(values, dtype="Int64")
    if kinds == {float}:
        return pd.Series(values, dtype="Float64")
    return pd.Series([None if value is None else str(value) for value in values], dtype="category")
