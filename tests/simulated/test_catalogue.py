"""The whole CUDA catalogue natively and in containers: planted values come back.

No figure here says anything about a GPU.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from harness.agent.messages import CellResult, Metric, Scalar
from harness.agent.probes.copies_overlap import hidden
from harness.agent.task import Task, find
from harness.analysis.analyse import analyse
from harness.matrix.tasks import declared
from harness.results.bundle import read
from tests.program import bundle_of
from tests.simulated import machine
from tests.simulated.catalogue import (
    CONTAINER,
    HOST,
    PLANTED,
    TASKS,
    Recovery,
    hidden_share,
    recoveries,
    step_gaps,
    undisturbed,
)
from tests.simulated.engine import SimulatedEngine

pytestmark = [pytest.mark.docker, pytest.mark.slow]

BLOCKS = 2
TOLERANCE = 0.05


def test_the_catalogue_is_whole() -> None:
    """Every probe of a GPU that needs neither a framework nor a compiler."""

    def is_ours(task: Task | None) -> bool:
        return task is not None and "cuda" in task.devices and "none" in task.frameworks

    probes = [name for name in declared() if name.startswith(("control.", "driver.", "copies."))]
    assert set(yaml.safe_load(TASKS)) == {name for name in probes if is_ours(find(name))}


@pytest.fixture(scope="module")
def catalogue(simulated: SimulatedEngine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the catalogue with drivers that work; the bundle is in the folder."""
    folder = tmp_path_factory.mktemp("catalogue")
    done = machine.run(folder, simulated, TASKS, host=HOST, container=CONTAINER, blocks=BLOCKS)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def measured(catalogue: Path) -> machine.Results:
    """Return what the working drivers gave."""
    return machine.results(catalogue)


@pytest.mark.parametrize("platform", machine.PLATFORMS)
@pytest.mark.parametrize("task", yaml.safe_load(TASKS))
def test_every_task_runs(measured: machine.Results, platform: str, task: str) -> None:
    """Where more memory may be pinned than is asked for, `copies.allocation` would be `ok` too."""
    found = measured[platform, task]
    assert len(found) == BLOCKS * (2 if platform == "native" else 1)
    assert {each.device for each in found} == {"cuda:0"}
    assert {each.status for each in found} == {"limited" if task == "copies.allocation" else "ok"}


def cases() -> list[object]:
    """Return a case a planted value and place, named by them."""
    return [
        pytest.param(platform, each, id="-".join(map(str, (platform, each.value, each.metric, *each.dims.values()))))
        for platform, driver in PLANTED.items()
        for each in recoveries(driver)
    ]


@pytest.mark.parametrize(("platform", "wanted"), cases())
def test_a_planted_value_comes_back(measured: machine.Results, platform: str, wanted: Recovery) -> None:
    """As the best of all samples: whatever else the machine does only adds to a planted time."""
    metrics = [metric(each, wanted.metric, wanted.dims) for each in measured[platform, wanted.task]]
    samples = [sample for each in metrics for sample in each.samples[each.warmup :]]
    found = (max if metrics[0].better == "higher" else min)(samples) - wanted.rest
    assert found == pytest.approx(wanted.planted, rel=TOLERANCE), wanted.value


@pytest.mark.parametrize("platform", machine.PLATFORMS)
@pytest.mark.parametrize("way", ["h2d", "d2h"])
def test_the_planted_overlap_comes_back(measured: machine.Results, platform: str, way: str) -> None:
    ratios = []
    for result in measured[platform, "copies.overlap"]:
        names = ("compute_seconds", "alone_seconds", "overlapped_seconds")
        times = [metric(result, name, {"direction": way, "memory": "pinned"}) for name in names]
        compute, alone, both = (min(each.samples[each.warmup :]) for each in times)
        ratios.append(hidden(compute, alone, both) / hidden_share(PLANTED[platform], way, alone))
    calmer = min(ratios, key=lambda ratio: abs(ratio - 1))  # each invocation has sizes of its own
    assert calmer == pytest.approx(1, rel=TOLERANCE), ratios


def test_the_steps_gap_is_taken_apart_into_what_was_planted(catalogue: Path) -> None:
    """All causes at once, but for files, which no task here measures.

    Of the best samples; the slope of the launches is one value an invocation, so a busy machine leaves its mark on it.
    """
    bundle = read(bundle_of(catalogue))
    calm = tuple(replace(each, metrics=tuple(map(undisturbed, each.metrics))) for each in bundle.invocations)
    (found,) = analyse(replace(bundle, invocations=calm)).attribution
    causes = {str(each.cause): each for each in found.causes}
    gaps = step_gaps(HOST, CONTAINER)
    for cause, planted in gaps.items():
        assert causes[cause].seconds == pytest.approx(planted, rel=3 * TOLERANCE), cause
    assert causes["file"].reason == "storage.small_files was not measured on native (cache warm, location host)"
    assert found.gap_seconds == pytest.approx(sum(gaps.values()), rel=3 * TOLERANCE)
    assert not found.comparable  # the planted clocks differ


def metric(result: CellResult, name: str, dims: Mapping[str, Scalar]) -> Metric:
    """Return the one metric of that name and those dims (others may be there), timed by machine code."""
    (found,) = (each for each in result.metrics if each.name == name and dims.items() <= each.dims.items())
    assert found.dims.get("loop", "native") == "native"
    return found
