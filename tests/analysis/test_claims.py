"""Claims are decided by comparisons that bear on them, by the rule that stands beside them, and by nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.analysis.analyse import analyse
from harness.analysis.claims import Court, against_factor, claims, largest, speaks_for, verdict_of
from harness.analysis.claims_table import STATEMENTS
from harness.analysis.compare import compare
from harness.analysis.estimate import paired, widened
from harness.analysis.model import Claim, ClaimVerdict, Comparison, Verdict
from harness.analysis.primary import PRIMARY
from harness.analysis.report_json import report_json
from harness.results.bundle import Manifest, read, read_manifest
from tests.synthetic import BANDWIDTH, CONTROL, SyntheticMetric, SyntheticTask, write_bundle

IDS = ["1-driver-model", "2-pcie-dma", "3-memory-numa", "4-file-systems", "5-tools", "6-vm-passthrough", "headline"]
LINUX = {"system.platform": {"value": "linux", "source": "sys.platform"}}
WINDOWS = {"system.platform": {"value": "win32", "source": "sys.platform"}}
ANSWERS = st.lists(st.sampled_from([True, False, None]), max_size=8)


def machine(plain: Manifest, **changes: Any) -> Manifest:  # noqa: ANN401 - fields of run.json
    platforms = {
        "native": {"kind": "native", "available": True, "inspection": LINUX},
        "docker": {"kind": "container", "available": True},
        "wsl": {"kind": "wsl", "available": True},
        "windows": {"kind": "native", "available": True, "inspection": WINDOWS},
        "guest": {"kind": "vm", "available": True},
    }
    return Manifest.model_validate(plain.dump() | {"platforms": platforms | changes.pop("platforms", {})} | changes)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(write_bundle(tmp_path_factory.mktemp("claims") / "run", tasks=(BANDWIDTH,), blocks=1))


@pytest.fixture(scope="module")
def manifest(plain: Manifest) -> Manifest:
    return machine(plain)


def comparison(
    task: str = "driver.launch",
    platform: str = "wsl",
    *,
    verdict: Verdict = "slower",
    slowdown: float = 1.3,
    ci95: tuple[float | None, float | None] = (1.2, 1.4),
    device: str = "cuda:0",
    comparable: bool = True,
    p_holm: float | None = 0.001,
    dims: Mapping[str, object] | None = None,
) -> Comparison:
    primary = PRIMARY.get(task.partition("[")[0])
    return Comparison(
        task=task,
        metric=primary.metric if primary else "step_seconds",
        dims=dims or {},
        unit="s",
        stack="driver",
        device=device,
        baseline="native",
        platform=platform,
        slowdown=slowdown,
        ci95=ci95,
        verdict=verdict,
        blocks=8,
        paired=True,
        noise_floor=0.01,
        mde=0.02,
        comparable=comparable,
        p_value=0.0001,
        p_holm=p_holm,
        freedom=7.0,
    )


def other(**changes: Any) -> Comparison:  # noqa: ANN401 - of comparison
    """Another comparison of the same task."""
    return comparison(dims={"flush": "each"}, **changes)


EQUAL: dict[str, Any] = {"verdict": "equivalent", "slowdown": 1.0, "ci95": (0.995, 1.005), "p_holm": 1.0}
FASTER: dict[str, Any] = {"verdict": "faster", "slowdown": 0.8, "ci95": (0.78, 0.82)}
UNSURE: dict[str, Any] = {"verdict": "inconclusive", "ci95": (0.9, 1.8), "p_holm": 0.6}
BY_CHANCE: dict[str, Any] = {"verdict": "slower", "ci95": (1.02, 1.1), "p_holm": 0.3}


def judged(claim: str, manifest: Manifest, *comparisons: Comparison) -> Claim:
    return next(each for each in claims(manifest, comparisons) if each.id == claim)


def verdict_for(claim: str, manifest: Manifest, *comparisons: Comparison) -> str:
    return judged(claim, manifest, *comparisons).verdict


def test_every_claim_is_there_with_its_rule_and_what_would_change_it(manifest: Manifest) -> None:
    found = claims(manifest, ())
    assert [claim.id for claim in found] == IDS
    for claim, statement in zip(found, STATEMENTS, strict=True):
        assert (claim.verdict, claim.evidence, claim.comparisons, claim.decisive) == ("not measured", (), (), None)
        assert claim.reason
        assert claim.would_change
        for part in statement.parts:
            assert f"{part.name}: " in claim.rule
            assert all(task in claim.rule for task in part.tasks)
        assert ("about a GPU" in claim.rule) is statement.gpu
    assert [claim.factor for claim in found] == [None] * 6 + [2.0]


def test_a_run_of_containers_says_nothing_to_them(tmp_path: Path) -> None:
    bundle = read(write_bundle(tmp_path / "run", platforms={"docker": 1.5}))
    found = claims(bundle.manifest, compare(bundle))
    assert {claim.verdict for claim in found} == {"not measured"}
    assert found[0].reason == "not measured beside the baseline: native Windows or WSL2"


@pytest.mark.parametrize(
    ("comparisons", "expected"),
    [
        ([comparison()], "supported"),
        ([comparison(platform="windows")], "supported"),
        ([comparison(**EQUAL)], "refuted"),
        ([comparison(**FASTER)], "refuted"),
        ([comparison(), other(**EQUAL)], "depends"),
        ([comparison(), comparison("driver.sync", **EQUAL)], "depends"),
        ([comparison(), comparison(platform="windows", **EQUAL)], "depends"),
        ([comparison(**UNSURE)], "not measured"),
        ([comparison(), other(**UNSURE)], "supported"),
        ([comparison(**EQUAL), other(**UNSURE)], "not measured"),
        ([comparison(**BY_CHANCE)], "not measured"),
        ([comparison(p_holm=None)], "not measured"),
        ([comparison(comparable=False)], "not measured"),
        ([comparison(device="cpu")], "not measured"),
        ([comparison(platform="docker")], "not measured"),
        ([comparison(task="memory.bandwidth")], "not measured"),
        ([comparison("driver.jitter", device="cpu")], "not measured"),
        ([comparison("driver.jitter", device="cpu"), comparison()], "supported"),
        ([comparison("driver.jitter", device="cpu", **EQUAL), comparison()], "depends"),
    ],
)
def test_the_driver_model(manifest: Manifest, comparisons: list[Comparison], expected: str) -> None:
    assert verdict_for("1-driver-model", manifest, *comparisons) == expected


def test_parts_say_on_what_it_depends(manifest: Manifest) -> None:
    found = [comparison(), comparison("driver.sync", **EQUAL), comparison("driver.sync[x=1]", **EQUAL)]
    claim = judged("1-driver-model", manifest, *found)
    assert {part.name: part.verdict for part in claim.parts} == {
        "launch": "supported",
        "sync": "refuted",
        "jitter": "not measured",
    }
    assert [part.comparisons for part in claim.parts] == [(0,), (1, 2), ()]
    assert claim.comparisons == (0, 1, 2)
    assert "launch: supported, of 1 comparison 1 for it; sync: refuted, of 2 comparisons 2 against it" in claim.reason
    assert claim.would_change.startswith("agreement of what now speaks for it with what speaks against it; or ")


def test_only_the_metric_that_speaks_for_a_task_bears_on_a_claim(manifest: Manifest) -> None:
    intercept = replace(comparison(**EQUAL), metric="launch_intercept_seconds")
    claim = judged("1-driver-model", manifest, intercept, comparison())
    assert (claim.verdict, claim.comparisons, claim.decisive) == ("supported", (1,), 1)


def test_the_largest_slowdown_decides(manifest: Manifest) -> None:
    undecided = comparison("driver.sync", **(UNSURE | {"slowdown": 9.0}))
    found = [comparison(slowdown=1.2), comparison("driver.launch[x=1]", slowdown=1.5), undecided]
    claim = judged("1-driver-model", manifest, *found)
    assert (claim.decisive, [part.decisive for part in claim.parts]) == (1, [1, None, None])


def test_other_claims_have_other_platforms(manifest: Manifest) -> None:
    assert verdict_for("6-vm-passthrough", manifest, comparison(platform="guest")) == "supported"
    assert verdict_for("5-tools", manifest, comparison("torch_cnn.trivial", "docker")) == "supported"
    assert verdict_for("5-tools", manifest, comparison("torch_cnn.trivial", "docker", device="cpu")) == "not measured"
    assert verdict_for("5-tools", manifest, comparison("tooling.install", device="cpu")) == "supported"
    assert verdict_for("3-memory-numa", manifest, comparison("memory.faults", device="cpu")) == "supported"
    assert verdict_for("4-file-systems", manifest, comparison("storage.small_files", device="cpu")) == "supported"


def test_only_against_native_linux(plain: Manifest) -> None:
    for facts in (WINDOWS, LINUX | {"virtualization.wsl": {"value": "WSL2", "source": "kernel"}}):
        baseline = {"native": {"kind": "native", "available": True, "inspection": facts}}
        claim = judged("1-driver-model", machine(plain, platforms=baseline), comparison())
        assert (claim.verdict, claim.reason.partition(";")[0]) == (
            "not measured",
            "the baseline native is not native Linux",
        )


SIMULATED = {"uuid": "GPU-1", "name": "Simulated GPU", "stand_in": "true"}
STOOD_IN = {"wsl.stand_in": {"value": "the kernel inside is not WSL's", "source": "uname"}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"gpus": [SIMULATED]}, "Simulated GPU"),
        ({"host": {"windows.stand_in": {"value": "Wine 8.0", "source": "ntdll"}}}, "Wine 8.0"),
        ({"platforms": {"wsl": {"kind": "wsl", "available": True, "inspection": STOOD_IN}}}, "is not WSL's"),
    ],
)
def test_a_stand_in_decides_nothing(plain: Manifest, changes: dict[str, Any], told: str) -> None:
    claim = judged("1-driver-model", machine(plain, **changes), comparison())
    assert (claim.verdict, claim.comparisons, claim.decisive) == ("not measured", (), None)
    assert claim.reason.startswith("a stand-in took part")
    assert told in claim.reason
    assert "a run on the real thing" in claim.would_change


def test_a_stand_in_beside_it_takes_nothing_from_a_real_platform(plain: Manifest) -> None:
    wsl = {"kind": "wsl", "available": True, "inspection": STOOD_IN}
    manifest = machine(plain, platforms={"wsl": wsl})
    claim = judged("1-driver-model", manifest, comparison(**EQUAL), comparison(platform="windows"))
    assert (claim.verdict, claim.comparisons) == ("supported", (1,))


@pytest.mark.parametrize(
    ("found", "reason", "change"),
    [
        (comparison(platform="docker"), "not measured beside the baseline: native", "native Windows or WSL2 beside"),
        (comparison("driver.spawn"), "no driver.launch was measured on both sides", "a run of driver.launch"),
        (comparison(device="cpu"), "it was measured on no GPU", "a machine with an NVIDIA GPU"),
        (
            replace(comparison(comparable=False), confounders=("cpu.model: A on native, B on wsl: another processor",)),
            "the two sides do not compare (cpu.model: A",
            "sides that do not differ so: cpu.model",
        ),
        (comparison(**UNSURE), "of 1 comparison 1 undecided", "more blocks of launch (now differences of 2.0%"),
    ],
)
def test_what_was_not_measured_says_why_and_what_is_missing(
    manifest: Manifest, found: Comparison, reason: str, change: str
) -> None:
    claim = judged("1-driver-model", manifest, found)
    assert claim.verdict == "not measured"
    assert claim.parts[0].reason.startswith(reason)
    assert change in claim.would_change


def test_a_part_on_the_host_waits_for_one_on_the_gpu(manifest: Manifest) -> None:
    claim = judged("1-driver-model", manifest, comparison("driver.jitter", device="cpu"))
    assert claim.parts[2].verdict == "supported"
    assert (claim.verdict, claim.decisive) == ("not measured", None)
    assert claim.reason.startswith("no part on a GPU has a verdict; ")


def test_evidence_is_a_sentence_with_its_interval(manifest: Manifest) -> None:
    claim = judged("1-driver-model", manifest, comparison(dims={"flush": "never"}))
    (sentence,) = claim.evidence
    what = "driver.launch, launch_slope_seconds (flush never) on cuda:0"
    assert sentence == f"{what}: wsl costs 1.300 [1.200, 1.400] times native (slower: for it)"
    assert f"the nearest to that is {what} on wsl, from 1.200" in claim.would_change


# The headline


def train(slowdown: float, width: float = 0.02, **changes: Any) -> Comparison:  # noqa: ANN401 - of comparison
    ci95 = (slowdown * (1 - width), slowdown * (1 + width))
    return comparison("tf_cnn.resnet50[batch_size=64]", slowdown=slowdown, ci95=ci95, **changes)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([train(1.4)], "refuted"),
        ([train(2.5)], "supported"),
        ([train(2.0)], "not measured"),
        ([train(2.5, 0.5)], "not measured"),
        ([train(1.4), train(2.5, dims={"x": 1})], "supported"),
        ([train(2.5, device="cpu")], "not measured"),
        ([comparison("storage.loader", device="cpu", slowdown=3.0, ci95=(2.9, 3.1))], "not measured"),
        ([train(1.4), comparison("storage.loader", device="cpu", slowdown=3.0, ci95=(2.9, 3.1))], "depends"),
        ([train(1.4), train(1.4, dims={"x": 1}, platform="windows")], "refuted"),
        ([comparison("torch_cnn.resnet50", slowdown=3.0, ci95=(2.9, 3.1))], "not measured"),
    ],
)
def test_the_headline_is_about_the_largest_slowdown(manifest: Manifest, found: list[Comparison], expected: str) -> None:
    assert verdict_for("headline", manifest, *found) == expected


def test_the_largest_of_many_needs_a_wider_interval(manifest: Manifest) -> None:
    """One interval that begins at 2.02 supports the claim alone, and no more as the largest of twenty."""
    one = comparison("tf_cnn.a", slowdown=2.2, ci95=(2.02, 2.396))
    others = [comparison(f"tf_cnn.other{number}", slowdown=1.9, ci95=(1.8, 2.006)) for number in range(19)]
    alone, among = judged("headline", manifest, one), judged("headline", manifest, one, *others)
    assert (alone.verdict, among.verdict) == ("supported", "not measured")
    assert alone.largest_ci95 == pytest.approx((2.02, 2.396), rel=1e-3)
    low, high = among.largest_ci95
    assert low is not None
    assert high is not None
    assert low < 2.0
    assert high > 2.396
    assert alone.decisive == 0
    assert "lies between 2.020 and 2.396; the claim is 2" in alone.reason


def test_without_an_interval_a_slowdown_may_be_of_any_size(manifest: Manifest) -> None:
    unknown = replace(train(1.1, dims={"x": 1}), ci95=(None, None), freedom=None)
    assert verdict_for("headline", manifest, unknown) == "not measured"
    assert verdict_for("headline", manifest, train(1.4), unknown) == "not measured"
    assert verdict_for("headline", manifest, train(2.5), unknown) == "supported"


def test_utilization_is_a_part_of_its_own(manifest: Manifest) -> None:
    """The steps' comparison does not bear on it, nor the utilization on the training."""
    part = judged("headline", manifest, train(2.5)).parts[2]
    assert (part.name, part.verdict, part.comparisons) == ("GPU utilization", "not measured", ())
    assert part.reason == "no gpu_utilization of tf_cnn.* was measured on both sides"
    busy = replace(train(3.0), metric="gpu_utilization", unit="ratio", ci95=(2.8, 3.2))
    training, _, utilization = judged("headline", manifest, train(1.1), busy).parts
    assert (training.comparisons, training.verdict) == ((0,), "refuted")
    assert (utilization.comparisons, utilization.verdict) == ((1,), "supported")


def test_the_interval_of_the_largest_covers_and_the_largests_own_does_not() -> None:
    """Twelve equal slowdowns of 1.5, 400 times: the one that looks largest does not cover, the rule's interval does."""
    random = np.random.default_rng(11)
    court = Court(kinds={}, stand_ins={}, level=0.95, looks=1)
    naive = together = 0
    for _ in range(400):
        found = [estimated(random) for _ in range(12)]
        low, high = largest(found, len(found), court)
        assert low is not None
        assert high is not None
        together += low <= 1.5 <= high
        top = max(found, key=lambda each: each.slowdown)
        naive += (top.ci95[0] or 0) <= 1.5
    assert together >= 0.95 * 400
    assert naive < 0.85 * 400


def estimated(random: np.random.Generator) -> Comparison:
    estimate = paired(np.ones(8), 1.5 * np.exp(random.normal(0, 0.05, 8)))
    return comparison(slowdown=estimate.ratio, ci95=estimate.interval)


def test_a_widened_interval_is_that_of_the_other_level() -> None:
    values = np.exp(np.random.default_rng(3).normal(0.2, 0.1, 6))
    narrow, wide = (paired(np.ones(6), values, level=level) for level in (0.95, 0.99))
    assert None not in narrow.interval
    low, high = narrow.interval
    assert low is not None
    assert high is not None
    assert widened(low, high, level=0.95, to=0.99, freedom=5.0) == pytest.approx(wide.interval)
    assert math.log(high / low) / 2 == pytest.approx(float(stats.t.ppf(0.975, 5)) * (narrow.error or 0))


# The rules as such


@given(answers=ANSWERS, more=st.sampled_from([True, False, None]), order=st.randoms())
def test_the_verdict_of_answers(answers: list[bool | None], more: bool | None, order: Any) -> None:  # noqa: ANN401
    verdict = verdict_of(answers)
    assert verdict_of(order.sample(answers, len(answers))) == verdict
    assert (verdict == "supported") == (True in answers and False not in answers)
    assert (verdict == "refuted") == (bool(answers) and set(answers) == {False})
    assert (verdict == "depends") == ({True, False} <= set(answers))
    if more is None and verdict in {"supported", "depends"}:
        assert verdict_of([*answers, None]) == verdict, "what is undecided takes nothing back"


@given(low=st.floats(0.1, 5), width=st.floats(1.0, 4), factor=st.floats(1.1, 3))
def test_an_interval_against_a_factor(low: float, width: float, factor: float) -> None:
    high = low * width
    expected: ClaimVerdict = "supported" if low >= factor else "refuted" if high < factor else "not measured"
    assert against_factor((low, high), factor) == expected
    assert against_factor((low, None), factor) == ("supported" if low >= factor else "not measured")
    assert against_factor((None, None), factor) == "not measured"


TASKS = ("driver.launch", "driver.sync", "driver.jitter", "copies.bandwidth", "memory.faults", "tf_cnn.trivial",
         "torch_cnn.trivial", "storage.loader", "storage.small_files", "tooling.build")  # fmt: skip
FOUND = st.builds(
    comparison,
    st.sampled_from(TASKS),
    st.sampled_from(["wsl", "windows", "docker", "guest"]),
    verdict=st.sampled_from(["slower", "faster", "equivalent", "inconclusive"]),
    slowdown=st.floats(0.5, 4),
    device=st.sampled_from(["cpu", "cuda:0"]),
    comparable=st.booleans(),
    p_holm=st.sampled_from([0.001, 0.2]),
)


@given(found=st.lists(FOUND, max_size=12), order=st.randoms())
def test_of_any_comparisons(manifest: Manifest, found: Sequence[Comparison], order: Any) -> None:  # noqa: ANN401
    numbered = [replace(each, dims={"number": number}) for number, each in enumerate(found)]
    shuffled = order.sample(numbered, len(numbered))
    again = claims(manifest, shuffled)
    for claim, twin, statement in zip(claims(manifest, numbered), again, STATEMENTS, strict=True):
        assert (claim.verdict, claim.rule) == (twin.verdict, twin.rule)
        assert len(claim.evidence) == len(claim.comparisons) == len(set(claim.comparisons))
        assert all(numbered[number].comparable for number in claim.comparisons)
        assert (claim.decisive is None) == (claim.verdict == "not measured")
        assert claim.reason
        assert claim.would_change
        if claim.decisive is not None:
            assert claim.decisive in claim.comparisons
        if statement.gpu and claim.verdict != "not measured":
            assert any(numbered[number].device == "cuda:0" for number in claim.comparisons)
        if claim.verdict == "supported" and not claim.factor:
            assert any(speaks_for(numbered[number]) for number in claim.comparisons)


# The whole path, on a bundle of WSL2 with planted slowdowns; nothing in it was measured


def test_planted_slowdowns_decide_through_the_whole_path(tmp_path: Path) -> None:
    metrics = (SyntheticMetric(name="launch_slope_seconds", value=4e-6),)
    launch = SyntheticTask(name="driver.launch", metrics=metrics)
    sync = SyntheticTask(
        name="driver.sync", metrics=(SyntheticMetric(name="round_trip_seconds", value=9e-6),), slowed=False
    )
    bundle = read(write_bundle(tmp_path / "run", tasks=(CONTROL, launch, sync), platforms={"wsl2": 1.8}, sigma=0.002))
    records = bundle.manifest.platforms | {"wsl2": bundle.manifest.platforms["wsl2"].model_copy(update={"kind": "wsl"})}
    on_gpu = [replace(each, device="cuda:0") if each.task in {"driver.launch", "driver.sync"} else each
              for each in bundle.invocations]  # fmt: skip
    made = replace(
        bundle, manifest=bundle.manifest.model_copy(update={"platforms": records}), invocations=tuple(on_gpu)
    )
    document = report_json(analyse(made), made)
    claim = document["claims"][0]
    assert claim["verdict"] == "depends"
    assert [part["verdict"] for part in claim["parts"]] == ["supported", "refuted", "not measured"]
    assert claim["decisive"] is not None
    decided = document["comparisons"][claim["decisive"]]
    assert (decided["task"], decided["platform"]) == ("driver.launch", "wsl2")
    assert decided["slowdown"] == pytest.approx(1.8, rel=0.01)
    assert claim["decisive"] in document["regressions"]
