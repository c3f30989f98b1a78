"""`compare A B`: two platforms of a bundle, or two bundles."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.analysis.pairs import compare_bundles, compare_platforms, regressions
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
    with pytest.raises(UsageError, match=r"nowhere is neither .* It has: docker, native, other, wsl"):
        compare_platforms(first, "native", "nowhere")


def test_two_bundles_are_compared_platform_by_platform(first: Path, second: Path) -> None:
    found = {each.platform: each for each in compare_bundles(first, second, metric="step_seconds")}
    assert set(found) == {"synthetic:docker", "synthetic:native"}
    docker = found["synthetic:docker"]
    assert docker.slowdown == pytest.approx(1.1, rel=0.01)
    assert (docker.verdict, docker.paired) == ("slower", False)
    assert "not interleaved" in docker.confounders[0]


def test_one_boot_a_side_gives_no_interval(first: Path, second: Path) -> None:
    manifest = json.loads((second / "run.json").read_text())
    manifest["boot_id"] = "another"
    (second / "run.json").write_text(json.dumps(manifest))
    for each in compare_bundles(first, second):
        assert each.ci95 == (None, None)
        assert each.verdict == "inconclusive"
        assert any("between-boot variance not estimated" in line for line in each.confounders)


def test_a_regression_lies_wholly_above(first: Path, second: Path) -> None:
    found = compare_bundles(first, second)
    assert {each.platform for each in regressions(found, 0.05)} == {"synthetic:docker"}
    assert regressions(found, 0.2) == ()
