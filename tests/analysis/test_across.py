"""`compare A B`: two platforms of a bundle, or two bundles."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.across import compare_bundles, compare_platforms, gated, regressions
from harness.analysis.estimate import unpaired
from harness.errors import UsageError
from tests.synthetic import BANDWIDTH, TRAINING, write_bundle

TASKS = (BANDWIDTH, TRAINING)


@pytest.fixture
def first(tmp_path: Path) -> Path:
    return write_bundle(
        tmp_path / "first", tasks=TASKS, sigma=0.003, samples=10, platforms={"docker": 1.0, "other": 1.2}
    )


@pytest.fixture
def second(tmp_path: Path) -> Path:
    platforms = {"docker": 1.1}
    return write_bundle(tmp_path / "second", tasks=TASKS, sigma=0.003, samples=10, platforms=platforms, seed=2)


def test_any_platform_may_be_the_baseline(first: Path) -> None:
    (step,) = compare_platforms(first, "other", "docker", metric="step_*")
    assert (step.baseline, step.platform, step.verdict) == ("other", "docker", "faster")
    assert step.slowdown == pytest.approx(1 / 1.2, rel=0.01)
    assert step.noise_floor is None


def test_an_unknown_platform_is_named_with_those_there(first: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere is neither .* docker, native, other, wsl"):
        compare_platforms(first, "native", "nowhere")


def test_two_bundles_are_compared_platform_by_platform(first: Path, second: Path) -> None:
    found = {each.platform: each for each in compare_bundles(first, second, metric="step_seconds")}
    assert set(found) == {"docker in synthetic", "native in synthetic"}
    docker = found["docker in synthetic"]
    assert docker.slowdown == pytest.approx(1.1, rel=0.01)
    assert (docker.verdict, docker.paired) == ("slower", False)
    assert "not interleaved" in docker.confounders[-1]


def test_another_boot_is_said(first: Path, second: Path) -> None:
    manifest = json.loads((second / "run.json").read_text())
    manifest["boot_id"] = "another"
    (second / "run.json").write_text(json.dumps(manifest))
    for each in compare_bundles(first, second):
        assert any("between-boot variance not estimated" in line for line in each.confounders)


@pytest.mark.parametrize(
    ("key", "value", "comparable"),
    [("cpu.model", "Another CPU", False), ("system.kernel", "6.12", True), ("gpu.driver", "580.1", True)],
)
def test_another_kernel_or_driver_may_be_compared_and_another_machine_may_not(
    first: Path, second: Path, key: str, value: str, comparable: bool
) -> None:
    manifest = json.loads((second / "run.json").read_text())
    manifest["run_id"] = "second"
    manifest["platforms"]["docker"]["inspection"][key] = {"value": value, "source": "synthetic"}
    (second / "run.json").write_text(json.dumps(manifest))
    found = {each.platform: each for each in compare_bundles(first, second, metric="step_seconds")}
    assert (found["docker in second"].comparable, found["native in second"].comparable) == (comparable, True)
    assert any(line.startswith(f"{key}: ") for line in found["docker in second"].confounders) is not comparable


def test_another_lock_file_is_on_trial_and_other_parameters_are_not(first: Path, second: Path) -> None:
    manifest = json.loads((second / "run.json").read_text())
    manifest["stacks"]["tensorflow"]["lock_sha256"] = "f" * 64
    (second / "run.json").write_text(json.dumps(manifest))
    found = {each.platform: each for each in compare_bundles(first, second, metric="step_seconds")}
    docker = found["docker in synthetic"]
    assert docker.comparable
    (line,) = (line for line in docker.confounders if line.startswith("lock file of stack tensorflow: "))
    assert line.endswith("ffffffffffff after")
    assert {each.platform for each in regressions(gated(tuple(found.values())), 0.05)} == {"docker in synthetic"}


def test_a_gate_judges_what_compares_and_has_an_interval(first: Path, second: Path) -> None:
    found = compare_bundles(first, second)
    assert gated(found) == found
    apart = tuple(replace(each, comparable=False, confounders=("cpu.model: another",)) for each in found)
    with pytest.raises(UsageError, match=r"nothing that can be compared .*: cpu.model: another\. See --metric"):
        gated(apart)
    with pytest.raises(UsageError, match="nothing that can be compared"):
        gated(())
    without = tuple(replace(each, ci95=(None, None)) for each in found)
    with pytest.raises(UsageError, match="no slowdown has an interval"):
        gated(without)
    assert gated((*without, found[0])) == (found[0],)


def test_a_regression_lies_wholly_above(first: Path, second: Path) -> None:
    found = compare_bundles(first, second)
    assert {each.platform for each in regressions(found, 0.05)} == {"docker in synthetic"}
    assert regressions(found, 0.2) == ()


def test_welch_covers_sides_of_unequal_spread() -> None:
    random, trials = np.random.default_rng(5), 400
    covered = 0
    for _ in range(trials):
        fast = np.exp(random.normal(0, 0.01, 8))
        slow = np.exp(random.normal(0.03, 0.04, 5))
        low, high = unpaired(fast, slow).interval
        covered += low is not None and high is not None and low <= math.exp(0.03) <= high
    assert 0.92 <= covered / trials <= 0.98
