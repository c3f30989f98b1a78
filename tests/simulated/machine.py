"""The harness on a machine with a simulated GPU: natively, and in containers of a daemon that knows `--gpus all`."""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.agent.messages import CellResult
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import read
from tests.program import bundle_of, harness, project
from tests.simulated.driver import SimulatedDriver
from tests.simulated.engine import SimulatedEngine

Results = Mapping[tuple[str, str], Sequence[CellResult]]  # (platform, task) → its invocations

PLATFORMS = ("native", "docker")
SECONDS = 900  # a busy machine takes many times what an idle one does
MATRIX = """\
schema: 1
baseline: native
platforms:
  native: {{kind: native}}
  docker: {{kind: container, gpus: all}}
stacks:
  driver: {{}}
tasks:
{tasks}
profiles:
  gpu: {{tasks: ["*"], blocks: {blocks}, timeout: {timeout}}}
"""


def run(
    folder: Path,
    simulated: SimulatedEngine,
    tasks: str,
    *,
    host: SimulatedDriver,
    container: SimulatedDriver,
    blocks: int,
    timeout: int = 60,
) -> subprocess.CompletedProcess[str]:
    """Run the tasks (lines of matrix.yaml) on a host and in containers with these drivers; the bundle is in `folder`.

    `timeout` is that of an invocation, in seconds. What was planted into the daemon is gone afterwards.
    """
    project(folder, MATRIX.format(tasks=tasks, blocks=blocks, timeout=timeout))
    simulated.plant(container)
    environment = host.install(folder / "libraries", {**os.environ, "DOCKER_HOST": simulated.host})
    try:
        return harness("run", "--profile", "gpu", cwd=folder, env=environment, timeout=SECONDS)
    finally:
        simulated.plant(SimulatedDriver())


def results(folder: Path) -> Results:
    """Return what the bundle in the folder holds; the baseline's two arms are one platform."""
    found: dict[tuple[str, str], list[CellResult]] = defaultdict(list)
    for each in read(bundle_of(folder)).invocations:
        found[each.platform.removesuffix(SECOND_ARM), each.task].append(each)
    return found
