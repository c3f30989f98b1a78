"""The way into the kernel: a system call, the creation of threads and processes, switches between them, timers.

What is timed is chosen to be the same work on every platform:

- `syscall` is getppid through syscall(2): it does nothing in the kernel but cross into it and back, no libc caches it
  and no vDSO answers it, so it shows what seccomp filters, mitigations and a sandbox add to each call. Windows answers
  its like without the kernel; there it is NtGetCurrentProcessorNumber, which needs the native helper.
- `spawn` of kind `thread` is the creation and the join of a thread that does nothing.
- `spawn` of kind `process` is vfork, _exit and wait: the process alone. No program is started, since its loading
  (libc, dynamic linker, file system) differs between images; and no memory is copied, so the interpreter's size does
  not matter.
- `spawn` of kind `fork` is fork, _exit and wait: what a loader's worker processes cost. It copies this process's page
  tables, so it grows with the interpreter's memory, which stacks of one lock file share.
- Windows has neither: a process there is always a program's, and what a program's start costs is `start_seconds` of
  `tooling.import`.

`switch` and `jitter` have modules of their own.
"""

from __future__ import annotations

import errno
import os

from harness.agent.helper import NativeHelper, loops
from harness.agent.loops import instrument, loop_metric
from harness.agent.native_only import require
from harness.agent.probes.driver_cuda import CUDA_TASKS
from harness.agent.probes.driver_jitter import run_jitter
from harness.agent.probes.driver_switch import run_switch
from harness.agent.task import Context, Outcome, Task, Unsupported

POSIX = hasattr(os, "fork")
THREADS_ALONE = "driver.spawn measured threads: Windows starts no process without a program (see tooling.import)"


def run_syscall(context: Context) -> Outcome:
    """Measure `syscall_seconds`: one getppid; a sample is the mean of `calls` back to back."""
    timed = loops("syscall") if POSIX else require("driver.syscall", "syscall")
    warmup = context.integer("warmup")
    try:
        seconds = timed.syscall(warmup + context.integer("samples"), context.integer("calls"))
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise Unsupported("driver.syscall: this ntdll.dll has no NtGetCurrentProcessorNumber") from error
        raise
    metric = loop_metric("syscall_seconds", timed, seconds, warmup=warmup)
    return Outcome(metrics=(metric, *instrument(timed)), versions=timed.versions, warnings=timed.warnings)


def run_spawn(context: Context) -> Outcome:
    """Measure `spawn_seconds` by kind: from the start of a thread or process until its end has been awaited."""
    timed = loops("thread")
    kinds = {"thread": timed.thread}
    if POSIX:
        kinds["fork"] = timed.fork
        if isinstance(timed, NativeHelper):
            kinds["process"] = timed.vfork
    warmup = context.integer("warmup")
    metrics = []
    for done, (kind, spawn) in enumerate(kinds.items(), start=1):
        seconds = spawn(warmup + context.integer("samples"))
        metrics.append(loop_metric("spawn_seconds", timed, seconds, warmup=warmup, kind=kind))
        context.progress(done, len(kinds), kind)
    warnings = timed.warnings if POSIX else (*timed.warnings, THREADS_ALONE)
    return Outcome(metrics=(*metrics, *instrument(timed)), versions=timed.versions, warnings=warnings)


TASKS = {
    **CUDA_TASKS,
    "syscall": Task(
        summary="The cheapest real system call: what crossing into the kernel and back costs.",
        run=run_syscall,
        params={"samples": 200, "calls": 10_000, "warmup": 20},
        seconds=0.5,
    ),
    "spawn": Task(
        summary="Creation and end of a thread and of a process.",
        run=run_spawn,
        params={"samples": 300, "warmup": 20},
        seconds=1.0,
    ),
    "switch": Task(
        summary="A switch between two threads and between two processes, on one CPU and free.",
        run=run_switch,
        params={"samples": 100, "calls": 100, "warmup": 10},
        seconds=1.0,
    ),
    "jitter": Task(
        summary="How late a fixed-period timer wakes a sleeper, and how short a sleep can be.",
        run=run_jitter,
        params={"microseconds": 1000, "samples": 1000, "warmup": 50},
        seconds=1.5,
    ),
}
