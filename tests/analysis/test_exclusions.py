"""What is left out of the statistics, and why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.agent.messages import CellResult
from harness.analysis.analyse import analyse
from harness.analysis.compare import compare
from harness.analysis.exclusions import cause
from harness.analysis.report_json import report_json
from harness.results.bundle import Bundle, read
from tests.synthetic import TRAINING, write_bundle

THROTTLED = {"name": "throttled", "share": 0.5, "rule": "thermal slowdown", "gpu": "GPU-1"}


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read(write_bundle(tmp_path / "run", tasks=(TRAINING,), blocks=6, samples=5))


def marked(bundle: Bundle, mark: Any, *blocks: int) -> Bundle:  # noqa: ANN401 - also what no agent writes
    def change(result: CellResult) -> CellResult:
        hit = result.platform == "docker" and result.block in blocks and result.status == "ok"
        return replace(result, telemetry={"marks": mark}) if hit else result

    return replace(bundle, invocations=tuple(map(change, bundle.invocations)))


@pytest.mark.parametrize("name", ["throttled", "ecc"])
def test_a_marked_invocation_is_in_no_comparison_and_stays_in_sight(bundle: Bundle, name: str) -> None:
    found = marked(bundle, [{**THROTTLED, "name": name}], 2, 5)
    document = report_json(analyse(found), found)
    assert {each["blocks"] for each in document["comparisons"]} == {4}
    assert [(each["platform"], each["block"]) for each in document["exclusions"]] == [("docker", 2), ("docker", 5)]
    assert f"docker, tf_cnn.trivial: 2 invocations are left out ({name}: thermal slowdown)" in document["warnings"]
    blocks = [each["blocks"] for each in document["distributions"] if each["platform"] == "docker"]
    assert all(each == [1, 3, 4, 6] for each in blocks)


@pytest.mark.parametrize("name", ["power_capped", "contended"])
def test_what_is_the_same_for_all_or_uncertain_is_no_cause(bundle: Bundle, name: str) -> None:
    found = marked(bundle, [{**THROTTLED, "name": name}], 2)
    assert compare(found) == compare(bundle)
    assert analyse(found).exclusions == ()


def test_no_value_is_a_cause(bundle: Bundle) -> None:
    def outlier(result: CellResult) -> CellResult:
        far = tuple(replace(m, samples=tuple(100 * s for s in m.samples)) for m in result.metrics)
        return replace(result, metrics=far) if (result.platform, result.block) == ("docker", 3) else result

    found = replace(bundle, invocations=tuple(map(outlier, bundle.invocations)))
    assert analyse(found).exclusions == ()
    assert {each.blocks for each in compare(found)} == {6}


@pytest.mark.parametrize("marks", [None, {}, "throttled", [None, 1, "ecc"], [{}], [{"name": ["ecc"]}]])
def test_marks_of_another_form_are_no_cause(bundle: Bundle, marks: object) -> None:
    assert cause(replace(bundle.invocations[0], telemetry={"marks": marks})) == ""
