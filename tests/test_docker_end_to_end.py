"""The whole path with a real engine: matrix.yaml → native and container → bundle → report; and a planted truth."""

from __future__ import annotations

import hashlib
import json
import math
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.program import ROOT, bundle_of, harness, journal_of, project

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("base_image")]

BOTH = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
  docker: {kind: container}
stacks:
  driver: {}
tasks:
  control.delay: {microseconds: 2000, samples: 20}
  storage.small_files: {files: 20, rounds: 3}
profiles:
  both: {tasks: ["*"], blocks: 2}
"""

HALF = """\
schema: 1
baseline: native
platforms:
  native: {kind: native}
  docker-half: {kind: container, cpus: 0.5}
stacks:
  driver: {}
  torch: {requirements: images/torch/requirements.txt, cpu_requirements: images/torch/requirements-cpu.txt}
tasks:
  control.fma: {samples: 2, sample_seconds: 1.0}
  torch_matmul.square: {size: 2048, products: 8, num_batches: 2, num_warmup_batches: 1, threads: 1}
profiles:
  planted: {tasks: ["*"], blocks: 3}
"""


def reported(folder: Path) -> dict[str, Any]:
    done = harness("report", "-o", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads((folder / "out/report.json").read_text("utf-8"))
    return document


def measured(folder: Path, profile: str, timeout: float) -> dict[str, Any]:
    done = harness("run", "--profile", profile, cwd=folder, timeout=timeout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line["status"] for line in journal_of(folder)} == {"ok"}, done.stdout
    return reported(folder)


def of_metric(document: Mapping[str, Any], metric: str) -> list[dict[str, Any]]:
    return [row for row in document["comparisons"] if row["metric"] == metric]


@pytest.mark.answers
def test_native_and_container_side_by_side(tmp_path: Path) -> None:
    document = measured(project(tmp_path, BOTH), "both", 300)
    (delay,) = of_metric(document, "delay_seconds")
    assert delay["platform"] == "docker"
    assert 0.8 < delay["slowdown"] < 1.25
    locations = {row["dims"]["location"]: row["dims"] for row in of_metric(document, "create_seconds")}
    assert set(locations) == {"overlay", "bind", "volume", "tmpfs"}
    assert locations["overlay"]["baseline_location"] == "host"
    assert "baseline_location" not in locations["tmpfs"]
    manifest = json.loads((bundle_of(tmp_path) / "run.json").read_text())
    assert manifest["stacks"]["driver"]["platforms"]["docker"]["image_id"].startswith("sha256:")
    left = ["docker", "ps", "-aq", "--filter", f"label=org.overhead-matrix.run={bundle_of(tmp_path).name}"]
    assert subprocess.run(left, capture_output=True, text=True, check=True).stdout == ""


@pytest.mark.answers
def test_a_second_build_takes_seconds_and_says_what_is_there(tmp_path: Path) -> None:
    project(tmp_path, BOTH)
    first = harness("images", cwd=tmp_path)
    second = harness("images", cwd=tmp_path, timeout=30)
    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    name, digest, size, unit, seconds, _ = second.stdout.split()
    assert name.startswith("overhead-matrix/driver:")
    assert digest.startswith("sha256:")
    assert float(size) > 1
    assert unit == "MB"
    assert float(seconds) == 0.0, "nothing was built"


@pytest.mark.stack
@pytest.mark.slow
def test_half_a_processor_comes_out_at_two_and_is_not_comparable(tmp_path: Path) -> None:
    """A planted truth: `cpus: 0.5` freezes a thread for 50 of each 100 ms, so what took 1 s takes 2.

    The workload and the control must both show that, to 3% or to their interval's half width.
    """
    assert (ROOT / "images/torch/requirements-cpu.txt").exists()
    document = measured(project(tmp_path, HALF), "planted", 1200)
    (step,) = of_metric(document, "step_seconds")
    assert step["baseline_value"] >= 0.5, "steps long against the period of 100 ms"
    (control,) = of_metric(document, "fma_seconds")
    for row in (step, control):
        low, high = row["ci95"]
        assert row["slowdown"] == pytest.approx(2.0, rel=max(0.03, math.log(high / low) / 2))
    assert step["verdict"] == "slower"
    assert step["comparable"] is False
    assert any("control.fma differs" in line for line in step["confounders"])
    assert_same_wheels(bundle_of(tmp_path), "torch", "docker-half")


def assert_same_wheels(bundle: Path, stack: str, container: str) -> None:
    """The bundle holds by what both sides were installed, and the image that was measured."""
    record = json.loads((bundle / "run.json").read_text())["stacks"][stack]
    native, there = (record["platforms"][name] for name in ("native", container))
    file = "requirements-cpu.txt" if record["variant"] == "cpu" else "requirements.txt"
    lock = hashlib.sha256((ROOT / "images" / stack / file).read_bytes()).hexdigest()
    assert {record["lock_sha256"], native["lock_sha256"], there["lock_sha256"]} == {lock}
    assert re.fullmatch(r"[0-9a-f]{64}", native["wheels_sha256"])
    assert there["wheels_sha256"] == native["wheels_sha256"]
    assert re.fullmatch(r"(.+@)?sha256:[0-9a-f]{64}", there["digest"])
