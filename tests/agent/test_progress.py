from __future__ import annotations

import io
import os
from contextlib import suppress

from harness.agent.messages import Progress
from harness.agent.progress import ProgressLines


class FakeTime:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(stream: io.StringIO) -> list[Progress | None]:
    return [Progress.from_line(line) for line in stream.getvalue().splitlines()]


def test_lines_come_no_faster_than_the_interval() -> None:
    stream, time = io.StringIO(), FakeTime()
    lines = ProgressLines(stream, interval=1.0, clock=time)
    for done in range(1, 30):
        time.now = done / 10
        lines(done, 100, "x")

    assert shown(stream) == [Progress(done=done, total=100, note="x") for done in (1, 11, 21)]


def test_the_last_line_always_comes_and_comes_once() -> None:
    stream = io.StringIO()
    lines = ProgressLines(stream, interval=1.0, clock=FakeTime())
    lines(1, 2)
    lines(2, 2)
    lines(2, 2)

    assert shown(stream) == [Progress(done=1, total=2), Progress(done=2, total=2)]


def test_a_reader_that_went_away_does_not_end_a_measurement() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    stream = os.fdopen(write_end, "w")
    lines = ProgressLines(stream, interval=0.0)
    lines(1, 3)
    lines(2, 3)  # silent by now
    with suppress(OSError):
        stream.close()  # flushes what is left


def test_no_stdout_at_all_is_no_error() -> None:
    ProgressLines(None)(1, 1)


def test_a_closed_stdout_is_no_error() -> None:
    stream = io.StringIO()
    stream.close()
    ProgressLines(stream)(1, 1)
