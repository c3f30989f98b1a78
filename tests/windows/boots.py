"""Boots of Linux and of Windows as one report, by the commands that a user gives: `run`, `merge`, `report`.

Both sides have a simulated GPU of the same UUID, whose launch is planted twice as dear under Windows. Windows is Wine,
and its bundles say so. A boot of Linux is a run of the program that sees another boot_id: the kernel's file is covered
for it alone, which takes root. It has a cache and a /dev/shm of its own, since it takes what other runs keep there for
left over from before the boot.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.results.bundle import read
from tests.program import bundle_of, command, environment, harness, project
from tests.simulated.driver import SimulatedDriver
from tests.windows import smoke
from tests.windows.suite import Suite

MATRIX = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
stacks:
  driver: {}
tasks:
  control.fma: {samples: 3, sample_seconds: 0.1}
  driver.launch: {launches: 64, samples: 20, launches_per_point: 200, calls: 200}
  storage.small_files: {files: 20, size: 4KiB}
profiles:
  boots: {tasks: ["*"], blocks: 1}
"""
PROFILE = "boots"
LAUNCH_NS = 100_000
DEARER = 2.0
BOOT_ID = "/proc/sys/kernel/random/boot_id"
AS_BOOT = f'mount --bind "$0" {BOOT_ID} && mount -t tmpfs tmpfs /dev/shm && exec "$@"'
BOOTS = 2  # of each system
SECONDS = 300.0


def check(suite: Suite, folder: Path) -> list[str]:
    """Make boots of both systems in turn, merge them and write their report; return what is wrong with it."""
    bundles = []
    for number in range(1, BOOTS + 1):
        bundles += [_linux(folder / f"linux-{number}", number), _windows(suite, folder / f"windows-{number}", number)]
    failed = [line for path in bundles for line in read(path).journal if line.status != "ok"]
    if failed:
        return [f"{line.cell}: {line.status}: {line.reason}" for line in failed]
    merged, report = folder / "merged.zip", folder / "report"
    for arguments in (["merge", *bundles, "-o", merged], ["report", merged, "-o", report]):
        done = harness(*map(str, arguments), cwd=folder, timeout=SECONDS)
        if done.returncode != 0:
            return [f"{arguments[0]}: exit status {done.returncode}: {done.stderr}"]
    page = (report / "index.html").read_text("utf-8")
    return list(problems(json.loads((report / "report.json").read_text("utf-8")), page))


def problems(document: Mapping[str, Any], page: str) -> Iterator[str]:
    """Yield what is not as it must be in such a report."""
    systems = [boot["system"] for boot in document["run"]["boots"]]
    if systems != ["linux", "windows"] * BOOTS:
        yield f"the boots are of {systems}"
    if "A stand-in, not real hardware" not in page:
        yield "the page has no banner that says stand-in"
    if not document["environments"]["native-windows"].get("windows.stand_in"):
        yield "what is told of Windows does not say that it is a stand-in"
    across = [each for each in document["comparisons"] if each["platform"] == "native-windows"]
    for entry in ("control.fma", "driver.launch", "storage.small_files"):
        if not any(each["task"].startswith(entry) for each in across):
            yield f"nothing of {entry} is compared"
    for each in across:
        if each["paired"]:
            yield f"{each['task']} {each['metric']} {each['dims']} is paired across boots"
    yield from _launches([each for each in across if each["metric"] == "launch_call_seconds"])


def _launches(across: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The planted factor comes back, with an interval from the boots as replicates."""
    if not across:
        yield "launch_call_seconds is not compared"
    for each in across:
        if each["boots"] != [BOOTS, BOOTS]:
            yield f"launch_call_seconds: the replicates are {each['boots']} boots"
        if each["slowdown"] != pytest.approx(DEARER, rel=0.15):
            yield f"a launch of {DEARER} times the cost is reported as one of {each['slowdown']}"
        low, high = each["ci95"]
        if low is None or not low <= each["slowdown"] <= high:
            yield f"launch_call_seconds: {each['slowdown']} has the interval {low} to {high}"


def _linux(folder: Path, number: int) -> Path:
    """Run the program in a boot of this number; return its bundle."""
    project(folder, MATRIX)
    boot = folder / "boot_id"
    boot.write_text(f"{number:08d}-0000-4000-8000-000000000000\n", encoding="ascii")
    own = environment({"OVERHEAD_MATRIX_CACHE": str(folder / "cache")})
    environ = SimulatedDriver(launch_ns=LAUNCH_NS).install(folder / "driver", own)
    covered = ["unshare", "--mount", "sh", "-c", AS_BOOT, str(boot)]
    subprocess.run(
        [*covered, *command("run", "--profile", PROFILE)], cwd=folder, env=environ, check=True, timeout=SECONDS
    )
    return bundle_of(folder)


def _windows(suite: Suite, folder: Path, number: int) -> Path:
    """Run the same under Wine in a boot of this number; return the bundle."""
    project(folder, MATRIX)
    suite.wine.boot(number)
    gpu = SimulatedDriver(launch_ns=DEARER * LAUNCH_NS)
    return smoke.bundle(suite, folder / "results", gpu, file=folder / "matrix.yaml", profile=PROFILE)
