"""Synthetic runs of a workload and of the probes that take its step apart. Nothing in them was measured.

A `Machine` is what things cost on one platform; the step of a workload is the sum of its counts times them, of launches
those that are not hidden, and what it computes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.agent.messages import CellResult, Metric, Scalar
from harness.agent.step_counts import per_step
from harness.results.bundle import Bundle, JournalLine
from tests import boots

PLATFORM = "docker"
GPU = "cuda:0"
SIZES = (4, 2**10, 2**16, 2**20, 2**24)
FILE_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Seconds of one of each, but for bandwidths (B/s)."""

    launch: float = 5e-6
    sync: float = 20e-6
    copy: Mapping[tuple[str, str], float] = field(
        default_factory=lambda: {("h2d", "pinned"): 9e-6, ("d2h", "pageable"): 30e-6, ("d2d", "device"): 5e-6}
    )
    bandwidth: Mapping[tuple[str, str], float] = field(
        default_factory=lambda: {("h2d", "pinned"): 12e9, ("d2h", "pageable"): 3e9, ("d2d", "device"): 400e9}
    )
    allocation: float = 100e-6
    file: float = 15e-6
    file_bandwidth: float = 4e9
    clock: float = 1.0  # seconds of a second of computing
    dispatch: float = 2e-6
    location: str = "host"


@dataclass(frozen=True, kw_only=True)
class Work:
    """A workload's step: its counts, and how long it computes."""

    task: str = "torch_cnn.trivial"
    stack: str = "torch"
    device: str = GPU
    launches: int = 400
    operations: int = 300
    syncs: int = 3
    copies: Mapping[tuple[str, str], tuple[int, int]] = field(  # number and bytes of each
        default_factory=lambda: {("h2d", "pinned"): (2, 2**20), ("d2h", "pageable"): (1, 2**12)}
    )
    allocations: int = 1
    files: int = 32
    file_bytes: int = 100_000
    computing: float = 2e-3
    hidden: float = 0.0  # share of the launches
    unexplained: float = 0.0  # on the platform alone

    def seconds(self, machine: Machine) -> float:
        """Return how long one step is."""
        beyond = self.files * max(0, self.file_bytes - FILE_BYTES)
        host = self.files * machine.file + beyond / machine.file_bandwidth + self.computing * machine.clock
        if self.device == "cpu":
            return host + self.operations * machine.dispatch
        copies = sum(
            number * (machine.copy[path] + size / machine.bandwidth[path])
            for path, (number, size) in self.copies.items()
        )
        launches = self.launches * machine.launch * (1 - self.hidden)
        return host + copies + launches + self.syncs * machine.sync + self.allocations * machine.allocation

    def counts(self) -> Iterator[Metric]:
        """Yield what a trace would count."""
        yield per_step("file_count", self.files)
        yield per_step("read_bytes", self.files * self.file_bytes)
        yield per_step("operation_count", self.operations)
        if self.device == "cpu":
            return
        yield per_step("launch_count", self.launches)
        yield per_step("sync_count", self.syncs)
        yield per_step("allocation_count", self.allocations)
        for (direction, memory), (number, size) in self.copies.items():
            yield per_step("copy_count", number, direction=direction, memory=memory)
            yield per_step("copy_bytes", number * size, direction=direction, memory=memory)


@dataclass(frozen=True, kw_only=True)
class Run:
    """Two machines, the workloads, and the noise: of each invocation, and of the samples within."""

    works: Sequence[Work]
    ours: Machine = Machine()
    theirs: Machine = Machine()
    blocks: int = 12
    sigma: float = 0.002
    samples: int = 5
    seed: int = 1
    own_counts: bool = False  # with the workload's result, not in a task of their own
    without: frozenset[str] = frozenset()  # tasks, and counts

    def bundle(self) -> Bundle:
        """Return it as a bundle that was read; the baseline has two arms."""
        results = tuple(each for each in self._results() if each.task not in self.without)
        return bundle_of(results, ("native", PLATFORM), fingerprint=f"{self.seed:064x}")

    def _results(self) -> Iterator[CellResult]:
        random = np.random.default_rng(self.seed)
        for block in range(1, self.blocks + 1):
            for arm, machine in (("native", self.ours), ("native@2", self.ours), (PLATFORM, self.theirs)):
                for task, metrics in _probes(machine).items():
                    device = "cpu" if task.startswith("storage.") else GPU
                    yield _result(arm, "driver", task, device, block, self._noisy(metrics, random))
                yield _result(arm, "driver", "control.fma", "cpu", block, self._noisy([_fma(machine)], random))
                yield _result(arm, "torch", "driver.dispatch", "cpu", block, self._noisy([_dispatch(machine)], random))
                for work in self.works:
                    yield from self._work(work, arm, machine, block, random)

    def _work(
        self, work: Work, arm: str, machine: Machine, block: int, random: np.random.Generator
    ) -> Iterator[CellResult]:
        seconds = work.seconds(machine) + (work.unexplained if arm == PLATFORM else 0.0)
        step = self._noisy([Metric(name="step_seconds", unit="s", better="lower", samples=(seconds,))], random)
        counted = tuple(each for each in work.counts() if each.name not in self.without)
        own = counted if self.own_counts else ()
        yield _result(arm, work.stack, work.task, work.device, block, (*step, *own))
        if not self.own_counts and block == 1 and arm == "native":
            traced = Metric(name="step_seconds", unit="s", better="lower", samples=(3 * seconds,))
            yield _result(arm, work.stack, f"counts.{work.task}", work.device, block, (traced, *counted))

    def _noisy(self, metrics: Sequence[Metric], random: np.random.Generator) -> tuple[Metric, ...]:
        found = []
        for each in metrics:
            level = each.samples[0] * np.exp(random.normal(0, self.sigma))
            values = level * np.exp(random.normal(0, self.sigma, self.samples))
            found.append(
                Metric(
                    name=each.name, unit=each.unit, better=each.better, samples=tuple(values.tolist()), dims=each.dims
                )
            )
        return tuple(found)


def bundle_of(results: Sequence[CellResult], platforms: Sequence[str], *, fingerprint: str = "") -> Bundle:
    """Return results as a bundle of one boot; the first platform is the baseline."""
    boot = boots.Boot(number=1, costs=dict.fromkeys(platforms, 1.0))
    journal = tuple(map(_line, results))
    return Bundle(manifest=boots.manifest(boot), journal=journal, invocations=tuple(results), fingerprint=fingerprint)


def _probes(machine: Machine) -> Mapping[str, list[Metric]]:
    """Return task → its metrics: each one value, without noise."""
    trip = machine.launch + machine.sync
    copies = [
        _seconds(
            "copy_seconds",
            each + machine.sync + size / machine.bandwidth[path],
            direction=path[0],
            memory=path[1],
            bytes=size,
        )
        for path, each in machine.copy.items()
        for size in SIZES
    ]
    located = {"location": machine.location, "cache": "warm"}
    return {
        "driver.launch": [
            _seconds("launch_slope_seconds", machine.launch, flush=False),
            _seconds("launch_slope_seconds", 3 * machine.launch, flush=True),
        ],
        "driver.sync": [_seconds("round_trip_seconds", trip, sync=way) for way in ("blocking", "spin")],
        "copies.bandwidth": copies,
        "copies.allocation": [
            _seconds(f"{verb}_seconds", machine.allocation / 2 * size / 2**20, kind="device", bytes=size)
            for verb in ("allocate", "free")
            for size in (2**16, 2**20)
        ],
        "storage.small_files": [
            _seconds("open_read_seconds", machine.file, **located),
            _seconds("open_read_seconds", 9 * machine.file, location=machine.location, cache="cold"),
            _seconds("open_read_seconds", 5 * machine.file, location="tmpfs", cache="warm"),
        ],
        "storage.sequential": [
            Metric(
                name="read_bandwidth",
                unit="B/s",
                better="higher",
                samples=(machine.file_bandwidth,),
                dims={**located, "loop": "native"},
            )
        ],
        "control.fma_device": [_seconds("device_fma_seconds", 0.8 * machine.clock)],
    }


def _fma(machine: Machine) -> Metric:
    return _seconds("fma_seconds", 0.9 * machine.clock)


def _dispatch(machine: Machine) -> Metric:
    return _seconds("dispatch_seconds", machine.dispatch, operation="add")


def _seconds(name: str, value: float, **dims: Scalar) -> Metric:
    return Metric(name=name, unit="s", better="lower", samples=(value,), dims={**dims, "loop": "native"})


def _result(arm: str, stack: str, task: str, device: str, block: int, metrics: tuple[Metric, ...]) -> CellResult:
    return CellResult(
        cell=f"{arm}/{stack}/{task}",
        platform=arm,
        stack=stack,
        task=task,
        params={},
        device=device,
        block=block,
        attempt=1,
        status="ok",
        metrics=metrics,
    )


def _line(result: CellResult) -> JournalLine:
    return JournalLine(
        block=result.block,
        cell=result.cell,
        attempt=1,
        status="ok",
        reason="",
        started="2026-01-01T00:00:00.000+00:00",
        seconds=1.0,
        file=f"invocations/{result.block}.json",
        sha256="0" * 64,
    )
