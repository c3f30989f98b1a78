"""Jobs for the platforms' tests, with fake agents: little programs in the packed agent's place."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import stacks
from harness.agent.messages import CellSpec, Location, read_json
from harness.matrix.model import Container, Native, StackConfig, Wsl
from harness.platforms.base import Job
from harness.stacks import Stack

PREAMBLE = """\
import json, os, signal, subprocess, sys, time
verb, spec_file, result_file = sys.argv[1:]
with open(spec_file, encoding="utf-8") as file:
    spec = json.load(file)
def answer(**values):
    with open(result_file, "w", encoding="utf-8") as file:
        json.dump(values, file)
"""


@dataclass(kw_only=True)
class FakeAgent:
    """A program that is started like the agent. `code` may use `verb`, `spec` and `answer(name=value)`."""

    path: Path

    def does(self, code: str) -> FakeAgent:
        self.path.write_text(PREAMBLE + code, encoding="utf-8")
        return self


@dataclass(kw_only=True)
class Launching:
    """A job in a folder of its own, and what came of it."""

    folder: Path
    lines: list[str] = field(default_factory=list)

    def job(
        self,
        *,
        timeout: float = 60.0,
        on_line: Callable[[str], None] | None = None,
        device: str = "cpu",
        locations: tuple[Location, ...] = (),
        resources: Mapping[str, str] | None = None,
    ) -> Job:
        folder = self.folder / f"job-{time.monotonic_ns()}"
        folder.mkdir(parents=True)
        spec = CellSpec(
            cell="x/driver/control.delay",
            platform="x",
            stack="driver",
            task="control.delay",
            entry="control.delay",
            params={},
            device=device,
            block=1,
            attempt=1,
            seed=1,
            locations=locations,
            resources=resources or {},
        )
        on_line = on_line or self.lines.append
        return Job(spec=spec, folder=folder, log=folder.with_suffix(".log"), timeout=timeout, on_line=on_line)


def container_config(**options: object) -> Container:
    return Container.model_validate({"kind": "container", **options})


def native_config(**options: object) -> Native:
    return Native.model_validate({"kind": "native", **options})


def wsl_config(distribution: str = "Debian") -> Wsl:
    return Wsl.model_validate({"kind": "wsl", "distribution": distribution})


def driver_stack(root: Path) -> Stack:
    return stacks.resolve("driver", StackConfig.model_validate({}), root=root, gpu=False)


def result(job: Job) -> dict[str, Any]:
    record: dict[str, Any] = read_json(job.result)
    return record


def quiet(_line: str) -> None:
    """Progress that nobody reads."""
