"""Memory. `bandwidth` is STREAM's triad, a[i] = b[i] + 3 c[i], over arrays that no cache holds.

As STREAM does it: three arrays of doubles, bytes counted as 3 × the size of an array (what a cache fetches before it
writes is not counted), each thread the first to touch its part, each sample one pass over everything, the result
checked. Threads are not pinned: what pinning changes is `memory.affinity`. There is no Python loop for it: that
would measure the interpreter and no memory.
"""

from __future__ import annotations

import errno
import os

from harness.agent.helper import NativeHelper, loops
from harness.agent.inspection import cgroup
from harness.agent.inspection.facts import Files, fact, fields
from harness.agent.loops import clock_metric
from harness.agent.messages import Metric
from harness.agent.task import Context, Outcome, Task, Unavailable

ARRAYS = 3
USABLE = 0.8  # of the memory that is available: the rest is left to the system
CACHES = 4  # STREAM asks for arrays of at least four times the last-level cache
MIB = 2**20
SETTING = "set array_bytes of memory.bandwidth in matrix.yaml"


def run_bandwidth(context: Context) -> Outcome:
    """Measure `triad_bandwidth` with one thread and with one on every CPU that this process may use."""
    helper = loops("triad")
    if not isinstance(helper, NativeHelper):
        raise Unavailable("memory.bandwidth needs the native helper: build it with `nox -s native`")
    size = context.integer("array_bytes")
    _check_room(size)
    counts = sorted({1, usable_cpus()})
    metrics = []
    for done, threads in enumerate(counts, start=1):
        metrics.append(_triad(helper, context, size, threads))
        context.progress(done, len(counts), f"{threads} threads")
    return Outcome(metrics=(*metrics, clock_metric(helper)), versions=helper.versions, warnings=_cache_warning(size))


def usable_cpus() -> int:
    """Return how many CPUs the affinity of this process allows, which a CPU limit does not lower."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory(files: Files) -> int | None:
    """Return the bytes that may be taken: the system's available memory or the cgroups' limit, None if unknown."""
    system = fact("MemAvailable", lambda: _kilobytes(fields(files.text("/proc/meminfo"))["MemAvailable"]))
    limits = (system["value"], cgroup.inspect(files)["memory_bytes"]["value"])
    return min((int(limit) for limit in limits if isinstance(limit, (int, float))), default=None)


def last_cache(files: Files) -> int:
    """Return the size in bytes of the first CPU's largest cache, 0 if unknown."""
    try:
        paths = files.matching("/sys/devices/system/cpu/cpu0/cache/index*/size")
        return max(_kilobytes(files.text(path)) for path in paths)
    except (OSError, ValueError):
        return 0


def _triad(helper: NativeHelper, context: Context, size: int, threads: int) -> Metric:
    warmup = context.integer("warmup")
    try:
        seconds = helper.triad(warmup + context.integer("samples"), size, threads)
    except OSError as error:
        if error.errno not in (errno.ENOMEM, errno.EAGAIN):
            raise
        raise Unavailable(f"triad with {threads} threads and arrays of {size} bytes: {error}; {SETTING}") from error
    return Metric(
        name="triad_bandwidth",
        unit="B/s",
        better="higher",
        samples=tuple(ARRAYS * size / value for value in seconds),
        warmup=warmup,
        dims={"threads": threads, "loop": helper.name},
    )


def _check_room(size: int) -> None:
    """Raise Unavailable rather than be killed for memory; other sizes on other platforms could not be compared."""
    available = available_memory(Files())
    if available is not None and ARRAYS * size > USABLE * available:
        raise Unavailable(
            f"memory.bandwidth needs {ARRAYS} arrays of {size // MIB} MiB and {available // MIB} MiB are available: "
            f"{SETTING} to {int(USABLE * available / ARRAYS) // MIB}MiB or less"
        )


def _cache_warning(size: int) -> tuple[str, ...]:
    cache = last_cache(Files())
    if size >= CACHES * cache:
        return ()
    warning = (
        f"arrays of {size // MIB} MiB are less than {CACHES} times the last-level cache ({cache // MIB} MiB), which "
        f"serves part of the reads: {SETTING} to {CACHES * cache // MIB}MiB for the memory's own bandwidth"
    )
    return (warning,)


def _kilobytes(text: str) -> int:
    """Read `4096 kB` or `512K`, as the kernel writes them, as bytes."""
    return int(text.rstrip(" kKB")) * 1024


TASKS = {
    "bandwidth": Task(
        summary="STREAM triad over arrays larger than the caches, by one thread and by all.",
        run=run_bandwidth,
        params={"array_bytes": 256 * MIB, "samples": 8, "warmup": 1},
        seconds=3.0,
    ),
}
