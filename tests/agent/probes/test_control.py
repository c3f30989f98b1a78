from __future__ import annotations

from statistics import median

import pytest

from harness.agent import ptx
from harness.agent.cuda_errors import CudaError
from harness.agent.helper import NativeHelper
from harness.agent.loops import ABSENT
from harness.agent.probes import control, control_cuda
from harness.agent.task import Unavailable, find
from tests.agent.conftest import Plant
from tests.agent.probes.conftest import INSTRUMENT, RunOnGpu, RunTask, metric, names


def test_fma_keeps_its_warm_up_apart_and_names_its_loop(run_task: RunTask, loop: str) -> None:
    outcome = run_task("control.fma", samples=2, sample_seconds=0.02)
    fma = metric(outcome, "fma_seconds")
    assert names(outcome) == {"fma_seconds", *INSTRUMENT}
    assert (len(fma.samples), fma.warmup, fma.unit, fma.better) == (3, 1, "s", "lower")
    assert {each.dims["loop"] for each in outcome.metrics} == {loop}
    assert (ABSENT in outcome.warnings) == (loop == "python")


def test_fma_is_per_operation_whatever_the_length_of_a_sample(run_task: RunTask, native: NativeHelper) -> None:
    short = metric(run_task("control.fma", samples=100, sample_seconds=0.001), "fma_seconds")
    long = metric(run_task("control.fma", samples=100, sample_seconds=0.003), "fma_seconds")
    assert min(long.samples) == pytest.approx(min(short.samples), rel=0.1)


def test_fma_samples_last_as_long_as_asked_for(native: NativeHelper) -> None:
    calls, elapsed = control._calibrate(native, 0.1)
    assert elapsed >= 0.1
    assert min(native.fma(3, calls)) >= 0.08  # full speed may have risen since


def test_fma_repeats_a_first_sample_that_was_too_short() -> None:
    class Accelerating(NativeHelper):
        """A made-up processor that runs ten times as fast after its calibration."""

        def __init__(self) -> None:
            self.speed = 1e6

        def fma(self, samples: int, calls: int) -> list[float]:
            elapsed = [calls / self.speed] * samples
            self.speed = 1e7
            return elapsed

    calls, elapsed = control._calibrate(Accelerating(), 0.5)
    assert elapsed >= 0.5
    assert elapsed == pytest.approx(calls / 1e7)


def test_fma_runs_on_the_cpu_of_a_host_with_a_gpu(run_task: RunTask, plant: Plant) -> None:
    plant()
    assert names(run_task("control.fma", samples=1, sample_seconds=0.01)) == {"fma_seconds", *INSTRUMENT}
    assert {name: find(f"control.{name}").devices for name in ("fma", "fma_device")} == {  # type: ignore[union-attr]
        "fma": ("cpu",),
        "fma_device": ("cuda",),
    }


def test_fma_runs_on_the_gpu_as_a_task_of_its_own(run_on_gpu: RunOnGpu, plant: Plant, loop: str) -> None:
    plant(fma_ps=1000)
    outcome = run_on_gpu("control.fma_device", samples=2, sample_seconds=0.02)
    assert names(outcome) == {"device_fma_seconds", *INSTRUMENT}
    assert {each.dims["loop"] for each in outcome.metrics if each.name in INSTRUMENT} == {loop}
    device = metric(outcome, "device_fma_seconds")
    assert (len(device.samples), device.warmup, device.unit, device.better) == (3, 1, "s", "lower")
    assert outcome.versions["gpu"] == "Simulated GPU"


@pytest.mark.parametrize("picoseconds", [800, 2500])
def test_the_gpus_clock_comes_back(run_on_gpu: RunOnGpu, plant: Plant, picoseconds: int) -> None:
    plant(fma_ps=picoseconds, launch_ns=1000, query_ns=0)
    outcome = run_on_gpu("control.fma_device", samples=2, sample_seconds=0.05)
    for value in metric(outcome, "device_fma_seconds").samples:
        assert value == pytest.approx(picoseconds * 1e-12 * control.UNIT, rel=0.05)


def test_a_gpu_that_is_not_there_is_unavailable(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(devices=0)
    with pytest.raises(Unavailable, match="cuInit"):
        run_on_gpu("control.fma_device", samples=1, sample_seconds=0.01)


def test_a_gpu_that_fails_is_an_error(run_on_gpu: RunOnGpu, plant: Plant) -> None:
    plant(fail=("cuLaunchKernel:700:3",))
    with pytest.raises(CudaError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        run_on_gpu("control.fma_device", samples=1, sample_seconds=0.01)


def test_a_gpu_that_computes_something_else_counts_for_nothing(
    run_on_gpu: RunOnGpu, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant()
    monkeypatch.setattr(ptx, "FMA_RESULT", 3.0)
    with pytest.raises(control_cuda.ResultError, match=r"gave 2\.0 where 3\.0 is right"):
        run_on_gpu("control.fma_device", samples=1, sample_seconds=0.01)


@pytest.mark.parametrize("microseconds", [200, 2000])
def test_a_planted_delay_comes_back(run_task: RunTask, loop: str, microseconds: int) -> None:
    outcome = run_task("control.delay", microseconds=microseconds, samples=50, warmup=5)
    delay = metric(outcome, "delay_seconds", loop=loop)
    assert len(delay.samples) == 55
    # The least, not the median: on a machine that is busy otherwise, most waits of 2 ms are interrupted.
    assert microseconds * 1e-6 <= min(delay.samples) < microseconds * 1.05e-6


def test_what_the_clock_costs_is_told(run_task: RunTask, loop: str) -> None:
    clock = metric(run_task("control.delay", microseconds=1, samples=1, warmup=0), "clock_seconds")
    assert clock.better == "lower"
    assert 1e-9 < median(clock.samples) < 1e-4
