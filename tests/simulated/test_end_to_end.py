"""The harness on a machine with a simulated GPU: a planted difference between native and a container is found again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.program import bundle_of, harness, journal_of
from tests.simulated import machine
from tests.simulated.driver import SimulatedDriver
from tests.simulated.engine import SimulatedEngine

NATIVE = SimulatedDriver(launch_ns=50_000, kernel_ns=100_000, sync_spin_ns=50_000)
TWICE = replace(NATIVE, launch_ns=100_000, kernel_ns=200_000, sync_spin_ns=100_000)


@pytest.mark.docker
@pytest.mark.slow
def test_a_container_whose_gpu_takes_twice_as_long_comes_out_at_two(tmp_path: Path, simulated: SimulatedEngine) -> None:
    done = machine.run(tmp_path, simulated, "  driver.sync:", host=NATIVE, container=TWICE, blocks=2)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line["status"] for line in journal_of(tmp_path)} == {"ok"}, done.stdout
    manifest = json.loads((bundle_of(tmp_path) / "run.json").read_text(encoding="utf-8"))
    assert [gpu["name"] for gpu in manifest["gpus"]] == ["Simulated GPU"]
    assert harness("report", "-o", "out", cwd=tmp_path).returncode == 0
    assert "A stand-in, not real hardware" in (tmp_path / "out/index.html").read_text(encoding="utf-8")
    rows = json.loads((tmp_path / "out/report.json").read_text(encoding="utf-8"))["comparisons"]
    (spin,) = [row for row in rows if row["metric"] == "round_trip_seconds" and row["dims"].get("sync") == "spin"]
    assert spin["baseline_value"] == pytest.approx(200e-6, rel=0.15)
    assert spin["slowdown"] == pytest.approx(2.0, rel=0.15)
