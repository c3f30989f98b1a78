"""report.json: its form, and that it is whole."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import get_type_hints

import pytest

from harness.analysis.analyse import analyse
from harness.analysis.document import (
    CapabilityRecord,
    ClaimRecord,
    ComparisonRecord,
    DistributionRecord,
    Document,
    RunRecord,
)
from harness.analysis.model import Capability, Claim, Comparison, Distribution
from harness.analysis.report_json import report_json
from harness.results.bundle import read
from tests.synthetic import BANDWIDTH, TASKS, TRAINING, SyntheticMetric, SyntheticTask, write_bundle


def document(folder: Path, **options: object) -> Document:
    bundle = read(write_bundle(folder, **options))  # type: ignore[arg-type]  # options of write_bundle
    return report_json(analyse(bundle), bundle)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Document:
    return document(tmp_path_factory.mktemp("document") / "run", precision=0.02)


def test_it_is_json_as_it_is(whole: Document) -> None:
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole


@pytest.mark.parametrize(
    ("model", "record"),
    [
        (Comparison, ComparisonRecord),
        (Distribution, DistributionRecord),
        (Claim, ClaimRecord),
        (Capability, CapabilityRecord),
    ],
)
def test_records_have_the_fields_of_the_analysis(model: type, record: type) -> None:
    assert {field.name for field in fields(model)} == set(get_type_hints(record))


def test_every_promised_field_is_there(whole: Document) -> None:
    assert set(whole) == set(get_type_hints(Document))
    assert set(whole["run"]) == set(get_type_hints(RunRecord))
    for comparison in whole["comparisons"]:
        assert set(comparison) == set(get_type_hints(ComparisonRecord))


def test_the_run_is_described(whole: Document) -> None:
    run = whole["run"]
    assert (run["id"], run["blocks"], run["looks"]) == ("synthetic", 8, 2)
    assert 0.95 < run["interval_level"] < 0.975
    assert run["host"]["cpu.model"] == "Synthetic CPU"
    assert run["invocations"] == 8 * (3 * len(TASKS) + 1)
    assert len(run["fingerprint"]) == 64


def test_the_same_bundle_gives_the_same_document(whole: Document, tmp_path: Path) -> None:
    assert document(tmp_path / "again", precision=0.02) == whole


def test_platforms_and_what_differs(whole: Document) -> None:
    assert whole["platforms"] == ["native", "docker", "wsl"]
    assert whole["platform_records"]["wsl"]["available"] is False
    assert set(whole["environments"]) == {"native", "docker"}
    assert whole["differences"]["python.version"] == {"native": "3.11.2", "docker": "3.11.9"}
    assert "cpu.model" not in whole["differences"]


def test_the_headline_is_a_workload_and_never_a_probe(whole: Document, tmp_path: Path) -> None:
    headline = {each["platform"]: each["comparison"] for each in whole["headlines"]}
    number = headline["docker"]
    assert number is not None
    assert whole["comparisons"][number]["metric"] == "step_seconds"
    assert headline["wsl"] is None
    probes = document(tmp_path / "probes", tasks=(BANDWIDTH,))
    assert [each["comparison"] for each in probes["headlines"]] == [None, None]


def test_tensorflow_benchmarks_are_the_headline_where_they_ran(tmp_path: Path) -> None:
    other = SyntheticTask(name="a_cnn.trivial", stack="torch", metrics=TRAINING.metrics)
    both = document(tmp_path / "both", tasks=(other, TRAINING))
    number = both["headlines"][0]["comparison"]
    assert number is not None
    assert both["comparisons"][number]["task"] == "tf_cnn.trivial"


def test_distributions_hold_both_arms(whole: Document) -> None:
    arms = {each["platform"] for each in whole["distributions"]}
    assert arms == {"native", "native@2", "docker"}
    for each in whole["distributions"]:
        assert each["blocks"] == list(range(1, 9))
        assert len(each["medians"]) == 8


def test_warnings_reach_the_document(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "run", blocks=2, samples=2)
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])
    bundle = read(folder)
    assert "last line is cut" in report_json(analyse(bundle), bundle)["warnings"][0]


def test_a_run_without_its_baseline_says_so(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "run", blocks=2, samples=2)
    journal = folder / "journal.jsonl"
    kept = [line for line in journal.read_text().splitlines() if '"cell": "native' not in line]
    journal.write_text("\n".join(kept) + "\n")
    bundle = read(folder)
    found = report_json(analyse(bundle), bundle)
    assert found["comparisons"] == []
    assert "the baseline native was not measured" in found["warnings"][0]


def test_a_run_in_which_nothing_was_measured(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "run", blocks=1, samples=2)
    (folder / "journal.jsonl").write_text("")
    bundle = read(folder)
    found = report_json(analyse(bundle), bundle)
    assert (found["comparisons"], found["distributions"], found["run"]["samples"]) == ([], [], 0)


def test_what_a_step_consists_of_is_in_the_bundle_and_compared_with_nothing(tmp_path: Path) -> None:
    """Counted on the baseline alone, and 0 is a count: no ratio, no distribution, no warning, nothing unmatched."""
    counts = (SyntheticMetric(name="operation_count", value=54.0), SyntheticMetric(name="sync_count", value=0.0))
    counting = SyntheticTask(name="counts.tf_cnn.trivial", stack="tensorflow", metrics=counts)
    bundle = read(write_bundle(tmp_path / "run", tasks=(TRAINING, counting), blocks=2, samples=2))
    once = [
        result
        for result in bundle.invocations
        if result.task != counting.name or (result.platform, result.block) == ("native", 1)
    ]
    found = report_json(analyse(replace(bundle, invocations=tuple(once))), bundle)
    without = [result for result in once if result.task != counting.name]
    plain = report_json(analyse(replace(bundle, invocations=tuple(without))), bundle)
    assert len(once) == len(without) + 1
    assert {**found, "attribution": []} == plain
    assert found["attribution"], "which multiplies them"
