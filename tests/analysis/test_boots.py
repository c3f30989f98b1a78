"""Boots as replicates: what the intervals cover in simulation, and what the analysis makes of merged bundles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from harness.analysis.analyse import analyse
from harness.analysis.boots import NO_VARIANCE, UNTOLD, boot_warnings, boots, elsewhere
from harness.analysis.capabilities import capabilities
from harness.analysis.compare import compare, interval_level
from harness.analysis.estimate import Estimate, minimal_effect, paired, unpaired
from harness.analysis.frame import frame
from harness.analysis.model import Comparison
from harness.analysis.pairing import by_boot, shared
from harness.results.bundle import Bundle
from harness.results.merge import merged
from tests.boots import Boot, linux, windows, write_boot

TRUTH = math.log(1.1)
BETWEEN, WITHIN, BLOCKS = 0.02, 0.01, 8  # standard deviations of logs; blocks a boot
TRIALS = 1500
BLOCK_NUMBERS = range(1, BLOCKS + 1)


def logs(random: np.random.Generator, boots: int, mean: float, between: float) -> NDArray[np.float64]:
    """Draw log medians, one row a boot: all blocks of a boot share what the boot is like."""
    level = random.normal(mean, between, (boots, 1))
    return level + random.normal(0, WITHIN, (boots, BLOCKS))


def covers(estimate: Estimate, truth: float) -> bool:
    return estimate.low is not None and estimate.high is not None and estimate.low <= truth <= estimate.high


@pytest.mark.parametrize(("ours", "theirs", "ratio"), [(3, 3, 1.0), (4, 4, 2.0), (6, 6, 1.0), (3, 6, 1.0)])
def test_boots_as_replicates_cover_and_blocks_do_not(ours: int, theirs: int, ratio: float) -> None:
    """The unpaired interval of 95% covers 0.93 to 0.97 over boots; with blocks for replicates it would be far less."""
    random = np.random.default_rng(11)
    right = wrong = 0
    for _ in range(TRIALS):
        one, other = logs(random, ours, 0.0, BETWEEN), logs(random, theirs, TRUTH, ratio * BETWEEN)
        right += covers(unpaired(np.exp(one.mean(axis=1)), np.exp(other.mean(axis=1))), TRUTH)
        wrong += covers(unpaired(np.exp(one.ravel()), np.exp(other.ravel())), TRUTH)
    assert 0.93 <= right / TRIALS <= 0.97
    assert wrong / TRIALS < 0.7


@pytest.mark.parametrize("count", [2, 3, 5])
def test_pairs_over_boots_cover_where_boots_change_the_ratio(count: int) -> None:
    """Interleaved platforms, where each boot has a ratio of its own: the boots' mean differences are the sample."""
    random = np.random.default_rng(12)
    right = wrong = 0
    for _ in range(TRIALS):
        baseline = logs(random, count, 0.0, BETWEEN)
        platform = baseline.mean(axis=1, keepdims=True) + logs(random, count, TRUTH, BETWEEN)
        blocks = {number: boot for boot in range(count) for number in (boot * BLOCKS + n for n in BLOCK_NUMBERS)}
        ours, theirs = (dict(zip(blocks, np.exp(side.ravel()).tolist(), strict=True)) for side in (baseline, platform))
        boot_of = {block: str(boot) for block, boot in blocks.items()}
        right += covers(paired(*shared(ours, theirs, boot_of)), TRUTH)
        wrong += covers(paired(*shared(ours, theirs, {})), TRUTH)
    assert 0.93 <= right / TRIALS <= 0.97
    assert wrong / TRIALS < 0.7


def test_a_boots_value_is_the_mean_of_its_logs() -> None:
    values = by_boot({1: 1.0, 2: 4.0, 3: 9.0}, {1: "a", 2: "a", 3: "b"})
    assert values == {"a": pytest.approx(2.0), "b": pytest.approx(9.0)}


def test_blocks_of_one_boot_are_left_as_they_are() -> None:
    ours, theirs = shared({1: 1.0, 2: 2.0, 3: 3.0}, {2: 5.0, 3: 6.0, 4: 7.0}, {})
    assert (ours.tolist(), theirs.tolist()) == ([2.0, 3.0], [5.0, 6.0])


def test_the_smallest_effect_of_boots_is_found_with_the_power_it_promises() -> None:
    random = np.random.default_rng(13)
    found = []
    for _ in range(600):
        one, other = (logs(random, 6, 0.0, BETWEEN).mean(axis=1) for _ in range(2))
        effect = minimal_effect(unpaired(np.exp(one), np.exp(other)))
        assert effect is not None
        found.append(math.log1p(effect))
    shift, detected = float(np.median(found)), 0
    for _ in range(600):
        one, other = (logs(random, 6, mean, BETWEEN).mean(axis=1) for mean in (0.0, shift))
        detected += stats.ttest_ind(one, other, equal_var=False).pvalue < 0.05
    assert 0.7 < detected / 600 < 0.9
    assert minimal_effect(unpaired(np.array([1.0, 1.1]), np.array([1.0, 1.2]))) is None


VBS, MODELS = "windows.virtualization_based_security", "gpu.devices"


def bundle_of(folder: Path, drawn: Sequence[Boot]) -> Bundle:
    paths = [write_boot(folder / boot.id, boot) for boot in drawn]
    with merged(paths) as bundle:
        return bundle


def step(bundle: Bundle, platform: str) -> Comparison:
    (found,) = [each for each in compare(bundle) if (each.platform, each.metric) == (platform, "step_seconds")]
    return found


def test_a_shift_of_a_whole_boot_does_not_reach_a_pair_within_it(tmp_path: Path) -> None:
    shifts = (0.3, -0.2, 0.1)
    drawn = [linux(number + 1, effects={"": shift}) for number, shift in enumerate(shifts)]
    docker = step(bundle_of(tmp_path, drawn), "docker")
    assert docker.slowdown == pytest.approx(1.03, rel=0.01)
    assert (docker.verdict, docker.paired, docker.boots, docker.blocks) == ("slower", True, (3, 3), 9)


def test_a_boot_that_changes_the_ratio_widens_the_interval(tmp_path: Path) -> None:
    steady = [linux(number) for number in (1, 2, 3)]
    changing = [linux(n, effects={"docker": shift}) for n, shift in ((1, 0.05), (2, -0.05), (3, 0.02))]
    one, other = step(bundle_of(tmp_path / "a", steady), "docker"), step(bundle_of(tmp_path / "b", changing), "docker")
    assert one.verdict == "slower"
    assert other.verdict == "inconclusive"
    assert other.noise_floor is not None
    assert other.noise_floor < 0.01, "both arms of the baseline share what the boot does"


@pytest.mark.parametrize("created", ["2026-01-02T13:00:00+00:00", "2026-01-01T22:00:00-09:30", "2026-02-01T00:00:00Z"])
def test_a_clock_that_is_off_changes_no_comparison(created: str, tmp_path: Path) -> None:
    """Windows keeps local time, and a boot's clock may be hours away, up to another order of the boots."""
    drawn = [linux(1), windows(2), linux(3), windows(4)]
    right = compare(bundle_of(tmp_path / "right", drawn))
    paths = [
        write_boot(tmp_path / boot.id, boot) for boot in (drawn[0], replace(drawn[1], created=created), *drawn[2:])
    ]
    journal = paths[1] / "journal.jsonl"
    text = journal.read_text("utf-8")
    journal.write_text(text.replace("2026-01-01T00:00", "2026-01-01T09:30"), encoding="utf-8")
    assert journal.read_text("utf-8") != text
    with merged(paths) as bundle:
        off = compare(bundle)
    assert off == right


def test_only_the_boots_that_had_both_count_for_a_pair(tmp_path: Path) -> None:
    without = Boot(number=3, costs={"native": 1.0}, absent=("docker",), effects={"": 0.5})
    docker = step(bundle_of(tmp_path, [linux(1), linux(2), without]), "docker")
    assert (docker.boots, docker.paired) == ((2, 2), True)
    assert docker.slowdown == pytest.approx(1.03, rel=0.01)


def test_platforms_of_other_boots_are_unpaired(tmp_path: Path) -> None:
    drawn = [linux(1), windows(2), linux(3), windows(4), windows(5)]
    wsl = step(bundle_of(tmp_path, drawn), "wsl")
    assert (wsl.paired, wsl.boots, wsl.blocks) == (False, (2, 3), 6)
    assert wsl.verdict == "slower"
    assert NO_VARIANCE not in wsl.confounders


def test_more_is_better_is_turned_into_cost_over_boots_too(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, [linux(1), windows(2), linux(3), windows(4)])
    rate = {each.platform: each for each in compare(bundle) if each.metric == "images_per_second"}
    assert rate["wsl"].slowdown == pytest.approx(1.2, rel=0.01)
    assert rate["wsl"].platform_value < rate["wsl"].baseline_value


def test_one_boot_a_side_has_no_interval(tmp_path: Path) -> None:
    for drawn in ([linux(1), windows(2)], [linux(1), windows(2), linux(3)]):
        wsl = step(bundle_of(tmp_path / str(len(drawn)), drawn), "wsl")
        assert (wsl.ci95, wsl.verdict, wsl.mde) == ((None, None), "inconclusive", None)
        assert NO_VARIANCE in wsl.confounders


def test_runs_of_one_boot_are_one_replicate(tmp_path: Path) -> None:
    drawn = [linux(1), windows(2), linux(3, boot_id="boot-1"), windows(4, boot_id="boot-2")]
    assert step(bundle_of(tmp_path, drawn), "wsl").boots == (1, 1)


def test_boots_that_cannot_be_told_apart_are_one_of_each_system(tmp_path: Path) -> None:
    drawn = [linux(1), windows(2, boot_id=""), linux(3, boot_id=""), windows(4, boot_id="")]
    bundle = bundle_of(tmp_path, drawn)
    assert set(boots(bundle).values()) == {"boot-1", f"{UNTOLD} (linux)", f"{UNTOLD} (windows)"}
    assert step(bundle, "wsl").boots == (2, 1)
    assert any("do not tell which boot" in line for line in boot_warnings(bundle.manifest))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"params": {"batch_size": 64}}, "batch_size: 32 in boot 1 and in boot 3, 64 in boot 2"),
        ({"lock": "e" * 64}, "lock file of stack torch: ffffffffffff in boot 1 and in boot 3, eeeeeeeeeeee in boot 2"),
    ],
)
def test_another_measurement_is_shown_and_not_comparable(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    bundle = bundle_of(tmp_path, [linux(1), windows(2, **changes), linux(3)])
    assert not step(bundle, "wsl").comparable
    assert words in step(bundle, "wsl").confounders
    assert step(bundle, "docker").comparable, "its boots agree"


@pytest.mark.parametrize(
    ("plain", "changed", "name"),
    [
        ({VBS: "off"}, {VBS: "running"}, "native-windows-vbs"),
        ({MODELS: [{"driver_model": "WDDM"}]}, {MODELS: [{"driver_model": "TCC"}]}, "native-windows-tcc"),
    ],
)
def test_what_windows_is_set_up_as_makes_two_platforms_each_compared_with_the_baseline(
    plain: dict[str, Any], changed: dict[str, Any], name: str, tmp_path: Path
) -> None:
    drawn = [linux(1), windows(2, host=plain), windows(3, host=changed, native=1.3)]
    drawn += [linux(4), windows(5, host=changed, native=1.3), windows(6, host=plain)]
    bundle = bundle_of(tmp_path, drawn)
    one, other = step(bundle, "native-windows"), step(bundle, name)
    assert (one.baseline, other.baseline) == ("native", "native")
    assert one.slowdown == pytest.approx(1.1, rel=0.01)
    assert other.slowdown == pytest.approx(1.3, rel=0.01)
    assert one.boots == other.boots == (2, 2)
    assert one.comparable
    assert other.comparable


@pytest.mark.parametrize("state", ["off", "running"])
def test_a_boot_that_does_not_tell_whether_it_was_secured_is_no_replicate(state: str, tmp_path: Path) -> None:
    drawn = [linux(1), windows(2, host={VBS: state}), linux(3), windows(4)]
    native = step(bundle_of(tmp_path, drawn), "native-windows")
    assert not native.comparable
    assert f"native-windows, {VBS}: {state} in boot 2, default in boot 4" in native.confounders


def test_a_container_with_other_options_is_another_platform(tmp_path: Path) -> None:
    other = replace(linux(2), kinds={"docker": "vm", "wsl": "wsl"})
    docker = step(bundle_of(tmp_path, [linux(1), other]), "docker")
    assert not docker.comparable
    assert "docker, its entry in matrix.yaml: container in boot 1, vm in boot 2" in docker.confounders


def test_what_the_boots_differ_in_is_said_once_a_platform(tmp_path: Path) -> None:
    drawn = [linux(1, host={"system.kernel": "6.1"}), linux(2, host={"system.kernel": "6.2", "x.free_bytes": 5})]
    lines = list(boot_warnings(bundle_of(tmp_path, drawn).manifest))
    assert lines == ["native: its boots differ in system.kernel", "docker: its boots differ in system.kernel"]
    assert set(lines) <= set(analyse(bundle_of(tmp_path / "again", drawn)).warnings)


def test_a_run_of_its_own_warns_of_no_boots(tmp_path: Path) -> None:
    assert list(boot_warnings(bundle_of(tmp_path, [linux(1, boot_id="")]).manifest)) == []


def test_a_platform_that_another_system_has_is_no_gap(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, [linux(1), windows(2)])
    assert elsewhere(bundle.manifest) == {(1, "wsl"), (2, "docker")}
    assert capabilities(bundle) == ()


def test_a_platform_that_one_boot_of_its_system_lacked_is_a_gap(tmp_path: Path) -> None:
    without = Boot(number=2, costs={"native": 1.0}, absent=("docker",))
    found = capabilities(bundle_of(tmp_path, [linux(1), without]))
    gap = next(gap for gap in found if gap.platform == "docker")
    assert gap.status == "unavailable"
    assert "3 of 6 invocations" in gap.reason


def test_samples_know_their_run_and_boot(tmp_path: Path) -> None:
    table = frame([bundle_of(tmp_path, [linux(1), windows(2)])])
    assert set(zip(table["run"], table["boot"], strict=True)) == {("run-1", "boot-1"), ("run-2", "boot-2")}


def test_the_run_that_looked_most_often_sets_the_level(tmp_path: Path) -> None:
    bundle = bundle_of(tmp_path, [linux(1), linux(2, precision=0.02)])
    assert interval_level(bundle.manifest) == 0.95
