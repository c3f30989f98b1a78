"""What the agent itself costs: its start, its telemetry, and what surrounds each sample."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import fmean

from harness import pack
from harness.agent.helper import loops
from harness.agent.loops import Loops
from harness.agent.messages import CellResult, CellSpec, read_json, to_json, write_json
from harness.agent.telemetry.recorder import Recorder
from tests.simulated.driver import SimulatedDriver

STEP = 20_000_000  # multiply-adds, some 40 ms: as long as a training's step
STEPS = 50  # a side
SAMPLES = 20_000


def start_seconds(folder: Path, repetitions: int) -> list[float]:
    """Return the agent's seconds with a task of one microsecond, less those of bare Python run next to it."""
    specification, result = folder / "start.json", folder / "started.json"
    spec = CellSpec(
        cell="native/driver/control.delay",
        platform="native",
        stack="driver",
        task="control.delay",
        entry="control.delay",
        params={"microseconds": 1, "samples": 1, "warmup": 0},
        device="cpu",
        block=1,
        attempt=1,
        seed=0,
    )
    write_json(specification, to_json(spec))
    agent = (sys.executable, str(pack.agent_archive(cache=folder)), "run", str(specification), str(result))
    _timed(agent)
    assert CellResult.from_json(read_json(result)).status == "ok"
    return [_timed(agent) - _timed((sys.executable, "-c", "pass")) for _ in range(repetitions)]


def sampler_shares(repetitions: int, device: str = "cpu") -> list[float]:
    """Return the share of a core that the sampler used, as it says at its end, over some seconds each time.

    With a GPU as `device` a driver must answer in this process's environment.
    """
    timed, shares = loops("fma"), []
    for _ in range(repetitions):
        recorder = _watched(device)
        timed.fma(STEPS, STEP)
        samples = recorder.end()["samples"]
        assert device == "cpu" or samples["gpus"], samples["missing"]
        shares.append(float(samples["sampler"]["cpu_share"]))
    return shares


def simulated_nvml_shares(repetitions: int) -> list[float]:
    """Return the same with a GPU to watch, that of the simulated driver: what our side of NVML's calls takes.

    A real NVML's own time comes on top; nothing here says how long that is.
    """
    code = f"from tests.bench.agent import sampler_shares; print(*sampler_shares({repetitions}, 'cuda:0'))"
    environment = SimulatedDriver().environment()
    done = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True, env=environment)
    return [float(share) for share in done.stdout.split()]


def step_ratios(repetitions: int) -> list[float]:
    """Return mean step time with telemetry / without, in pairs of random order."""
    timed, order, ratios = loops("fma"), Random(1), []
    for _ in range(repetitions):
        with_first = order.random() < 0.5
        sides = [_steps(timed, watched=watched) for watched in (with_first, not with_first)]
        with_sampler, without = sides if with_first else sides[::-1]
        ratios.append(with_sampler / without)
    return ratios


def overheads(timed: Loops, repetitions: int) -> list[float]:
    """Return the seconds that pass for each sample beside the sample's own: of an empty call, sampled singly."""
    found = []
    for _ in range(repetitions):
        began = time.perf_counter()
        values = timed.empty_call(SAMPLES, 1)
        found.append((time.perf_counter() - began - sum(values)) / SAMPLES)
    return found


def _watched(device: str = "cpu") -> Recorder:
    recorder = Recorder()
    recorder.watch(device)
    recorder.begin()
    return recorder


def _steps(timed: Loops, *, watched: bool) -> float:
    recorder = _watched() if watched else None
    seconds = fmean(timed.fma(STEPS, STEP))
    if recorder is not None:
        assert "error" not in recorder.end()["samples"], "the sampler did not sample"
    return seconds


def _timed(argv: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
