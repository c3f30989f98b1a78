"""Synthetic boots of one machine, written as a run writes them, with planted effects. Nothing in them was measured.

The machine's GPU is the tests' simulated one, so every bundle is marked as a stand-in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.agent.messages import CellResult, Metric
from harness.matrix.cells import SECOND_ARM
from harness.results.bundle import Manifest, write_manifest
from harness.runner.journal import Journal

GPU = "GPU-51b1a7ed-0000-4000-8000-000000000001"
TASK = "torch_cnn.trivial"
STACK = "torch"
LOCK = "f" * 64


@dataclass(frozen=True, kw_only=True)
class Boot:
    """One run in one boot. `costs` maps its platforms to their planted cost; the first is the baseline, in two arms.

    `effects` maps a platform to what this boot adds to the log of its cost; "" is what it adds to all of them.
    """

    number: int
    costs: Mapping[str, float]
    system: str = "linux"
    kinds: Mapping[str, str] = field(default_factory=dict)  # native where a platform is not in it
    absent: tuple[str, ...] = ()
    effects: Mapping[str, float] = field(default_factory=dict)
    blocks: int = 3
    sigma: float = 0.002
    gpu: str = GPU
    lock: str = LOCK
    params: Mapping[str, int] = field(default_factory=lambda: {"batch_size": 32})
    host: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    boot_id: str | None = None
    created: str = ""
    precision: float | None = None

    @property
    def id(self) -> str:
        return self.run_id or f"run-{self.number}"


def write_boot(folder: Path, boot: Boot) -> Path:
    """Write the run's bundle into `folder` through the run's own journal, and return it."""
    with Journal(folder) as journal:
        write_manifest(folder, manifest(boot))
        for result in results(boot):
            journal.append(result, started="2026-01-01T00:00:00.000+00:00", seconds=1.0)
            journal.log(result.cell, result.block, result.attempt).write_text(f"log of {boot.id}", encoding="utf-8")
    return folder


def results(boot: Boot) -> Iterator[CellResult]:
    random = np.random.default_rng(boot.number)
    baseline = next(iter(boot.costs))
    arms = [baseline, baseline + SECOND_ARM, *list(boot.costs)[1:], *boot.absent]
    for block in range(1, boot.blocks + 1):
        for number in random.permutation(len(arms)):
            yield result(boot, arms[int(number)], block, random)


def result(boot: Boot, arm: str, block: int, random: np.random.Generator) -> CellResult:
    platform = arm.removesuffix(SECOND_ARM)
    there = platform in boot.costs
    metrics = tuple(_metrics(boot, platform, random)) if there else ()
    return CellResult(
        cell=f"{arm}/{STACK}/{TASK}",
        platform=arm,
        stack=STACK,
        task=TASK,
        params=boot.params,
        device="cpu",
        block=block,
        attempt=1,
        status="ok" if there else "unavailable",
        reason="" if there else f"{platform}: not in this boot",
        metrics=metrics,
        versions={"python": "3.11.9"} if there else {},
    )


def _metrics(boot: Boot, platform: str, random: np.random.Generator) -> Iterator[Metric]:
    shift = boot.effects.get("", 0.0) + boot.effects.get(platform, 0.0)
    level = 0.01 * boot.costs[platform] * np.exp(shift + random.normal(0, boot.sigma))
    samples = tuple((level * np.exp(random.normal(0, boot.sigma, 6))).tolist())
    yield Metric(name="step_seconds", unit="s", better="lower", samples=samples, warmup=1)
    yield Metric(name="images_per_second", unit="images/s", better="higher", samples=(float(32 / level),))


def manifest(boot: Boot) -> Manifest:
    baseline = next(iter(boot.costs))
    arms = [(name, 1) for name in (*boot.costs, *boot.absent)] + [(baseline, 2)]
    inspection = facts(boot)
    return Manifest.model_validate(
        {
            "schema": 1,
            "run_id": boot.id,
            "created": boot.created or f"2026-01-{boot.number:02}T00:00:00+00:00",
            "tool_version": "0.1.0",
            "seed": boot.number,
            "agent_sha256": "a" * 64,
            "matrix": {
                "baseline": baseline,
                "profile": "synthetic",
                "blocks": {"min": boot.blocks, "max": boot.blocks},
                "precision": boot.precision,
                "looks": [boot.blocks] if boot.precision else [],
                "cells": [cell(name, arm) for name, arm in arms],
            },
            "host": inspection,
            "boot_id": f"boot-{boot.number}" if boot.boot_id is None else boot.boot_id,
            "gpus": [{"uuid": boot.gpu, "name": "Simulated GPU", "stand_in": "true"}] if boot.gpu else [],
            "platforms": {name: platform(boot, name, inspection) for name in (*boot.costs, *boot.absent)},
            "stacks": {
                STACK: {"lock_sha256": boot.lock, "platforms": {n: {"lock_sha256": boot.lock} for n in boot.costs}}
            },
        }
    )


def facts(boot: Boot) -> dict[str, dict[str, object]]:
    host = {
        "system.platform": {"windows": "win32"}.get(boot.system, boot.system),
        "system.memory_bytes": 32 * 2**30,
        "cpu.model": "Synthetic CPU",
        "board.vendor": "Synthetic",
        "board.model": "Board 1",
        **boot.host,
    }
    return {name: {"value": value, "source": "synthetic"} for name, value in host.items()}


def platform(boot: Boot, name: str, inspection: Mapping[str, object]) -> dict[str, object]:
    there = name in boot.costs
    reason = "" if there else f"{name}: not in this boot"
    return {
        "kind": boot.kinds.get(name, "native"),
        "available": there,
        "reason": reason,
        "inspection": inspection if there else {},
    }


def cell(name: str, arm: int) -> dict[str, object]:
    suffix = SECOND_ARM if arm == 2 else ""
    return {
        "id": f"{name}{suffix}/{STACK}/{TASK}",
        "platform": name,
        "arm": arm,
        "stack": STACK,
        "task": TASK,
        "entry": TASK,
        "params": {},
        "device": "cpu",
    }


def linux(number: int, *, docker: float = 1.03, **changes: Any) -> Boot:  # noqa: ANN401 - the fields of Boot
    """A Linux boot: native, a container, and a Windows platform that it can't reach."""
    kinds = {"docker": "container", "wsl": "wsl"}
    return Boot(number=number, costs={"native": 1.0, "docker": docker}, kinds=kinds, absent=("wsl",), **changes)


def windows(number: int, *, native: float = 1.1, wsl: float = 1.2, **changes: Any) -> Boot:  # noqa: ANN401 - as above
    """A Windows boot: native (another native), WSL2, and no engine for the container."""
    kinds = {"docker": "container", "wsl": "wsl"}
    costs = {"native": native, "wsl": wsl}
    return Boot(number=number, costs=costs, kinds=kinds, absent=("docker",), system="windows", **changes)
