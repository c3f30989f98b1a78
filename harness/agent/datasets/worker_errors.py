"""What torch says of an error in a DataLoader's worker, in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from harness.agent import oom


@contextmanager
def in_short() -> Iterator[None]:
    """Raise a worker's error with its last line alone: torch hands it on with the worker's traceback as its text.

    Raises MemoryError for a worker that was killed, of which torch only says that it is gone.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        if oom.is_killed_worker(error):
            raise MemoryError(oom.WORKER_WAS_KILLED) from error
        *traceback, last = str(error).strip().splitlines() or [""]
        if not traceback:
            raise
        advice = ": give the platform more of it (shm_size)" if "shared memory" in last else ""
        kind = OSError if isinstance(error, OSError) else RuntimeError
        raise kind(f"in a DataLoader worker: {last}{advice}") from error
