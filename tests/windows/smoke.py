"""A bundle as a boot of Windows would leave it: the smoke profile under Wine, on the simulated GPU.

The runner is Linux's own (it needs libraries that Wine 8 does not run); what it would say of its host, and its boot, is
what the agent says of the Windows that it believes to be in. `bundle` is for whoever needs such a bundle: merged with
one of this machine by the simulated GPU's UUID, say.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from rich.console import Console

from harness.agent.inspection.facts import Fact
from harness.matrix.cells import Cell
from harness.matrix.load import load
from harness.matrix.model import Blocks
from harness.platforms.base import Platform
from harness.results.bundle import Bundle, read
from harness.runner import prepare, run
from harness.runner.progress import RunProgress
from harness.runner.run import Run
from tests.simulated.driver import SimulatedDriver
from tests.windows.platform import DRIVER, WinePlatform
from tests.windows.suite import ROOT, Suite

SMOKE = "smoke"
# What a machine under Wine measures of the profile: nothing may be missing of it.
EXPECTED = {
    "control.fma", "control.delay", "driver.syscall", "driver.spawn", "driver.switch", "driver.jitter", "driver.launch",
    "driver.sync", "copies.gated", "memory.bandwidth", "storage.small_files",
}  # fmt: skip


def bundle(
    suite: Suite, results: Path, gpu: SimulatedDriver, *, file: Path = ROOT / "matrix.yaml", profile: str = SMOKE
) -> Path:
    """Run each task of the file's profile once under Wine with the simulated GPU; return the bundle's folder."""
    matrix = load(file)
    selection = run.Selection(profile=profile, platforms=(matrix.baseline,), tasks=None, gpu=True)
    planned = _shortened(run.new(matrix, root=file.parent, selection=selection, results=results, seed=1))

    def create(name: str, *_: object, scratch: Path, **__: object) -> Platform:
        return WinePlatform(name, suite, scratch=scratch, settings=gpu.settings())

    with (
        mock.patch("harness.platforms.create", create),
        mock.patch.object(run, "inspection", _inspected(suite, results, gpu)),
        mock.patch.object(run, "gpus", return_value=_gpus(suite, results, gpu)),
        RunProgress(Console(quiet=True)) as reporter,
    ):
        run.execute(planned, reporter=reporter, settled=_never, environ=os.environ)
    return planned.folder


def problems(found: Bundle) -> Iterator[str]:
    """Yield what is not as it must be in such a bundle."""
    seen = set()
    for line in found.journal:
        cell = next(each for each in found.manifest.plan.cells if each.id == line.cell)
        if cell.stack != DRIVER:
            continue
        seen.add(cell.entry)
        if line.status != "ok":
            yield f"{line.cell}, block {line.block}: {line.status}: {line.reason}"
    for missing in sorted(EXPECTED - seen):
        yield f"{missing} did not run"
    if not found.manifest.host.get("windows.stand_in", {}).get("value"):
        yield "the bundle does not say that it comes from a stand-in"
    if not found.manifest.gpus:
        yield "the simulated GPU was not found"


def check(suite: Suite, results: Path) -> list[str]:
    """Make such a bundle and return what is wrong with it."""
    return list(problems(read(bundle(suite, results, SimulatedDriver()))))


def _shortened(planned: Run) -> Run:
    """Once and in one arm: whatever runs under Wine runs there a second time, and how evenly says nothing."""
    profile = planned.plan.profile.model_copy(update={"blocks": Blocks(min=1, max=1)})
    cells = tuple(cell for cell in planned.plan.cells if cell.arm == 1)
    return replace(planned, plan=replace(planned.plan, profile=profile, cells=cells))


def _never(_cells: Sequence[Cell], _block: int) -> bool:
    return False


def _inspect(suite: Suite, scratch: Path, gpu: SimulatedDriver) -> dict[str, Fact]:
    platform = WinePlatform("host", suite, scratch=scratch, settings=gpu.settings())
    return dict(prepare.inspect(platform, DRIVER, "cuda:0"))


def _inspected(suite: Suite, scratch: Path, gpu: SimulatedDriver) -> Any:  # noqa: ANN401 - in place of a module
    found = _inspect(suite, scratch, gpu)
    return SimpleNamespace(inspect=lambda _locations: found, boot_id=lambda: found["system.boot_id"]["value"])


def _gpus(suite: Suite, scratch: Path, gpu: SimulatedDriver) -> list[dict[str, str]]:
    found = _inspect(suite, scratch, gpu)
    driver = str(found["gpu.driver"]["value"])
    return [
        {"uuid": str(each["uuid"]), "name": str(each["name"]), "driver": driver, "stand_in": "true"}
        for each in found["gpu.devices"]["value"]
    ]
