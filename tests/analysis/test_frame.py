"""Bundles as tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.frame import SAMPLE_COLUMNS, dims_of, frame, frame_of, medians, unsteady
from harness.results.bundle import Bundle, read
from tests.synthetic import SMALL_FILES, WARMUP, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read(write_bundle(tmp_path / "run", tasks=(SMALL_FILES,), blocks=2, samples=4))


def test_one_row_a_sample(bundle: Bundle) -> None:
    samples = frame([bundle])
    metrics = [metric for result in bundle.invocations for metric in result.metrics]
    assert list(samples.columns) == list(SAMPLE_COLUMNS)
    assert len(samples) == sum(len(metric.samples) for metric in metrics)
    assert samples["warmup"].sum() == WARMUP * len(metrics)
    first = samples[samples["series"] == 0]
    assert tuple(first["value"]) == metrics[0].samples
    assert list(first["index"]) == list(range(len(first)))
    assert dims_of(first["dims"].iloc[0]) == metrics[0].dims


def test_medians_are_of_the_steady_samples_of_one_invocation(bundle: Bundle) -> None:
    table = medians(frame([bundle]))
    expected = [
        (result.platform, result.block, metric.name, float(np.median(metric.samples[metric.warmup :])))
        for result in bundle.invocations
        for metric in result.metrics
    ]
    found = zip(table["platform"], table["block"], table["metric"], table["median"], strict=True)
    assert list(found) == expected
    assert set(table["samples"]) == {4}


def test_several_bundles_are_told_apart(bundle: Bundle) -> None:
    other = replace(bundle, manifest=bundle.manifest.model_copy(update={"run_id": "other"}))
    assert len(medians(frame([bundle, other]))) == 2 * len(medians(frame([bundle])))
    assert set(frame([bundle, other])["run"]) == {"synthetic", "other"}


@pytest.mark.parametrize(("status", "counts"), [("limited", True), ("failed", False), ("throttled", False)])
def test_only_what_was_measured_counts(bundle: Bundle, status: str, counts: bool) -> None:
    measured = next(result for result in bundle.invocations if result.metrics)
    result = replace(measured, status=status, reason="because")  # type: ignore[arg-type]  # one of the statuses
    assert bool(len(frame_of([result]))) is counts


def test_an_invocation_without_steady_samples_has_no_median(bundle: Bundle) -> None:
    measured = next(result for result in bundle.invocations if result.metrics)
    metric = replace(measured.metrics[0], warmup=len(measured.metrics[0].samples))
    samples = frame_of([replace(measured, metrics=(metric, measured.metrics[1]))])
    assert len(medians(samples)) == 1
    assert unsteady(samples) == 1


def test_nothing_measured_is_an_empty_table() -> None:
    samples = frame([])
    assert list(samples.columns) == list(SAMPLE_COLUMNS)
    assert medians(samples).empty
    assert unsteady(samples) == 0
