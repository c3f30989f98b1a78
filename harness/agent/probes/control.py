"""Controls: what must come out equal on every platform of a host, and what must come out as it was planted.

`fma` is a chain of dependent multiply-adds in registers: no memory, no kernel, no driver, so only the clock frequency
and the share of a CPU that the platform grants can change it. Where it differs, the pair of platforms is not
comparable. Its samples last half a second or more: a container's CPU limit freezes the process for parts of each
100 ms, which shorter samples show in their tail only. `fma_device` is the same chain as a kernel on the GPU, by the
GPU's own clock: a task of its own, since the CPU must be controlled on a platform that has no GPU too.

`delay` is a busy wait of a known length: the whole way from clock to report must give that length back. `step`, a
training step of known parts, has a module of its own.
"""

from __future__ import annotations

from typing import Protocol

from harness.agent.helper import loops
from harness.agent.loops import instrument, loop_metric
from harness.agent.messages import Metric
from harness.agent.probes.control_cuda import device_chain
from harness.agent.task import Context, Outcome, Task

UNIT = 10**9  # `fma_seconds` is the time of this many multiply-adds
TRIAL_CALLS = 100_000  # well under a millisecond: most trials fit between two freezes of a CPU limit
TRIALS = 20
MARGIN = 1.1  # a sample is made this much longer than asked for
UNFUSED = "no fused multiply-add here: control.fma measured a multiplication and an addition"


class Chain(Protocol):
    """A processor that runs the chain: the CPU by its loops, or a GPU."""

    def fma(self, samples: int, calls: int) -> list[float]:
        """Return the seconds of chains of `calls` multiply-adds."""


def run_fma(context: Context) -> Outcome:
    """Measure `fma_seconds`: seconds per 1e9 multiply-adds, whatever number of them makes a sample long enough."""
    timed = loops("fma")
    metric = loop_metric("fma_seconds", timed, _chains(timed, context), warmup=1)
    warnings = timed.warnings if timed.fused else (*timed.warnings, UNFUSED)
    return Outcome(metrics=(metric, *instrument(timed)), versions=timed.versions, warnings=warnings)


def run_fma_device(context: Context) -> Outcome:
    """Measure `device_fma_seconds`: the same on the cell's GPU. Raises Unavailable where there is none."""
    with device_chain(context) as chain:
        values = tuple(_chains(chain, context))
        metric = Metric(name="device_fma_seconds", unit="s", better="lower", samples=values, warmup=1)
        cuda, timed = chain.cuda, chain.cuda.loops.timed
        return Outcome(
            metrics=(metric, *instrument(timed)),
            versions={**timed.versions, **cuda.versions},
            warnings=(*timed.warnings, *cuda.place.warnings),
        )


def run_delay(context: Context) -> Outcome:
    """Measure `delay_seconds`: what the clock says about a busy wait of `microseconds`."""
    timed = loops("spin")
    warmup = context.integer("warmup")
    samples = warmup + context.integer("samples")
    seconds = timed.spin(samples, 1000 * context.integer("microseconds"))
    metric = loop_metric("delay_seconds", timed, seconds, warmup=warmup)
    return Outcome(metrics=(metric, *instrument(timed)), versions=timed.versions, warnings=timed.warnings)


def _chains(chain: Chain, context: Context) -> list[float]:
    """Return the seconds per 1e9 multiply-adds, one a sample; the first is warm-up."""
    calls, warm_up = _calibrate(chain, context.number("sample_seconds"))
    total = context.integer("samples")
    elapsed = [warm_up]
    for done in range(1, total + 1):
        elapsed += chain.fma(1, calls)
        context.progress(done, total, "")
    return [seconds / calls * UNIT for seconds in elapsed]


def _calibrate(timed: Chain, at_least: float) -> tuple[int, float]:
    """Return how many multiply-adds take `at_least` seconds at full speed, and what a first sample of them took.

    The fastest of some short trials is full speed, whatever else runs and whatever limit holds. A first sample that
    is too short all the same (the clock rose since) is repeated with more.
    """
    speed = TRIAL_CALLS / min(timed.fma(TRIALS, TRIAL_CALLS))
    calls = int(MARGIN * at_least * speed) + 1
    while (elapsed := timed.fma(1, calls)[0]) < at_least:
        calls = int(MARGIN * calls * at_least / elapsed) + 1
    return calls, elapsed


TASKS = {
    "fma": Task(
        summary="A chain of dependent multiply-adds in registers: clock frequency and CPU share, nothing else.",
        run=run_fma,
        params={"samples": 5, "sample_seconds": 0.5},
        seconds=4.0,
    ),
    "fma_device": Task(
        summary="The same chain as a kernel: the GPU's clock, nothing else.",
        run=run_fma_device,
        params={"samples": 5, "sample_seconds": 0.5},
        devices=("cuda",),
        seconds=4.5,
    ),
    "delay": Task(
        summary="A busy wait of a known length, which the analysis must find again.",
        run=run_delay,
        params={"microseconds": 1000, "samples": 200, "warmup": 20},
        seconds=0.5,
    ),
}
