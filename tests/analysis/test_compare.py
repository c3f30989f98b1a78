"""Comparisons of one run, on synthetic bundles with a planted truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.agent.messages import CellResult, Metric
from harness.analysis.compare import compare, interval_level, looks, settled, settled_in
from harness.analysis.model import Comparison
from harness.results.bundle import Bundle, read
from tests.synthetic import BANDWIDTH, CONTROL, SMALL_FILES, TRAINING, write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    platforms = {"docker": 1.03, "docker-half": 2.0}
    return read(write_bundle(tmp_path / "run", platforms=platforms, sigma=0.003, blocks=8, samples=20))


def found(comparisons: tuple[Comparison, ...], platform: str, metric: str, **dims: str) -> Comparison:
    (one,) = [each for each in comparisons if (each.platform, each.metric, each.dims) == (platform, metric, dims)]
    return one


def changed(bundle: Bundle, change: Callable[[CellResult], CellResult | None]) -> Bundle:
    kept = [result for result in map(change, bundle.invocations) if result is not None]
    return replace(bundle, invocations=tuple(kept))


def without(task: str) -> Callable[[CellResult], CellResult | None]:
    return lambda result: None if result.task == task else result


def test_planted_slowdowns_are_found(bundle: Bundle) -> None:
    comparisons = compare(bundle)
    for platform, truth in (("docker", 1.03), ("docker-half", 2.0)):
        for metric in ("step_seconds", "images_per_second", "triad_bandwidth"):
            one = found(comparisons, platform, metric)
            low, high = one.ci95
            assert one.verdict == "slower"
            assert one.slowdown == pytest.approx(truth, rel=0.01)
            assert low is not None
            assert high is not None
            assert low < one.slowdown < high
            assert (one.blocks, one.paired, one.baseline) == (8, True, "native")


def test_more_is_better_is_turned_into_cost(bundle: Bundle) -> None:
    rate = found(compare(bundle), "docker-half", "images_per_second")
    assert rate.platform_value < rate.baseline_value
    assert rate.slowdown == pytest.approx(rate.baseline_value / rate.platform_value)


def test_the_baseline_against_itself_is_the_noise_floor(bundle: Bundle) -> None:
    for comparison in compare(bundle):
        low, high = comparison.noise_ci95
        assert comparison.noise_floor is not None
        assert comparison.noise_floor < 0.02
        assert low is not None
        assert high is not None
        assert low < high


def test_an_arm_that_differs_from_itself_is_said(bundle: Bundle) -> None:
    def slow_second_arm(result: CellResult) -> CellResult:
        return scaled(result, 1.1) if result.platform == "native@2" and result.task == TRAINING.name else result

    one = found(compare(changed(bundle, slow_second_arm)), "docker", "step_seconds")
    assert one.noise_floor == pytest.approx(0.1, abs=0.02)
    assert one.verdict == "equivalent"
    assert any("the baseline differs from itself by +" in line for line in one.confounders)


def scaled(result: CellResult, factor: float) -> CellResult:
    def slower(metric: Metric) -> Metric:
        return replace(metric, samples=tuple(factor * sample for sample in metric.samples))

    return replace(result, metrics=tuple(map(slower, result.metrics)))


def test_without_a_second_arm_the_floor_is_unknown(bundle: Bundle) -> None:
    one = found(
        compare(changed(bundle, lambda result: None if result.platform == "native@2" else result)),
        "docker",
        "step_seconds",
    )
    assert (one.noise_floor, one.noise_ci95) == (None, (None, None))
    assert any("no second arm" in line for line in one.confounders)


def test_an_aa_pair_is_equivalent(tmp_path: Path) -> None:
    even = read(write_bundle(tmp_path / "even", platforms={"docker": 1.0}, sigma=0.002, blocks=12, samples=20))
    assert found(compare(even), "docker", "step_seconds").verdict == "equivalent"


def test_locations_meet_their_namesake_or_the_host(bundle: Bundle) -> None:
    dims = [each.dims for each in compare(bundle) if (each.platform, each.metric) == ("docker", "create_seconds")]
    assert sorted(dims, key=str) == [
        {"location": "bind", "baseline_location": "host"},
        {"location": "overlay", "baseline_location": "host"},
        {"location": "tmpfs"},
        {"location": "volume", "baseline_location": "host"},
    ]


def test_the_clock_is_not_compared(bundle: Bundle) -> None:
    assert "clock_seconds" not in {comparison.metric for comparison in compare(bundle)}


def test_what_is_no_cost_is_not_compared(bundle: Bundle) -> None:
    losses = Metric(name="loss", unit="nat", better="lower", samples=(9.7,) * 5)
    found = replace(
        bundle, invocations=tuple(replace(each, metrics=(*each.metrics, losses)) for each in bundle.invocations)
    )
    assert [each.metric for each in compare(found)] == [each.metric for each in compare(bundle)]


def test_only_blocks_that_both_have_count(bundle: Bundle) -> None:
    def lossy(result: CellResult) -> CellResult | None:
        lost = (result.platform, result.block) in {("docker", 1), ("native", 2)}
        return replace(result, status="failed", reason="lost", metrics=()) if lost else result

    assert found(compare(changed(bundle, lossy)), "docker", "step_seconds").blocks == 6


def test_a_platform_of_other_blocks_is_not_compared(bundle: Bundle) -> None:
    def split(result: CellResult) -> CellResult | None:
        return result if (result.platform == "docker") == (result.block > 4) else None

    assert "docker" not in {comparison.platform for comparison in compare(changed(bundle, split))}


def test_a_control_that_differs_makes_the_pair_not_comparable(tmp_path: Path) -> None:
    slow = read(write_bundle(tmp_path / "slow", sigma=0.003, clock=2.0))
    for comparison in compare(slow):
        assert not comparison.comparable
        assert comparison.confounders[0].startswith("control.fma differs: 2.0")


def test_an_equal_control_says_nothing(bundle: Bundle) -> None:
    for comparison in compare(bundle):
        assert comparison.comparable
        assert not any("control.fma" in line for line in comparison.confounders)


def test_a_control_that_cannot_tell_is_said(tmp_path: Path) -> None:
    loud = read(write_bundle(tmp_path / "loud", sigma=0.1))
    assert all(comparison.comparable for comparison in compare(loud))
    assert all("control.fma cannot tell" in comparison.confounders[0] for comparison in compare(loud))


def test_a_missing_control_is_said(bundle: Bundle) -> None:
    comparisons = compare(changed(bundle, without(CONTROL.name)))
    assert all(comparison.comparable for comparison in comparisons)
    assert all("control.fma was not measured" in comparison.confounders[0] for comparison in comparisons)


def test_software_that_differs_is_named(bundle: Bundle) -> None:
    one = found(compare(bundle), "docker", "step_seconds")
    assert "python: 3.11.2 on native, 3.11.9 on docker" in one.confounders
    assert not any(line.startswith("libc") for line in one.confounders), "it is the same on both"


def test_lock_files_that_differ_are_named(bundle: Bundle) -> None:
    stacks = {"tensorflow": {"platforms": {"native": {"lock_sha256": "aaaa"}, "docker": {"lock_sha256": "bbbb"}}}}
    other = replace(bundle, manifest=bundle.manifest.model_copy(update={"stacks": stacks}))
    assert "lock file: aaaa on native, bbbb on docker" in found(compare(other), "docker", "step_seconds").confounders


def test_values_that_are_not_above_zero_are_in_no_ratio(bundle: Bundle) -> None:
    zero = changed(bundle, lambda result: scaled(result, 0.0) if result.task == TRAINING.name else result)
    assert "step_seconds" not in {comparison.metric for comparison in compare(zero)}


def test_one_block_is_inconclusive(tmp_path: Path) -> None:
    one = found(compare(read(write_bundle(tmp_path / "one", blocks=1))), "docker", "step_seconds")
    assert (one.ci95, one.verdict, one.mde) == ((None, None), "inconclusive", None)


def test_looks_raise_the_level(tmp_path: Path, bundle: Bundle) -> None:
    assert (interval_level(bundle.manifest), looks(bundle.manifest)) == (0.95, 1)
    sequential = read(write_bundle(tmp_path / "looks", tasks=(TRAINING,), blocks=12, samples=5, precision=0.02))
    assert looks(sequential.manifest) == 3
    assert 0.95 < interval_level(sequential.manifest) < 1 - 0.05 / 3


def test_a_task_is_settled_when_all_its_intervals_are_narrow(bundle: Bundle) -> None:
    def ask(precision: float, task: str = TRAINING.name, blocks: int = 8, level: float = 0.95) -> bool:
        chosen = [result for result in bundle.invocations if result.block <= blocks]
        return settled(chosen, task=task, baseline="native", precision=precision, level=level)

    assert ask(0.02)
    assert not ask(0.0001)
    assert not ask(0.02, blocks=1)
    assert ask(0.02, task=SMALL_FILES.name)
    assert not ask(0.02, blocks=2, level=0.9999)
    assert ask(0.02, task="driver.spawn"), "nothing to compare: more blocks change nothing"


def test_only_the_primary_metric_keeps_a_task_going(tmp_path: Path) -> None:
    """Hundreds of copy sizes need not all settle."""
    folder = write_bundle(tmp_path / "files", tasks=(SMALL_FILES,), samples=10, sigma=0.003)

    def ask(loud: str) -> bool:
        def changing(result: CellResult) -> CellResult:
            if result.platform != "docker":
                return result
            factor = 1.5**result.block
            metrics = tuple(
                replace(each, samples=tuple(factor * value for value in each.samples)) if each.name == loud else each
                for each in result.metrics
            )
            return replace(result, metrics=metrics)

        chosen = changed(read(folder), changing).invocations
        return settled(chosen, task=SMALL_FILES.name, baseline="native", precision=0.02)

    assert ask("create_seconds")
    assert not ask("open_read_seconds")


def test_one_loud_metric_keeps_a_task_going(bundle: Bundle) -> None:
    def loud(result: CellResult) -> CellResult:
        return (
            scaled(result, 1.5**result.block)
            if result.platform == "docker" and result.task == BANDWIDTH.name
            else result
        )

    chosen = changed(bundle, loud).invocations
    assert settled(bundle.invocations, task=BANDWIDTH.name, baseline="native", precision=0.02)
    assert not settled(chosen, task=BANDWIDTH.name, baseline="native", precision=0.02)
    assert settled(chosen, task=TRAINING.name, baseline="native", precision=0.02)


def test_a_run_under_way_is_asked_by_its_cells(tmp_path: Path) -> None:
    folder = write_bundle(
        tmp_path / "run", tasks=(TRAINING, BANDWIDTH), blocks=8, samples=5, sigma=0.003, precision=0.02
    )
    cells = [f"{platform}/tensorflow/tf_cnn.trivial" for platform in ("native", "native@2", "docker")]
    assert settled_in(folder, cells, 0.02, 8)
    assert not settled_in(folder, cells, 0.0001, 8)
    assert not settled_in(folder, cells, 0.02, 1), "later blocks are not looked at: one block has no interval"
