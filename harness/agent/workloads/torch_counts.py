"""Traces a few steps of a torch workload by torch.profiler, and counts what they consist of."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.agent.messages import Metric
from harness.agent.task import Context, Outcome
from harness.agent.workloads import torch_steps, torch_trace
from harness.agent.workloads.reads import Opens, Reads
from harness.agent.workloads.torch_steps import Prepare, Work

WARMUP = 3  # steps before: they fill torch's pools and try algorithms; in the last the profiler warms up
STEPS = 3


def run(context: Context, choose: Callable[[Context], Prepare]) -> Outcome:
    """Count the workload that `choose` prepares. Raises Unavailable where the stack has no torch, and as `choose`."""
    prepare = choose(context)
    torch, _ = torch_steps.imported()
    device = context.spec.device
    versions = torch_steps.versions(torch)
    if reason := torch_steps.unseen(torch, device):
        return Outcome(metrics=(), versions=versions, status="failed", reason=reason)
    torch_steps.configure(torch, context)
    opens = Opens()
    with prepare(torch, context) as work, tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.json")
        reads = _traced(torch, context, work, opens, trace)
        found = torch_trace.counts(json.loads(trace.read_text(encoding="utf-8")), device=device)
    return Outcome(metrics=(*found, *reads), versions=versions)


def _traced(torch: Any, context: Context, work: Work, opens: Opens, trace: Path) -> list[Metric]:  # noqa: ANN401 - a module
    """Make the steps, write the trace of the last ones, and return what files these read."""
    profiler = torch.profiler
    on_gpu = context.spec.device != "cpu"
    activities = [profiler.ProfilerActivity.CPU, *([profiler.ProfilerActivity.CUDA] if on_gpu else [])]
    schedule = profiler.schedule(wait=WARMUP - 1, warmup=1, active=STEPS, repeat=1)
    with profiler.profile(activities=activities, schedule=schedule) as tracing:
        _steps(torch, context, work, range(WARMUP), tracing.step)
        reads = Reads(opens)
        _steps(torch, context, work, range(WARMUP, WARMUP + STEPS), tracing.step)
        files = reads.per_step(STEPS)
    tracing.export_chrome_trace(str(trace))
    return files


def _steps(torch: Any, context: Context, work: Work, numbers: range, done: Callable[[], None]) -> None:  # noqa: ANN401
    for number in numbers:
        work.step(number)
        if context.spec.device != "cpu":
            torch.cuda.synchronize()  # as behind every measured step
        done()
        context.progress(number + 1, WARMUP + STEPS, "steps")
