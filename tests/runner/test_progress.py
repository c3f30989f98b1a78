"""The time left: reckoned by the run, within its budget, and shown from the moment that its first block begins."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from harness.agent.messages import CellResult
from harness.runner.journal import Journal
from harness.runner.progress import RunProgress, _Left, duration
from tests.runner.fake_platform import FakePlatform
from tests.runner.test_execute import FakeReporter, cells, execution


def plans(folder: Path, blocks: tuple[int, int], budget: float | None) -> list[tuple[int, float]]:
    """What a run of six cells, each expected to take a second, says of the time left before each block."""
    with Journal(folder) as journal:
        made = execution(folder, journal, FakePlatform("native"), FakePlatform("docker"), blocks=blocks, budget=budget)
        made.run()
    assert isinstance(made.reporter, FakeReporter)
    return made.reporter.plans


@pytest.mark.parametrize(
    ("budget", "first"),
    [
        (None, 72.0),  # all twelve blocks
        (1000.0, 72.0),
        (40.0, 46.0),  # the last block begins within the budget, and is finished
        (0.001, 30.0),  # the five that are run whatever they take
    ],
)
def test_the_time_left_is_that_of_the_budget_and_of_the_least_blocks(
    tmp_path: Path, budget: float | None, first: float
) -> None:
    invocations, seconds = plans(tmp_path, (5, 12), budget)[0]
    assert invocations == 12 * len(cells())
    assert seconds == pytest.approx(first, abs=0.5)


def test_a_spent_budget_still_leaves_the_least_blocks(tmp_path: Path) -> None:
    assert [seconds for _, seconds in plans(tmp_path, (3, 12), 0.001)] == [18.0, 12.0, 6.0]


def test_a_resumed_run_has_what_is_left_of_its_budget(tmp_path: Path) -> None:
    """Half of a block was done, and took 30 of the 40 seconds."""
    with Journal(tmp_path) as journal:
        begun = execution(tmp_path, journal, FakePlatform("native"), FakePlatform("docker"), budget=40.0)
        for cell in cells()[:3]:
            result = CellResult.of(begun._spec(cell, 1), "ok")
            journal.append(result, started="2026-01-01T00:00:00+00:00", seconds=10.0)
    invocations, seconds = plans(tmp_path, (1, 12), 40.0)[0]
    assert invocations == 3 + 11 * len(cells())
    assert seconds == pytest.approx(10.0 + 6.0, abs=0.5)


def test_making_ready_takes_nothing_of_the_time_that_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reporter is there before wheels and images are made; the time left begins with the first block."""
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with RunProgress(console) as shown:
        now += 600
        shown.planned(10, 410.0)
        now += 10
        (task,) = shown._bar.tasks
        (left,) = (column for column in shown._bar.columns if isinstance(column, _Left))
        assert str(left.render(task)) == "at most 6 min 40 s left"
        now += 1000
        assert str(left.render(task)) == "at most 0 s left"


def test_durations() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.4, 60, 185)] == ["0 s", "59 s", "1 min 00 s", "3 min 05 s"]
