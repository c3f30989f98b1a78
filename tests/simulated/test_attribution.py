"""Causes planted into the simulated driver are found in the gap of `control.step`. No figure says anything of a GPU.

Every task is the agent's own, run in this process, block by block with each driver in turn: the results make a bundle
as a run's do. Files cannot be made slow by a driver: on the platform `files` the native helper opens them late.
`test_catalogue.py` takes a step apart that was run from the command line, and in containers.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from harness.agent import cuda, helper
from harness.agent.messages import CellResult, CellSpec, Location
from harness.agent.task import Context, find
from harness.analysis.analyse import analyse
from harness.analysis.document import AttributionRecord
from harness.analysis.report_json import report_json
from harness.report.causes import UNEXPLAINED
from tests.agent.native_helper import built
from tests.agent.probes.conftest import favoured
from tests.analysis.steps import bundle_of
from tests.simulated.build import libraries
from tests.simulated.catalogue import undisturbed
from tests.simulated.driver import CUDA, SimulatedDriver
from tests.simulated.slow_files import slow_helper

BLOCKS = 2
TURNS = 3  # of each cell of a block, seconds apart: what disturbs all of one turn spares another
LAUNCHES, UP, COPIED, FILES = 20, 2, 2**13, 4
# Steps that end before the system gives the processor to somebody else.
TASKS: Mapping[str, dict[str, Any]] = {
    "control.step": {
        "launches": LAUNCHES,
        "h2d_copies": UP,
        "h2d_bytes": COPIED,
        "d2h_bytes": 2**10,
        "d2d_bytes": 2**10,
        "files": FILES,
        "samples": 100,
    },
    "control.fma_device": {"samples": 2, "sample_seconds": 0.005},
    "driver.launch": {"launches": 4, "samples": 100, "launches_per_point": 400, "calls": 10},
    "driver.sync": {"samples": 100, "warmup": 5},
    "copies.bandwidth": {"max_bytes": 2**14, "growth": 16, "samples": 60, "point_seconds": 0.005},
    "copies.allocation": {
        "max_bytes": 2**20,
        "samples": 30,
        "point_seconds": 0.005,
        "pinned_bytes": 2**20,
        "pinned_block": 2**20,
    },
    "storage.small_files": {"files": 10, "rounds": 8},
    "storage.sequential": {"bytes": 2**20, "rounds": 1},
}
ONCE = frozenset({"copies.allocation", "storage.small_files", "storage.sequential"})  # nothing planted there: one block
NATIVE = SimulatedDriver(
    context_create_us=100,
    context_destroy_us=100,
    jit_us=100,
    launch_ns=2000,
    kernel_ns=1000,
    alloc_ns=10_000,
    free_ns=10_000,
    host_alloc_ns=10_000,
    host_free_ns=10_000,
)
LAUNCH: dict[str, Any] = {"launch_ns": NATIVE.launch_ns + 8000}
BANDWIDTH: dict[str, Any] = {"h2d_gbps": 0.1}
DRIVERS = {
    "native": NATIVE,
    "launch": replace(NATIVE, **LAUNCH),
    "bandwidth": replace(NATIVE, **BANDWIDTH),
    "both": replace(NATIVE, **LAUNCH, **BANDWIDTH),
    "files": NATIVE,
}
FILE_NS = 100_000  # planted before each file that is opened on `files`
MORE = {
    "launch": LAUNCHES * 8e-6,
    "copy_bandwidth": UP * COPIED * 1e-9 * (1 / 0.1 - 1 / NATIVE.h2d_gbps),
    "file": FILES * FILE_NS * 1e-9,
}
PLANTED = {
    "launch": ("launch",),
    "bandwidth": ("copy_bandwidth",),
    "both": ("launch", "copy_bandwidth"),
    "files": ("file",),
}
TOLERANCE = 0.05
LOOK = 5_000  # nanoseconds: more than two looks at the clock are ever apart while the thread runs


@dataclass(frozen=True, kw_only=True)
class Attributed:
    """Platform → what the report says of its gap to native, and the share of the time that the host took away."""

    gaps: Mapping[str, AttributionRecord]
    stolen: float


def stolen(nanoseconds: int = 50_000_000) -> float:
    """Return the share of a busy wait in which this thread did not run: what lies between two looks at the clock.

    A host that takes a processor away once a millisecond makes every step longer in proportion, so the gap too.
    """
    lost, start = 0, time.perf_counter_ns()
    last = start
    while last - start < nanoseconds:
        now = time.perf_counter_ns()
        lost += now - last if now - last > LOOK else 0
        last = now
    return lost / (last - start)


@pytest.fixture(scope="module")
def attributed() -> Attributed:
    """Measure all tasks with every driver."""
    usual = built()
    library = str(libraries() / CUDA)
    results: list[CellResult] = []
    taken: list[float] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        favoured(),
    ):
        patch.setattr(cuda, "library_names", lambda: (library,))
        for name, value in NATIVE.environment({}).items():
            patch.setenv(name, value)  # of copies.allocation's own process
        helpers = {"files": slow_helper(Path(folder), FILE_NS)}
        for block in range(1, BLOCKS + 1):
            for task, params in TASKS.items():
                if block > 1 and task in ONCE:
                    continue
                turns: dict[str, list[CellResult]] = {platform: [] for platform in DRIVERS}
                for platform, driver in list(DRIVERS.items()) * TURNS:
                    taken += [stolen()] if task == "control.step" else []
                    driver.plant()
                    patch.setattr(helper, "load", partial(helpers.get, platform, usual))
                    turns[platform].append(run(task, params, platform, block, folder))
                results += map(together, turns.values())
    bundle = bundle_of(results, list(DRIVERS))
    found = {each["platform"]: each for each in report_json(analyse(bundle), bundle)["attribution"]}
    return Attributed(gaps=found, stolen=max(taken))


def run(task: str, params: Mapping[str, Any], platform: str, block: int, folder: str) -> CellResult:
    """Return the result of one cell, as the agent makes it."""
    declared = find(task)
    assert declared is not None
    spec = CellSpec(
        cell=f"{platform}/driver/{task}",
        platform=platform,
        stack="driver",
        task=task,
        entry=task,
        params=params,
        device="cpu" if "cpu" in declared.devices else "cuda:0",
        block=block,
        attempt=1,
        seed=1,
        locations=(Location(name="host", path=folder),),
    )
    outcome = declared.run(Context(spec=spec, params={**declared.params, **params}, progress=lambda *_: None))
    return CellResult.of(spec, outcome.status, outcome.reason, metrics=outcome.metrics)


def together(turns: Sequence[CellResult]) -> CellResult:
    """Return the turns of a cell as one result that nothing has disturbed."""
    found = [{(each.name, *sorted(each.dims.items())): each for each in turn.metrics} for turn in turns]
    shared = [name for name in found[0] if all(name in each for each in found)]  # a turn may have no cold reads
    groups = ([each[name] for each in found] for name in shared)
    metrics = (
        replace(same[0], samples=tuple(chain.from_iterable(each.samples[each.warmup :] for each in same)), warmup=0)
        for same in groups
    )
    return replace(turns[0], metrics=tuple(map(undisturbed, metrics)))


@pytest.mark.parametrize("platform", PLANTED)
def test_what_was_planted_is_found_and_nothing_else(attributed: Attributed, platform: str) -> None:
    """Each cause within 5%, and of the gap the rest but for what the host took from the step."""
    found = attributed.gaps[platform]
    planted = {cause: MORE[cause] for cause in PLANTED[platform]}
    whole = sum(planted.values())
    taken = attributed.stolen * (found["step_seconds"] + whole)
    assert found["gap_seconds"] == pytest.approx(whole, abs=TOLERANCE * whole + taken)
    for cause in found["causes"]:
        assert cause["seconds"] is not None, cause["reason"]
        wanted = planted.get(cause["cause"], 0.0)
        room = TOLERANCE * (wanted or whole) + (taken if cause["cause"] == UNEXPLAINED else 0.0)
        assert cause["seconds"] == pytest.approx(wanted, abs=room), cause["cause"]
