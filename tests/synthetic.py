"""Synthetic bundles with planted slowdowns, for tests and the benchmark. Nothing in them was measured.

python -m tests.synthetic FOLDER [BLOCKS SAMPLES]
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.agent.messages import Better, CellResult, Metric, Status, to_json
from harness.results.bundle import JournalLine, Manifest, invocation_name, write_manifest

BASELINE = "native"
WARMUP = 5
LOCATIONS = {"native": ("host", "tmpfs"), "container": ("overlay", "bind", "volume", "tmpfs")}
INSPECTION = {
    "system.platform": "linux",
    "system.kernel": "6.1.0-synthetic",
    "system.release": "Synthetic Linux 1",
    "system.libc": "glibc 2.36",
    "system.memory_bytes": 8 * 2**30,
    "cpu.model": "Synthetic CPU",
    "cpu.logical": 2,
    "cgroup.cpus": "unlimited",
}


@dataclass(frozen=True, kw_only=True)
class SyntheticMetric:
    """A metric of a synthetic task: its typical value, and whether it has one value an invocation."""

    name: str
    value: float
    unit: str = "s"
    better: Better = "lower"
    once: bool = False


@dataclass(frozen=True, kw_only=True)
class SyntheticTask:
    """A task of a synthetic bundle."""

    name: str
    metrics: tuple[SyntheticMetric, ...]
    stack: str = "driver"
    located: bool = False  # measured on every location of a platform
    slowed: bool = True  # whether the planted slowdown applies: not to the control


CONTROL = SyntheticTask(
    name="control.fma",
    metrics=(SyntheticMetric(name="fma_seconds", value=0.9), SyntheticMetric(name="clock_seconds", value=5e-8)),
    slowed=False,
)
SMALL_FILES = SyntheticTask(
    name="storage.small_files",
    metrics=(
        SyntheticMetric(name="create_seconds", value=4e-5),
        SyntheticMetric(name="open_read_seconds", value=1.5e-5),
    ),
    located=True,
)
BANDWIDTH = SyntheticTask(
    name="memory.bandwidth",
    metrics=(SyntheticMetric(name="triad_bandwidth", value=1.2e10, unit="B/s", better="higher"),),
)
TRAINING = SyntheticTask(
    name="tf_cnn.trivial",
    stack="tensorflow",
    metrics=(
        SyntheticMetric(name="step_seconds", value=0.012),
        SyntheticMetric(name="images_per_second", value=2600.0, unit="images/s", better="higher", once=True),
        SyntheticMetric(name="startup_seconds", value=6.0, once=True),
    ),
)
TASKS = (CONTROL, SMALL_FILES, BANDWIDTH, TRAINING)
CRASHING = SyntheticTask(name="driver.spawn", metrics=())  # its cells on the first platform crash


@dataclass(frozen=True, kw_only=True)
class _Arm:
    name: str
    kind: str
    slowdown: float
    first: bool = False  # the first platform that is not the baseline

    @property
    def python(self) -> str:
        return "3.11.2" if self.kind == "native" else "3.11.9"


@dataclass(frozen=True, kw_only=True)
class _Noise:
    samples: int
    sigma: float
    random: np.random.Generator = field(repr=False)


def write_bundle(
    folder: Path,
    *,
    platforms: Mapping[str, float] | None = None,
    tasks: Sequence[SyntheticTask] = TASKS,
    blocks: int = 8,
    samples: int = 50,
    sigma: float = 0.02,
    seed: int = 1,
    clock: float = 1.0,
    precision: float | None = None,
) -> Path:
    """Write a bundle of a made-up run into `folder` and return it.

    `platforms` maps a container's name to its planted slowdown (default: docker, 1.03). The baseline has two arms.
    Each invocation's level is drawn log-normal with `sigma`, its samples around that with `sigma` again; `samples`
    are the steady ones of each metric. `clock` is the slowdown of control.fma. There is always a platform that is
    not available (`wsl`) and a cell that crashes in every block (driver.spawn on the first platform).
    """
    (folder / "invocations").mkdir(parents=True)
    (folder / "logs").mkdir()
    arms = _arms(platforms or {"docker": 1.03})
    write_manifest(folder, _manifest(arms, tasks, blocks, seed, precision))
    noise = _Noise(samples=samples, sigma=sigma, random=np.random.default_rng(seed))
    lines = [_write(folder, result) for result in _results(arms, tasks, blocks, noise, clock)]
    (folder / "journal.jsonl").write_text("".join(f"{json.dumps(line.dump())}\n" for line in lines), encoding="utf-8")
    return folder


def _arms(platforms: Mapping[str, float]) -> list[_Arm]:
    baseline = [_Arm(name=name, kind="native", slowdown=1.0) for name in (BASELINE, f"{BASELINE}@2")]
    others = [
        _Arm(name=name, kind="container", slowdown=slowdown, first=number == 0)
        for number, (name, slowdown) in enumerate(platforms.items())
    ]
    return baseline + others


def _results(
    arms: Sequence[_Arm], tasks: Sequence[SyntheticTask], blocks: int, noise: _Noise, clock: float
) -> Iterator[CellResult]:
    for block in range(1, blocks + 1):
        for task in (*tasks, CRASHING):
            for number in noise.random.permutation(len(arms)):
                arm = arms[int(number)]
                if task is not CRASHING:
                    metrics = tuple(_metrics(task, arm, noise, arm.slowdown if task.slowed else _clock(arm, clock)))
                    yield _result(task, arm, block, "ok", "", metrics)
                elif arm.first:
                    yield _result(task, arm, block, "crashed", "ended by SIGSEGV; see its log", ())


def _clock(arm: _Arm, clock: float) -> float:
    return clock if arm.kind == "container" else 1.0


def _metrics(task: SyntheticTask, arm: _Arm, noise: _Noise, slowdown: float) -> Iterator[Metric]:
    for location in LOCATIONS[arm.kind] if task.located else ("",):
        for metric in task.metrics:
            factor = 1 / slowdown if metric.better == "higher" else slowdown
            values = _values(metric, factor, noise)
            yield Metric(
                name=metric.name,
                unit=metric.unit,
                better=metric.better,
                samples=values,
                warmup=0 if metric.once else WARMUP,
                dims={"location": location} if location else {},
            )


def _values(metric: SyntheticMetric, factor: float, noise: _Noise) -> tuple[float, ...]:
    count = 1 if metric.once else noise.samples + WARMUP
    level = metric.value * factor * np.exp(noise.random.normal(0, noise.sigma))
    values = level * np.exp(noise.random.normal(0, noise.sigma, count))
    if not metric.once:
        values[:WARMUP] *= 3
    return tuple(values.tolist())


def _result(
    task: SyntheticTask, arm: _Arm, block: int, status: Status, reason: str, metrics: tuple[Metric, ...]
) -> CellResult:
    return CellResult(
        cell=f"{arm.name}/{task.stack}/{task.name}",
        platform=arm.name,
        stack=task.stack,
        task=task.name,
        params={},
        device="cpu",
        block=block,
        attempt=1,
        status=status,
        reason=reason,
        metrics=metrics,
        versions={"python": arm.python, "libc": "glibc 2.36"},
    )


def _write(folder: Path, result: CellResult) -> JournalLine:
    """Write an invocation as the agent would (but without fsync: nothing is lost if this is cut off)."""
    name = f"invocations/{invocation_name(result.cell, result.block, result.attempt)}.json"
    raw = json.dumps(to_json(result)).encode()
    (folder / name).write_bytes(raw)
    return JournalLine(
        block=result.block,
        cell=result.cell,
        attempt=result.attempt,
        status=result.status,
        reason=result.reason,
        started="2026-01-01T00:00:00.000+00:00",
        seconds=1.0,
        file=name,
        sha256=hashlib.sha256(raw).hexdigest(),
    )


def _manifest(
    arms: Sequence[_Arm], tasks: Sequence[SyntheticTask], blocks: int, seed: int, precision: float | None
) -> Manifest:
    stacks = sorted({task.stack for task in (*tasks, CRASHING)})
    names = [arm for arm in arms if "@" not in arm.name]
    return Manifest.model_validate(
        {
            "schema": 1,
            "run_id": "synthetic",
            "created": "2026-01-01T00:00:00+00:00",
            "tool_version": "0.1.0",
            "seed": seed,
            "matrix": {
                "baseline": BASELINE,
                "profile": "synthetic",
                "blocks": {"min": min(5, blocks), "max": blocks},
                "precision": precision,
                "budget": None,
                "looks": [look for look in (5, 8, 12) if look < blocks] + [blocks] if precision else [],
                "cells": [_cell(arm, task) for arm in arms for task in tasks],
            },
            "host": _facts(INSPECTION),
            "boot_id": "00000000-0000-0000-0000-000000000000",
            "gpus": [],
            "platforms": {arm.name: _platform(arm) for arm in names} | {"wsl": _absent()},
            "stacks": {name: _stack(names) for name in stacks},
        }
    )


def _cell(arm: _Arm, task: SyntheticTask) -> dict[str, Any]:
    return {
        "id": f"{arm.name}/{task.stack}/{task.name}",
        "platform": arm.name.removesuffix("@2"),
        "arm": 2 if arm.name.endswith("@2") else 1,
        "stack": task.stack,
        "task": task.name,
        "entry": task.name,
        "params": {},
        "device": "cpu",
    }


def _platform(arm: _Arm) -> dict[str, Any]:
    inspection = INSPECTION | {"python.version": arm.python}
    if arm.kind == "container":
        inspection |= {"cgroup.cpus": 2.0, "virtualization.container": "docker"}
    return {"kind": arm.kind, "available": True, "reason": "", "inspection": _facts(inspection)}


def _absent() -> dict[str, Any]:
    reason = "WSL2 is measured from Windows. Run `nox -s matrix` there"
    return {"kind": "wsl", "available": False, "reason": reason, "inspection": {}}


def _stack(arms: Sequence[_Arm]) -> dict[str, Any]:
    digest = hashlib.sha256(b"synthetic").hexdigest()
    provenance = {arm.name: {"lock_sha256": digest} for arm in arms}
    return {"framework": "none", "python": "3.11", "variant": "cpu", "lock_sha256": digest, "platforms": provenance}


def _facts(values: Mapping[str, object]) -> dict[str, dict[str, object]]:
    return {name: {"value": value, "source": "synthetic"} for name, value in values.items()}


if __name__ == "__main__":
    target, *numbers = sys.argv[1:]
    write_bundle(Path(target), **dict(zip(("blocks", "samples"), map(int, numbers), strict=False)))  # type: ignore[arg-type]
