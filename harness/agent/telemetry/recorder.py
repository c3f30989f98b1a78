"""Puts together what a result says of the time in which its task ran; only tasks that last pay for the sampler."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from harness.agent.task import Span
from harness.agent.telemetry.marks import marks
from harness.agent.telemetry.snapshots import change, snapshot

if TYPE_CHECKING:
    from harness.agent.telemetry.child import Sampler

SHORT = "not sampled: the task is declared to be short"
CUT_OFF = "the sampler was cut off"


class SamplerError(Exception):
    """There are no samples; the text says why."""


class Recorder:
    """What happened while a task ran: two snapshots and, once `watch` was called, samples in between.

    In order: `watch` starts the sampler (it gets ready beside what this process still has to do), `begin` waits for it
    and takes the first snapshot, `end` takes the last one and returns the record. Whatever becomes of the sampler, the
    task is not concerned; `samples` then holds `error` alone.
    """

    def __init__(self) -> None:
        self._before = snapshot()
        self._sampler: Sampler | None = None
        self._error = SHORT
        self._record: dict[str, Any] = {}
        self._began = 0.0

    def watch(self, device: str) -> None:
        """Start the sampler; `device` is the cell's."""
        from harness.agent.telemetry.child import Sampler  # noqa: PLC0415 - short tasks start without it

        self._error = CUT_OFF
        try:
            self._sampler = Sampler(device)
        except SamplerError as error:
            self._error = str(error)

    @property
    def process(self) -> int | None:
        """The sampler's process number; None without one."""
        return self._sampler.pid if self._sampler else None

    def begin(self) -> None:
        """Let sampling start, after having waited for the sampler, with a limit."""
        if self._sampler is not None:
            self._wait(self._sampler)
        self._before = snapshot()
        if self._sampler is not None:
            self._sampler.begin()
            self._began = time.perf_counter()

    def end(self, timed: Span | None = None) -> dict[str, Any]:
        """Return the record; again the same when asked again. `timed` is the part of the task that is compared.

        The record then has it as `timed`: [begin, end] in the samples' seconds.
        """
        if not self._record:
            # Before the sampler is waited for: its memory and switches would count as the task's.
            record = change(self._before, snapshot())
            samples = self._samples()
            self._record = {**record, "samples": samples, "marks": marks(record, samples)}
            if timed and "times" in samples:
                self._record["timed"] = [timed.begin - self._began, timed.end - self._began]
        return self._record

    def _wait(self, sampler: Sampler) -> None:
        try:
            sampler.wait()
        except SamplerError as error:
            self._sampler, self._error = None, str(error)

    def _samples(self) -> dict[str, Any]:
        sampler, self._sampler = self._sampler, None
        if sampler is None:
            return {"error": self._error}
        try:
            return sampler.answer()
        except SamplerError as error:
            return {"error": str(error)}
