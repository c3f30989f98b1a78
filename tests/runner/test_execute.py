from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.agent.messages import CellResult, Progress, to_json, write_json
from harness.errors import Interrupted, PlatformError
from harness.matrix.cells import Cell
from harness.matrix.model import Blocks, Profile
from harness.platforms.base import Availability, Ending, Job
from harness.runner.execute import Execution
from harness.runner.journal import Journal
from tests.runner.fake_platform import FakePlatform, answer


@dataclass
class FakeReporter:
    """A fake: remembers what it is told."""

    said: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)
    plans: list[tuple[int, float]] = field(default_factory=list)

    def starting(self, cell: Cell, block: int, expected: float) -> None:
        """Nothing to remember."""

    def advanced(self, progress: Progress) -> None:
        self.progress.append(progress)

    def finished(self, cell: Cell, result: CellResult, seconds: float) -> None:
        self.statuses.append(result.status)

    def planned(self, invocations: int, seconds: float) -> None:
        self.plans.append((invocations, seconds))

    def say(self, text: str) -> None:
        self.said.append(text)


def cells(tasks: int = 2) -> list[Cell]:
    return [
        Cell(platform=name, stack="driver", task=f"control.t{t}", entry="control.t", params={}, device="cpu", arm=arm)
        for t in range(tasks)
        for name, arm in (("native", 1), ("native", 2), ("docker", 1))
    ]


def execution(
    folder: Path,
    journal: Journal,
    *platforms: FakePlatform,
    blocks: tuple[int, int] = (3, 3),
    precision: float | None = None,
    budget: float | None = None,
    settled: Callable[[Sequence[Cell], int], bool] = lambda _cells, _block: False,
    refused: dict[str, Availability] | None = None,
    once: Sequence[Cell] = (),
) -> Execution:
    there = {platform.name: platform for platform in platforms}
    return Execution(
        run_id="r1",
        cells=[*cells(), *once],
        profile=Profile(
            tasks=["*"], blocks=Blocks(min=blocks[0], max=blocks[1]), precision=precision, budget=budget, timeout=5
        ),
        seed=42,
        platforms=there,
        refused=refused or {},
        resources={},
        journal=journal,
        scratch=folder / "scratch",
        reporter=FakeReporter(),
        settled=settled,
        expected=lambda _cell: 1.0,
    )


def journalled(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def test_every_cell_runs_once_a_block(tmp_path: Path) -> None:
    native, docker = FakePlatform("native"), FakePlatform("docker")
    with Journal(tmp_path) as journal:
        execution(tmp_path, journal, native, docker).run()
    counts = Counter((line["block"], line["cell"]) for line in journalled(tmp_path))
    assert len(counts) == 18
    assert set(counts.values()) == {1}
    assert not (tmp_path / "scratch").exists() or not list((tmp_path / "scratch").iterdir())


def test_ctrl_c_is_recorded_and_resume_runs_the_rest_and_nothing_twice(tmp_path: Path) -> None:
    class Stop:
        calls = 0

        def __call__(self, job: Job) -> Ending:
            self.calls += 1
            if self.calls == 4:
                raise KeyboardInterrupt
            return answer(job)

    script = Stop()
    with (
        Journal(tmp_path, matrix="lab.yaml") as journal,
        pytest.raises(Interrupted, match=r"--resume .* -m lab\.yaml") as caught,
    ):
        execution(tmp_path, journal, FakePlatform("native", script), FakePlatform("docker", script)).run()
    assert caught.value.exit_status == 130
    assert [line["status"] for line in journalled(tmp_path)] == ["ok", "ok", "ok", "interrupted"]
    with Journal(tmp_path) as journal:
        execution(tmp_path, journal, FakePlatform("native"), FakePlatform("docker")).run()
    good = Counter((line["block"], line["cell"]) for line in journalled(tmp_path) if line["status"] == "ok")
    assert len(good) == 18
    assert set(good.values()) == {1}
    (again,) = [line for line in journalled(tmp_path) if line["attempt"] == 2]
    assert again["status"] == "ok"


def test_a_refused_cell_has_one_record_with_its_reason(tmp_path: Path) -> None:
    why = Availability(runnable=False, reason="no engine; start it")
    refused = {cell.id: why for cell in cells() if cell.platform == "docker"}
    docker = FakePlatform("docker")
    with Journal(tmp_path) as journal:
        execution(tmp_path, journal, FakePlatform("native"), docker, refused=refused).run()
    with Journal(tmp_path) as journal:
        execution(tmp_path, journal, FakePlatform("native"), docker, refused=refused).run()
    records = [line for line in journalled(tmp_path) if str(line["cell"]).startswith("docker")]
    assert [(line["status"], line["reason"]) for line in records] == [("unavailable", "no engine; start it")] * 2
    assert docker.launched == []


def test_what_fails_twice_is_given_up_and_what_is_unsupported_at_once(tmp_path: Path) -> None:
    def crash(job: Job) -> Ending:
        return Ending(signal=11)

    def refuse(job: Job) -> Ending:
        write_json(job.result, to_json(CellResult.of(job.spec, "unsupported", "upstream needs tf.contrib")))
        return Ending(exit_code=0)

    native, docker = FakePlatform("native", crash), FakePlatform("docker", refuse)
    with Journal(tmp_path) as journal:
        execution(tmp_path, journal, native, docker, blocks=(5, 5)).run()
    counts = Counter(cell for _, cell in native.launched)
    assert set(counts.values()) == {2}
    assert set(Counter(cell for _, cell in docker.launched).values()) == {1}


def test_a_platform_that_cannot_launch_is_a_failed_cell(tmp_path: Path) -> None:
    def gone(job: Job) -> Ending:
        raise PlatformError("the engine is gone", "Start it")

    with Journal(tmp_path) as journal:
        execution(tmp_path, journal, FakePlatform("native", gone), FakePlatform("docker"), blocks=(1, 1)).run()
    reasons = {line["reason"] for line in journalled(tmp_path) if line["status"] == "failed"}
    assert reasons == {"the engine is gone. Start it"}


def test_a_spent_budget_ends_after_the_smallest_number_of_blocks(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        execution(tmp_path, journal, FakePlatform("native"), FakePlatform("docker"), blocks=(2, 9), budget=1e-9).run()
    assert {line["block"] for line in journalled(tmp_path)} == {1, 2}


def test_a_settled_task_stops_at_a_look_and_the_other_goes_on(tmp_path: Path) -> None:
    asked: list[str] = []

    def settled(which: Sequence[Cell], block: int) -> bool:
        assert block in {5, 8}
        asked.append(which[0].task)
        return which[0].task == "control.t0"

    with Journal(tmp_path) as journal:
        platforms = FakePlatform("native"), FakePlatform("docker")
        execution(tmp_path, journal, *platforms, blocks=(5, 8), precision=0.02, settled=settled).run()
    blocks = {
        task: max(int(str(line["block"])) for line in journalled(tmp_path) if str(line["cell"]).endswith(task))
        for task in ("t0", "t1")
    }
    assert blocks == {"t0": 5, "t1": 8}
    assert asked == ["control.t0", "control.t1", "control.t1"]


def test_progress_reaches_the_reporter(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        work = execution(tmp_path, journal, FakePlatform("native"), FakePlatform("docker"), blocks=(1, 1))
        work.run()
        reporter = work.reporter
        assert isinstance(reporter, FakeReporter)
        assert reporter.progress == [Progress(done=1, total=1, note="faking")] * 6
        assert reporter.plans == [(6, 6.0)]


def test_a_resumed_run_has_no_new_budget(tmp_path: Path) -> None:
    platforms = FakePlatform("native"), FakePlatform("docker")
    with Journal(tmp_path) as journal:
        execution(tmp_path, journal, *platforms, blocks=(1, 1)).run()
        journal.lines[:] = [line.model_copy(update={"seconds": 100.0}) for line in journal.lines]
        execution(tmp_path, journal, *platforms, blocks=(1, 9), budget=500.0).run()
    assert {line["block"] for line in journalled(tmp_path)} == {1}


COUNTING = Cell(
    platform="native", stack="driver", task="counts.a.t[x=1]", entry="counts.a.t", params={"x": 1}, device="cpu"
)


def test_what_runs_once_runs_in_the_first_block_and_is_asked_of_no_rule(tmp_path: Path) -> None:
    asked: list[str] = []

    def settled(which: Sequence[Cell], block: int) -> bool:
        asked.extend(cell.task for cell in which)
        return False

    with Journal(tmp_path) as journal:
        platforms = FakePlatform("native"), FakePlatform("docker")
        work = execution(tmp_path, journal, *platforms, blocks=(2, 2), precision=0.02, settled=settled, once=[COUNTING])
        work.run()
        reporter = work.reporter
    assert [line["block"] for line in journalled(tmp_path) if line["cell"] == COUNTING.id] == [1]
    assert COUNTING.task not in asked
    assert isinstance(reporter, FakeReporter)
    assert reporter.plans == [(13, 13.0), (6, 6.0)]


def test_what_runs_once_is_made_up_for_by_a_resumed_run_and_not_made_twice(tmp_path: Path) -> None:
    def stop(job: Job) -> Ending:
        if job.spec.cell == COUNTING.id:
            raise KeyboardInterrupt
        return answer(job)

    with Journal(tmp_path) as journal, pytest.raises(Interrupted):
        execution(tmp_path, journal, FakePlatform("native", stop), FakePlatform("docker"), once=[COUNTING]).run()
    for _ in range(2):
        with Journal(tmp_path) as journal:
            execution(tmp_path, journal, FakePlatform("native"), FakePlatform("docker"), once=[COUNTING]).run()
    made = [(line["block"], line["status"]) for line in journalled(tmp_path) if line["cell"] == COUNTING.id]
    assert made == [(1, "interrupted"), (1, "ok")]
