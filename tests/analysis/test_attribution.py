"""Gaps taken apart, on synthetic runs with a planted truth."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.analysis.analyse import analyse
from harness.analysis.attribution import attributions
from harness.analysis.attribution_sums import Interval, Stratum, Sum, intervals, total
from harness.analysis.document import AttributionRecord, CauseRecord
from harness.analysis.frame import frame, medians
from harness.analysis.model import Attribution, Cause
from harness.analysis.pairing import arms
from harness.analysis.report_json import report_json
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Bundle
from tests.analysis.steps import GPU, PLATFORM, Machine, Run, Work

NAMES = ("launch", "sync", "copy_latency", "copy_bandwidth", "allocation", "file", "file_bandwidth", "clock")
ON_CPU = ("launch", "file", "file_bandwidth", "clock")
QUIET: dict[str, Any] = {"sigma": 0.0, "samples": 1}
WORK = Work()
COPIES = WORK.copies


def apart(run: Run) -> Attribution:
    return of(run.bundle())


def of(bundle: Bundle) -> Attribution:
    """Return the only attribution, without the rest of the analysis."""
    table = medians(frame([bundle]))
    (one,) = attributions(bundle, table, arms(table), (), 0.95)
    return one


def parts(found: Attribution) -> dict[str, Cause]:
    assert found.causes[-1].cause == "unexplained"
    return {each.cause: each for each in found.causes}


def seconds(found: Attribution, cause: str) -> float:
    value = parts(found)[cause].seconds
    assert value is not None
    return value


# What is planted on the platform, and what it makes of the step's gap.
PLANTED: dict[str, tuple[dict[str, Any], float]] = {
    "launch": ({"launch": 13e-6}, WORK.launches * 8e-6),
    "sync": ({"sync": 50e-6}, WORK.syncs * 30e-6),
    "copy_latency": ({"copy": {path: each + 40e-6 for path, each in Machine().copy.items()}}, 3 * 40e-6),
    "copy_bandwidth": (
        {"bandwidth": {path: each / 2 for path, each in Machine().bandwidth.items()}},
        sum(number * size / Machine().bandwidth[path] for path, (number, size) in COPIES.items()),
    ),
    "allocation": ({"allocation": 350e-6}, 250e-6),
    "file": ({"file": 60e-6}, 32 * 45e-6),
    "file_bandwidth": ({"file_bandwidth": 1e9}, 32 * (100_000 - 4096) * (1e-9 - 0.25e-9)),
    "clock": ({"clock": 1.1}, 0.2e-3),
}


@pytest.mark.parametrize("cause", NAMES)
def test_one_planted_cause_is_found_and_nothing_else(cause: str) -> None:
    changes, planted = PLANTED[cause]
    found = apart(Run(works=[WORK], theirs=replace(Machine(), **changes), **QUIET))
    assert tuple(parts(found)) == (*NAMES, "unexplained")
    assert seconds(found, cause) == pytest.approx(planted, rel=1e-3)
    assert found.gap_seconds == pytest.approx(planted, rel=1e-6)
    for other in parts(found):
        assert other == cause or abs(seconds(found, other)) < 1e-3 * planted, other


@settings(max_examples=20)
@given(
    factors=st.lists(st.floats(0.5, 3), min_size=len(NAMES), max_size=len(NAMES)),
    unexplained=st.floats(-1e-3, 1e-3),
)
def test_all_at_once_are_told_apart(factors: list[float], unexplained: float) -> None:
    ours = Machine()
    launch, sync, copy, bandwidth, allocation, file, rate, clock = factors
    theirs = Machine(
        launch=ours.launch * launch,
        sync=ours.sync * sync,
        copy={path: each * copy for path, each in ours.copy.items()},
        bandwidth={path: each / bandwidth for path, each in ours.bandwidth.items()},
        allocation=ours.allocation * allocation,
        file=ours.file * file,
        file_bandwidth=ours.file_bandwidth / rate,
        clock=clock,
    )
    found = apart(Run(works=[replace(WORK, unexplained=unexplained)], theirs=theirs, blocks=2, **QUIET))
    wanted = {
        "launch": WORK.launches * (theirs.launch - ours.launch),
        "sync": WORK.syncs * (theirs.sync - ours.sync),
        "copy_latency": sum(number * (theirs.copy[path] - ours.copy[path]) for path, (number, _) in COPIES.items()),
        "allocation": theirs.allocation - ours.allocation,
        "file": WORK.files * (theirs.file - ours.file),
        "clock": WORK.computing * (clock - 1),
        "unexplained": unexplained,
    }
    for cause, planted in wanted.items():
        assert seconds(found, cause) == pytest.approx(planted, abs=2e-6), cause
    assert sum(each.seconds or 0.0 for each in found.causes) == pytest.approx(found.gap_seconds, abs=1e-12)


def test_launches_that_are_hidden_have_bounds() -> None:
    theirs = replace(Machine(), launch=13e-6)
    for hidden in (0.0, 0.5, 1.0):
        found = parts(apart(Run(works=[replace(WORK, hidden=hidden)], theirs=theirs, **QUIET)))
        planted = WORK.launches * 8e-6
        launch, unexplained = found["launch"], found["unexplained"]
        assert launch.bounds == pytest.approx((0, planted))
        assert unexplained.bounds == pytest.approx((-hidden * planted, (1 - hidden) * planted), abs=1e-5)
        truth = (1 - hidden) * planted
        assert launch.bounds is not None
        assert launch.bounds[0] <= truth <= launch.bounds[1] * 1.001
    quick = parts(apart(Run(works=[WORK], theirs=replace(Machine(), launch=4e-6), **QUIET)))["launch"]
    assert quick.bounds == pytest.approx((-WORK.launches * 1e-6, 0))


def test_the_intervals_cover_and_the_unexplained_part_has_the_noise_of_all() -> None:
    planted = {**dict.fromkeys((*NAMES, "unexplained"), 0.0), "launch": WORK.launches * 8e-6}
    covered = dict.fromkeys(planted, 0)
    trials, wide, wider = 20, 0.0, 0.0
    for seed in range(trials):
        found = apart(Run(works=[WORK], theirs=replace(Machine(), launch=13e-6), sigma=0.01, seed=seed, blocks=10))
        for cause, each in parts(found).items():
            low, high = each.ci95
            assert low is not None
            assert high is not None
            covered[cause] += low <= planted[cause] <= high
        wide += math.hypot(width(found.gap_ci95), *(width(each.ci95) for each in found.causes[:-1]))
        wider += width(found.causes[-1].ci95)
    assert sum(covered.values()) >= 0.9 * trials * len(planted)
    assert covered["unexplained"] >= 0.85 * trials
    assert wider > 0.75 * wide  # of sums of several strata, t is smaller


def width(interval: Interval) -> float:
    low, high = interval
    assert low is not None
    assert high is not None
    return high - low


@pytest.mark.parametrize("blocks", [2, 9])
def test_too_few_invocations_say_so(blocks: int) -> None:
    found = apart(Run(works=[WORK], theirs=replace(Machine(), launch=13e-6), blocks=blocks))
    assert found.gap_ci95 == (None, None)
    assert {each.ci95 for each in found.causes} == {(None, None)}
    assert seconds(found, "launch") == pytest.approx(WORK.launches * 8e-6, rel=0.02)
    (remark,) = [each for each in found.remarks if each.startswith("too few invocations")]
    assert f"driver.launch has {blocks}" in remark
    assert f"{WORK.task} has {blocks}, 10 are needed" in remark


@pytest.mark.parametrize(
    ("without", "missing"),
    [
        ("launch_count", {"launch": "launch_count was not counted"}),
        ("file_count", {"file": "file_count was not counted"}),
        ("storage.small_files", {"file": "storage.small_files was not measured on native (cache warm, location host)"}),
        ("storage.sequential", {"file_bandwidth": "storage.sequential was not measured on native"}),
        ("control.fma_device", {"clock": "control.fma_device was not measured on native"}),
        ("driver.sync", dict.fromkeys(("sync", "copy_latency"), "driver.sync was not measured on native (sync spin)")),
        (
            "copies.bandwidth",
            dict.fromkeys(("copy_latency", "copy_bandwidth"), "copies.bandwidth was not measured on native (direction"),
        ),
        ("copies.allocation", {"allocation": "copies.allocation was not measured on native (kind device)"}),
    ],
)
def test_what_could_not_be_had_has_its_reason(without: str, missing: dict[str, str]) -> None:
    found = apart(Run(works=[WORK], without=frozenset({without}), blocks=2, **QUIET))
    for cause, each in parts(found).items():
        assert (each.seconds is None) == (cause in missing), cause
        if cause in missing:
            assert each.reason.startswith(missing[cause])
    assert any(", ".join(missing) in each for each in found.remarks)
    assert parts(found)["unexplained"].seconds is not None


def test_a_probe_that_the_platform_lacks_is_missing() -> None:
    bundle = Run(works=[WORK], blocks=2, **QUIET).bundle()
    kept = tuple(each for each in bundle.invocations if (each.platform, each.task) != (PLATFORM, "driver.launch"))
    found = of(replace(bundle, invocations=kept))
    assert parts(found)["launch"].reason == f"driver.launch was not measured alike on native and {PLATFORM}"


def test_nothing_is_counted_as_nothing() -> None:
    work = replace(WORK, launches=0, syncs=0, copies={}, allocations=0, files=0)
    found = parts(apart(Run(works=[work], without=frozenset({"driver.launch"}), blocks=2, **QUIET)))
    assert (found["launch"].count, found["launch"].seconds, found["launch"].bounds) == (0, 0, None)
    assert found["copy_latency"].reason == "copy_count was not counted"
    assert found["launch"].cost_seconds is None


def test_on_a_cpu_operations_stand_in_for_launches() -> None:
    work = replace(WORK, device="cpu")
    found = apart(Run(works=[work], theirs=replace(Machine(), dispatch=3e-6, clock=1.01), **QUIET))
    assert tuple(parts(found)) == (*ON_CPU, "unexplained")
    launch = parts(found)["launch"]
    assert launch.seconds == pytest.approx(300 * 1e-6)
    assert (launch.bounds, launch.count, launch.probe) == (None, 300, "driver.dispatch dispatch_seconds")
    assert seconds(found, "clock") == pytest.approx(0.01 * work.computing, rel=0.01)
    other = replace(work, stack="tensorflow")
    assert parts(apart(Run(works=[other], **QUIET)))["launch"].reason == (
        "driver.dispatch was not measured on the stack tensorflow"
    )


def test_a_workloads_own_counts_are_used_and_files_may_lie_elsewhere() -> None:
    theirs = replace(Machine(), file=60e-6, location="overlay")
    for own in (False, True):
        found = apart(Run(works=[WORK], theirs=theirs, own_counts=own, blocks=2, **QUIET))
        assert seconds(found, "file") == pytest.approx(32 * 45e-6, rel=1e-3)
        assert abs(seconds(found, "unexplained")) < 1e-6


def test_without_copies_bandwidth_the_gated_probe_has_the_same_copies() -> None:
    work = replace(WORK, copies={("h2d", "pinned"): (2, 2**20)})
    theirs = replace(Machine(), copy={path: each + 40e-6 for path, each in Machine().copy.items()})
    bundle = Run(works=[work], theirs=theirs, blocks=2, **QUIET).bundle()

    def gated(result: Any) -> Any:  # noqa: ANN401 - a CellResult
        if result.task != "copies.bandwidth":
            return result
        metrics = tuple(
            replace(each, name="ungated_seconds", dims={n: v for n, v in each.dims.items() if n != "memory"})
            for each in result.metrics
            if each.dims["memory"] == "pinned"
        )
        return replace(result, task="copies.gated", metrics=metrics)

    found = of(replace(bundle, invocations=tuple(map(gated, bundle.invocations))))
    assert seconds(found, "copy_latency") == pytest.approx(2 * 40e-6, rel=1e-3)
    assert parts(found)["copy_latency"].probe == "copies.gated ungated_seconds"


def test_counts_are_neither_compared_nor_unmatched() -> None:
    for own in (False, True):
        found = analyse(Run(works=[replace(WORK, files=0)], own_counts=own, blocks=2).bundle())
        assert not [each for each in found.comparisons if each.metric.endswith(("_count", "_bytes"))]
        assert not [each for each in found.comparisons if each.task.startswith("counts.")]
        assert found.unmatched == ()
        assert not [each for each in found.warnings if "count" in each]


def test_a_platform_without_the_workload_has_no_attribution_and_a_trace_is_none() -> None:
    bundle = Run(works=[WORK], blocks=2).bundle()
    kept = tuple(each for each in bundle.invocations if each.platform != PLATFORM or each.task != WORK.task)
    assert analyse(replace(bundle, invocations=kept)).attribution == ()
    assert {each.platform.removesuffix(SECOND_ARM) for each in kept} == {"native", PLATFORM}


def test_a_pair_whose_clock_differs_is_not_comparable() -> None:
    for clock in (1.0, 1.2):
        run = Run(works=[WORK], theirs=replace(Machine(), clock=clock), blocks=4)
        (found,) = analyse(run.bundle()).attribution
        assert found.comparable == (clock == 1.0)


def test_the_document_has_it_and_the_same_bundle_gives_the_same() -> None:
    bundle = Run(works=[WORK], theirs=replace(Machine(), launch=13e-6)).bundle()
    one, again = (report_json(analyse(bundle), bundle) for _ in range(2))
    assert json.loads(json.dumps(one, allow_nan=False)) == one == again
    (record,) = one["attribution"]
    assert set(record) == set(get_type_hints(AttributionRecord)) == {each.name for each in fields(Attribution)}
    for cause in record["causes"]:
        assert set(cause) == set(get_type_hints(CauseRecord)) == {each.name for each in fields(Cause)}
    assert (record["baseline"], record["platform"], record["device"]) == ("native", PLATFORM, GPU)


def test_intervals_of_sums_of_strata_cover() -> None:
    random, hits, trials = np.random.default_rng(3), 0, 300
    for _ in range(trials):
        drawn = [
            Sum({Stratum(str(number), "", ""): dict(enumerate((spread * random.standard_normal(blocks)).tolist()))})
            for number, (spread, blocks) in enumerate([(1.0, 10), (0.5, 12), (2.0, 20)])
        ]
        ((low, high),) = intervals([total(drawn)], level=0.95, random=random)
        assert low is not None
        assert high is not None
        hits += low <= 0 <= high
    assert 0.91 <= hits / trials <= 0.99


def test_what_stands_in_two_sums_cancels() -> None:
    one = Sum({Stratum("a", "", ""): dict(enumerate(range(10)))})
    other = Sum({Stratum("b", "", ""): dict(enumerate(range(12)))})
    (same,) = intervals([one + other - one * 1.0 - other], level=0.95, random=np.random.default_rng(1))
    assert same == (0.0, 0.0)
    assert (one + other - one).mean == other.mean
