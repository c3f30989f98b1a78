"""Checked matrix and command line → the cells of one profile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.agent import task as agent_task
from harness.agent.step_counts import PREFIX
from harness.agent.task import Task
from harness.errors import UsageError
from harness.matrix.cells import Cell
from harness.matrix.model import Matrix, Profile, framework_of
from harness.matrix.problems import choices
from harness.matrix.tasks import NamedTask, is_match, named_tasks


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What one run executes: a profile and its cells, the baseline's first; behind them those that run once."""

    profile_name: str
    profile: Profile
    cells: tuple[Cell, ...]


def expand(
    matrix: Matrix,
    profile_name: str | None = None,
    *,
    platforms: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
    gpu: bool,
) -> Plan:
    """Return the cells of a profile (the first by default); `platforms` and `tasks` are globs in place of its own.

    A task pairs with every stack of its frameworks. The baseline is always there, in two arms. A task that needs a
    GPU is expanded without one too: its platform says that it is unavailable. For each workload that can be traced
    there is a cell on the baseline that counts what a step consists of. Raises UsageError, naming what exists, for a
    profile, platform or task that there is not.
    """
    name, profile = _profile(matrix, profile_name)
    arms = _arms(matrix, _platforms(matrix, profile, platforms))
    stacks = [each for each in matrix.stacks if _any_match(each, profile.stacks)]
    cells = tuple(
        Cell(
            platform=platform,
            stack=stack,
            task=named.name,
            entry=named.entry,
            params=named.params,
            device=_device(task, gpu=gpu),
            arm=arm,
        )
        for platform, arm in arms
        for named, task in _tasks(matrix, profile, tasks)
        for stack in stacks
        if framework_of(stack) in task.frameworks
    )
    if not cells:
        wanted = ", ".join(tasks or profile.tasks)
        raise UsageError(
            f"profile {name}: no stack for {wanted}; its stacks: {', '.join(stacks)}",
            "Choose another profile with --profile.",
        )
    return Plan(profile_name=name, profile=profile, cells=(*cells, *_counting(cells, matrix.baseline)))


def _counting(cells: Sequence[Cell], baseline: str) -> Iterator[Cell]:
    """Yield the cells that count: those of the workloads of the baseline's first arm, traced."""
    for cell in cells:
        entry = PREFIX + cell.entry
        if cell.arm_name == baseline and agent_task.find(entry) is not None:
            yield replace(cell, task=PREFIX + cell.task, entry=entry)


def _profile(matrix: Matrix, name: str | None) -> tuple[str, Profile]:
    if name is None:
        return next(iter(matrix.profiles.items()))
    if name not in matrix.profiles:
        raise UsageError(f"--profile {name}: no such profile; {choices(name, matrix.profiles)}")
    return name, matrix.profiles[name]


def _platforms(matrix: Matrix, profile: Profile, wanted: Sequence[str] | None) -> list[str]:
    for pattern in wanted or ():
        if not _any_match_of(matrix.platforms, pattern):
            raise UsageError(f"--platform {pattern}: no such platform; {choices(pattern, matrix.platforms)}")
    return [name for name in matrix.platforms if _any_match(name, wanted or profile.platforms)]


def _arms(matrix: Matrix, platforms: Iterable[str]) -> list[tuple[str, int]]:
    others = [(name, 1) for name in platforms if name != matrix.baseline]
    return [(matrix.baseline, 1), (matrix.baseline, 2), *others]


def _tasks(matrix: Matrix, profile: Profile, wanted: Sequence[str] | None) -> Iterator[tuple[NamedTask, Task]]:
    available = named_tasks(matrix.tasks_of(profile))
    for pattern in wanted or ():
        if not any(named.matches(pattern) for named in available):
            names = [named.name for named in available]
            raise UsageError(f"--task {pattern}: no such task; {choices(pattern, names)}")
    for named in available:
        if any(named.matches(pattern) for pattern in wanted or profile.tasks):
            yield named, _declaration(named)


def _declaration(named: NamedTask) -> Task:
    task = agent_task.find(named.entry)
    if task is None:
        raise UsageError(f"task {named.entry}: no such probe or workload")
    return task


def _device(task: Task, *, gpu: bool) -> str:
    on_gpu = "cuda" in task.devices and (gpu or "cpu" not in task.devices)
    return "cuda:0" if on_gpu else "cpu"


def _any_match(name: str, patterns: Sequence[str] | None) -> bool:
    return patterns is None or any(is_match(name, pattern) for pattern in patterns)


def _any_match_of(names: Iterable[str], pattern: str) -> bool:
    return any(is_match(name, pattern) for name in names)
