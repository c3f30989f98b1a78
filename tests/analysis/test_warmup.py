"""Where steps become steady: planted warm-up, noise without any, and what the report records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.analyse import analyse
from harness.analysis.frame import frame, medians
from harness.analysis.warmup import LEAST_STEPS, Array, settled_after
from harness.results.bundle import Bundle, read
from tests.synthetic import TRAINING, WARMUP, write_bundle
from tests.truth.draw import draw
from tests.truth.scenarios import Scenario


def drawn(**options: float) -> Array:
    scenario = Scenario(name="steps", **options)  # type: ignore[arg-type]  # numbers of Scenario
    return draw(scenario, 20, np.random.default_rng(9)).seconds.reshape(-1, scenario.steps)


@pytest.mark.parametrize("steps", [40, 60, 200, 1000])
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_noise_and_slow_steps_are_no_warm_up(steps: int, correlation: float) -> None:
    dropped, steady = settled_after(drawn(steps=steps, correlation=correlation, slow_steps=0.03))
    assert (dropped > 0).mean() < 0.04
    assert (~steady).mean() < 0.05


@pytest.mark.parametrize("factor", [1.2, 3.0, 0.8])
@pytest.mark.parametrize(("steps", "length"), [(60, 10), (200, 40), (1000, 300)])
def test_a_level_at_the_start_is_left_out(factor: float, steps: int, length: int) -> None:
    values = drawn(steps=steps, slow_steps=0.02)
    values[:, :length] *= factor
    dropped, steady = settled_after(values)
    batch = max(steps // 32 + 1, 5)
    assert np.mean((dropped >= length) & (dropped <= length + 2 * batch)) > 0.9
    assert steady.mean() > 0.95


def test_a_step_in_the_second_half_is_no_warm_up_but_is_flagged() -> None:
    values = drawn(steps=100)
    values[:, 70:] *= 1.3
    dropped, steady = settled_after(values)
    assert (dropped == 0).mean() > 0.95
    assert (~steady).mean() > 0.95


def test_too_few_steps_and_values_without_a_logarithm_are_left_alone() -> None:
    for values in (np.ones((2, LEAST_STEPS - 1)), np.zeros((2, 100)), np.ones((2, 100)), np.empty((0, 50))):
        dropped, steady = settled_after(values)
        assert (dropped.tolist(), steady.tolist()) == ([0] * len(values), [True] * len(values))


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read(write_bundle(tmp_path / "run", tasks=(TRAINING,), blocks=2, samples=60))


def warming(bundle: Bundle, first: int, last: int, name: str = "step_seconds") -> Bundle:
    """Make docker's samples from `first` to `last`, warm-up included, twice as large."""

    def change(samples: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(2 * each if first <= index < last else each for index, each in enumerate(samples))

    invocations = [
        replace(
            result,
            metrics=tuple(replace(m, samples=change(m.samples)) if m.name == name else m for m in result.metrics),
        )
        if result.platform == "docker"
        else result
        for result in bundle.invocations
    ]
    return replace(bundle, invocations=tuple(invocations))


def test_the_choice_is_in_the_report(bundle: Bundle) -> None:
    found = analyse(warming(bundle, 0, WARMUP + 15))
    chosen = {each.platform: each for each in found.distributions if each.metric == "step_seconds"}
    assert chosen["docker"].warmup == (WARMUP + 20, WARMUP + 20)
    assert chosen["native"].warmup == (WARMUP, WARMUP)
    assert chosen["docker"].unsteady == ()
    assert chosen["docker"].samples == 2 * 40


def test_an_invocation_without_a_steady_state_is_flagged_and_used(bundle: Bundle) -> None:
    found = analyse(warming(bundle, WARMUP + 40, WARMUP + 60))
    docker = next(each for each in found.distributions if (each.platform, each.metric) == ("docker", "step_seconds"))
    assert (docker.warmup, docker.unsteady) == ((WARMUP, WARMUP), (1, 2))
    assert any("docker, tf_cnn.trivial: step_seconds reached no steady state in 2" in line for line in found.warnings)


@pytest.mark.parametrize(("samples", "unchecked"), [(60, ()), (LEAST_STEPS, ()), (LEAST_STEPS - 1, (1, 2))])
def test_too_few_steps_are_said_to_be_unchecked(tmp_path: Path, samples: int, unchecked: tuple[int, ...]) -> None:
    bundle = read(write_bundle(tmp_path / "run", tasks=(TRAINING,), blocks=2, samples=samples))
    found = {each.metric: each for each in analyse(bundle).distributions if each.platform == "docker"}
    assert found["step_seconds"].unchecked == unchecked
    assert {each.unchecked for name, each in found.items() if name != "step_seconds"} <= {()}


def test_only_steps_of_workloads_are_searched(tmp_path: Path) -> None:
    other = replace(TRAINING, metrics=(replace(TRAINING.metrics[0], name="open_read_seconds"),))
    bundle = read(write_bundle(tmp_path / "run", tasks=(other,), blocks=1, samples=60))
    table = medians(frame([warming(bundle, 0, WARMUP + 15, "open_read_seconds")]))
    assert table["warmup"].tolist() == [WARMUP] * len(table)
