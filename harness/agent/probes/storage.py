"""Storage, on every location that the platform offers: what is declared here; others declare themselves."""

from __future__ import annotations

from harness.agent.capacity import MIB
from harness.agent.probes.storage_blocks import run_prefetch, run_sequential
from harness.agent.probes.storage_random import run_random
from harness.agent.probes.storage_small_files import run_small_files
from harness.agent.task import Task

TASKS = {
    "small_files": Task(
        summary="Create, stat, open and read, list, unlink many small files, on every location of the platform.",
        run=run_small_files,
        params={"files": 500, "size": 4096, "rounds": 5},
        seconds=3.0,
    ),
    "sequential": Task(
        summary="Write and read one file by large blocks: buffered, from the disk, and past the cache.",
        run=run_sequential,
        params={"bytes": 64 * MIB, "block_bytes": MIB, "rounds": 3},
        seconds=3.0,
    ),
    "random": Task(
        summary="4 KiB random reads with 1 to 32 in flight and by page faults, and writes that wait for the disk.",
        run=run_random,
        params={"bytes": 64 * MIB, "rounds": 4, "pass_seconds": 0.1},
        seconds=12.0,
    ),
    "prefetch": Task(
        summary="What read-ahead gains: cold reads in order against random order, at equal block size.",
        run=run_prefetch,
        params={"bytes": 64 * MIB, "block_bytes": 64 * 1024, "rounds": 4, "pass_seconds": 0.5},
        seconds=2.0,
    ),
}
