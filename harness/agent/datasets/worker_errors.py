"""What torch says of an error in a DataLoader's worker, in one line."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.agent import oom

PATIENCE = 1.0  # seconds


@contextmanager
def in_short() -> Iterator[None]:
    """Raise a worker's error with its last line alone: torch hands it on with the worker's traceback as its text.

    Raises MemoryError for a worker that was killed, of which torch only says that it is gone.
    """
    try:
        with _word_of_a_death():
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


@contextmanager
def _word_of_a_death() -> Iterator[None]:
    """Let torch say that a worker has died, of which a connection that has ended may be the first sign."""
    try:
        yield
    except (EOFError, ConnectionError):
        time.sleep(PATIENCE)  # torch's handler of SIGCHLD raises its own error here
        raise
