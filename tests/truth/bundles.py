"""Writes drawn values as bundles, through the run's own journal, and stops tasks by the run's own rule."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from harness.agent.messages import CellResult, Metric
from harness.analysis.compare import unsettled
from harness.results.bundle import Manifest, write_manifest
from harness.results.merge import merge
from harness.runner.journal import Journal
from tests import boots
from tests.truth.draw import ARMS, Draw
from tests.truth.scenarios import LOOKS

TASK = "torch_cnn.trivial"
STACK = "torch"
STARTED = "2026-01-01T00:00:00.000+00:00"
TOGETHER = (ARMS, "docker", 0)  # the arms of a boot, its platform beside native, where its number begins
APART = ((("native", "native@2", ""), "docker", 0), (("", "", "wsl"), "wsl", 15))
SYSTEMS = {"native": "linux", "docker": "linux", "wsl": "windows"}


def task_name(number: int) -> str:
    """Return the task of a data set that is a task of its own."""
    return f"{TASK}[set={number}]"


def write(folder: Path, drawn: Draw, level: float) -> Path:
    """Write the data sets as one bundle and return it; `level` is that of the intervals that may stop a task."""
    if drawn.scenario.boots > 1:
        return _merged(folder, drawn)
    invocations = list(together(drawn, ARMS)) if drawn.scenario.precision is None else stopped(drawn, level=level)
    return _write(folder, invocations, _manifest(drawn, number=1))


def together(drawn: Draw, arms: Sequence[str]) -> Iterator[CellResult]:
    """Yield invocations that measure all data sets at once, each a metric's `set`; an arm "" is left out."""
    for block in range(drawn.seconds.shape[2]):
        for number, arm in enumerate(arms):
            if arm:
                values = drawn.seconds[:, number, block].tolist()
                metrics = tuple(_metric(samples, index) for index, samples in enumerate(values))
                yield _result(arm, TASK, block + 1, metrics)


def stopped(drawn: Draw, *, level: float) -> list[CellResult]:
    """Return the invocations of a run in which every data set is a task that the rule stops."""
    precision = drawn.scenario.precision
    if precision is None:
        raise ValueError(drawn.scenario.name)
    kept: list[CellResult] = []
    active, before = list(range(len(drawn.truth))), 0
    for look in LOOKS:
        fresh = [result for number in active for result in _task(drawn, number, range(before, look))]
        kept += fresh
        names = {task_name(number) for number in active}
        seen = [result for result in kept if result.task in names]
        going = unsettled(seen, baseline=ARMS[0], precision=precision, level=level)
        active, before = [number for number in active if task_name(number) in going], look
    return kept


def _task(drawn: Draw, number: int, blocks: Sequence[int]) -> Iterator[CellResult]:
    for block in blocks:
        for arm, name in enumerate(ARMS):
            values = tuple(drawn.seconds[number, arm, block].tolist())
            yield _result(name, task_name(number), block + 1, (_metric(values, None),))


def _metric(samples: Sequence[float], index: int | None) -> Metric:
    dims = {} if index is None else {"set": index}
    return Metric(name="step_seconds", unit="s", better="lower", samples=tuple(samples), dims=dims)


def _result(arm: str, task: str, block: int, metrics: tuple[Metric, ...]) -> CellResult:
    return CellResult(
        cell=f"{arm}/{STACK}/{task}",
        platform=arm,
        stack=STACK,
        task=task,
        params={},
        device="cpu",
        block=block,
        attempt=1,
        status="ok",
        metrics=metrics,
    )


def _write(folder: Path, invocations: Sequence[CellResult], manifest: Manifest) -> Path:
    with Journal(folder) as journal:
        write_manifest(folder, manifest)
        for result in invocations:
            journal.append(result, started=STARTED, seconds=1.0)
    return folder


def _manifest(drawn: Draw, *, number: int, platforms: Sequence[str] = ("native", "docker")) -> Manifest:
    """Return a manifest of the tests' synthetic machine, with the stopping rule of the scenario."""
    system = SYSTEMS[platforms[-1]]
    kinds = {"docker": "container", "wsl": "wsl"}
    boot = boots.Boot(number=number, costs=dict.fromkeys(platforms, 1.0), kinds=kinds, system=system)
    manifest = boots.manifest(boot)
    matrix = manifest.matrix | {
        "precision": drawn.scenario.precision,
        "looks": list(LOOKS) if drawn.scenario.precision else [],
    }
    return manifest.model_copy(update={"matrix": matrix})


def _merged(folder: Path, drawn: Draw) -> Path:
    """Write each boot as a bundle of its own and merge them; `apart`, the platform is WSL2 in boots of Windows."""
    paths: list[Path] = []
    for number, blocks in enumerate(np.split(np.arange(drawn.scenario.blocks), drawn.scenario.boots), start=1):
        part = Draw(scenario=drawn.scenario, seconds=drawn.seconds[:, :, blocks], truth=drawn.truth)
        for arms, platform, shift in APART if drawn.scenario.apart else (TOGETHER,):
            manifest = _manifest(part, number=number + shift, platforms=("native", platform))
            paths.append(_write(folder / f"boot-{number + shift}", list(together(part, arms)), manifest))
    return merge(paths, folder / "merged")
