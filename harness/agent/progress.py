"""Shows the controller how far a cell is, as JSON lines among the ordinary output."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from harness.agent.messages import Progress

INTERVAL = 0.2  # seconds between two lines


class ProgressLines:
    """Writes a `Progress` line at most every `interval` seconds, and always the last one.

    A reader that went away does not end a measurement: after a failed write it stays silent.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        interval: float = INTERVAL,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._stream = stream
        self._interval = interval
        self._clock = clock
        self._due = float("-inf")
        self._finished = False

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Show `done` of `total`, unless a line was shown just now."""
        now = self._clock()
        newly_finished = done >= total and not self._finished
        if self._stream is None or (now < self._due and not newly_finished):
            return
        self._finished = done >= total
        self._due = now + self._interval
        try:
            self._stream.write(Progress(done=done, total=total, note=note).line() + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # the pipe is broken or closed
            self._stream = None
