from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from harness.agent.messages import Scalar
from harness.analysis.analyse import analyse
from harness.analysis.document import StallRecord
from harness.analysis.frame import frame, medians
from harness.analysis.model import Stall
from harness.analysis.report_json import report_json
from harness.analysis.stalls import stalls
from harness.results.bundle import Bundle, read
from tests.synthetic import SyntheticMetric, SyntheticTask, write_bundle

SYNTHETIC, REAL = "torch_cnn.trivial[real_data=false]", "torch_cnn.trivial[real_data=true]"
PARAMS: Mapping[str, Mapping[str, Scalar]] = {
    SYNTHETIC: {"batch_size": 32, "real_data": False, "workers": 2},
    REAL: {"batch_size": 32, "real_data": True, "workers": 4},
}


def step(name: str, seconds: float, stack: str = "torch") -> SyntheticTask:
    return SyntheticTask(name=name, stack=stack, metrics=(SyntheticMetric(name="step_seconds", value=seconds),))


def with_params(bundle: Bundle, params: Mapping[str, Mapping[str, Scalar]]) -> Bundle:
    told = tuple(replace(each, params=params.get(each.task, {})) for each in bundle.invocations)
    return replace(bundle, invocations=told)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A step of 20 ms that waits 60 ms more for real data; a container costs twice of both."""
    tasks = (step(SYNTHETIC, 0.02), step(REAL, 0.08))
    folder = write_bundle(tmp_path_factory.mktemp("stalls") / "run", tasks=tasks, platforms={"docker": 2.0})
    return with_params(read(folder), PARAMS)


def found(bundle: Bundle) -> dict[str, Stall]:
    return {each.platform: each for each in stalls(bundle, medians(frame([bundle])))}


def test_the_planted_share_is_found_on_each_platform(bundle: Bundle) -> None:
    shares = found(bundle)
    assert set(shares) == {"native", "docker"}
    for share in shares.values():
        assert (share.task, share.stack, share.device) == (REAL, "torch", "cpu")
        low, high = share.ci95
        assert low is not None
        assert high is not None
        assert low < 0.75 < high
        assert low < share.share < high < low + 0.05
    assert shares["native"].synthetic_seconds == pytest.approx(0.02, rel=0.03)
    assert shares["docker"].real_seconds == pytest.approx(0.16, rel=0.03)


def test_it_is_in_the_report(bundle: Bundle) -> None:
    document = report_json(analyse(bundle), bundle)
    assert [(each["platform"], each["task"]) for each in document["stalls"]] == [("docker", REAL), ("native", REAL)]
    assert set(document["stalls"][0]) == set(StallRecord.__annotations__)


def test_data_of_ones_own_are_real_too(bundle: Bundle) -> None:
    params: Mapping[str, Mapping[str, Scalar]] = {
        SYNTHETIC: {"data_dir": "", "real_data": False},
        REAL: {"data_dir": "/data", "real_data": False},
    }
    assert set(found(with_params(bundle, params))) == {"native", "docker"}


@pytest.mark.parametrize(
    "params",
    [
        {**PARAMS, SYNTHETIC: {"batch_size": 16, "real_data": False, "workers": 2}},
        {**PARAMS, SYNTHETIC: {"batch_size": 32, "real_data": True, "workers": 2}},
        {**PARAMS, REAL: {"batch_size": 32, "real_data": False, "workers": 2}},
        {},
    ],
)
def test_what_differs_in_more_than_its_data_has_no_share(
    bundle: Bundle, params: Mapping[str, Mapping[str, Scalar]]
) -> None:
    assert found(with_params(bundle, params)) == {}


def test_no_block_in_common_is_no_share(bundle: Bundle) -> None:
    kept = [each for each in bundle.invocations if (each.block <= 3) == (each.task == REAL)]
    assert found(replace(bundle, invocations=tuple(kept))) == {}


def test_one_block_has_a_share_and_no_interval(bundle: Bundle) -> None:
    kept = [each for each in bundle.invocations if each.block == 1]
    shares = found(replace(bundle, invocations=tuple(kept)))
    assert shares["native"].ci95 == (None, None)
    assert shares["native"].share == pytest.approx(0.75, abs=0.03)
