"""What a matrix must keep beyond the types of its values: names that exist, parameters that fit, cells that result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.agent import task as agent_task
from harness.agent.messages import Scalar
from harness.agent.step_counts import PREFIX
from harness.agent.task import Framework, Task
from harness.matrix.document import Document
from harness.matrix.model import FRAMEWORKS, Matrix, Profile, framework_of
from harness.matrix.problems import choices, found
from harness.matrix.tasks import NamedTask, complete, convert, declared, is_match, named_tasks

Params = dict[str, Scalar]


def check_baseline(document: Document, matrix: Matrix) -> None:
    """Raise MatrixError unless the baseline is one of the platforms."""
    if matrix.baseline not in matrix.platforms:
        problem = f"no such platform, found {found(matrix.baseline)}; {choices(matrix.baseline, matrix.platforms)}"
        raise document.error(("baseline",), problem)


def check_stacks(document: Document, matrix: Matrix) -> None:
    """Raise MatrixError unless every stack's name gives its framework, and the framework comes from somewhere."""
    for name, stack in matrix.stacks.items():
        try:
            framework = framework_of(name)
        except ValueError as error:
            raise document.error(("stacks", name), str(error), at_key=True) from error
        if framework != "none" and not (stack.requirements or stack.interpreter):
            problem = f"where {framework} comes from is missing; add requirements or interpreter"
            raise document.error(("stacks", name), problem)


def complete_tasks(document: Document, matrix: Matrix) -> Matrix:
    """Return the matrix with all parameters in every set. Raises MatrixError for what a task doesn't take."""
    tasks = _completed(document, ("tasks",), matrix.tasks)
    profiles = {}
    for name, profile in matrix.profiles.items():
        own = _completed(document, ("profiles", name, "parameters"), profile.parameters)
        profiles[name] = profile.model_copy(update={"parameters": own})
    return matrix.model_copy(update={"tasks": tasks, "profiles": profiles})


def check_profiles(document: Document, matrix: Matrix) -> None:
    """Raise MatrixError unless every pattern of every profile means something and gives cells."""
    for name, profile in matrix.profiles.items():
        _check_own_tasks(document, name, profile, matrix)
        tasks = named_tasks(matrix.tasks_of(profile))
        _check_patterns(document, ("profiles", name, "platforms"), profile.platforms, matrix.platforms)
        _check_patterns(document, ("profiles", name, "stacks"), profile.stacks, matrix.stacks)
        frameworks = _frameworks(profile, matrix)
        for index, pattern in enumerate(profile.tasks):
            problem = _task_problem(pattern, tasks, frameworks)
            if problem:
                raise document.error(("profiles", name, "tasks", index), problem)


def _check_own_tasks(document: Document, name: str, profile: Profile, matrix: Matrix) -> None:
    """A profile's own parameter sets are of tasks that the matrix has and the profile picks."""
    for entry, sets in profile.parameters.items():
        loc = ("profiles", name, "parameters", entry)
        if entry not in matrix.tasks:
            raise document.error(loc, f"no such task; {choices(entry, matrix.tasks)}", at_key=True)
        own = named_tasks({entry: sets})
        if not any(each.matches(pattern) for each in own for pattern in profile.tasks):
            raise document.error(loc, "no task of this profile; add it to tasks, or remove it", at_key=True)


def _completed(
    document: Document, loc: tuple[str, ...], tasks: Mapping[str, Sequence[Params]]
) -> dict[str, list[Params]]:
    return {entry: _complete_sets(document, (*loc, entry), sets) for entry, sets in tasks.items()}


def _complete_sets(document: Document, place: tuple[str, ...], sets: Sequence[Params]) -> list[Params]:
    entry = place[-1]
    task = agent_task.find(entry)
    if entry.startswith(PREFIX):
        problem = "what a step consists of is counted by every run, once; remove it"
        raise document.error(place, problem, at_key=True)
    if task is None:
        problem = f"no such probe or workload; {choices(entry, _relatives(entry))}"
        raise document.error(place, problem, at_key=True)
    completed: list[Params] = []
    for index, params in enumerate(sets):
        loc: tuple[str | int, ...] = (*place, index)
        _check_params(document, loc, params, task)
        everything = complete(params, task.params)
        conflict = task.conflict(everything)
        if conflict:
            raise document.error(loc, conflict)
        if everything in completed:
            raise document.error(loc, f"the same parameters as in set {completed.index(everything) + 1}; remove one")
        completed.append(everything)
    _check_labels(document, place, completed)
    return completed


def _relatives(entry: str) -> list[str]:
    """Return the declared tasks of the entry's family, all where there is no such family."""
    names = declared()
    family = entry.partition(".")[0] + "."
    return [name for name in names if name.startswith(family)] or names


def _check_params(document: Document, loc: tuple[str | int, ...], params: Params, task: Task) -> None:
    for name, value in params.items():
        if name not in task.params:
            raise document.error((*loc, name), f"unknown parameter; {choices(name, task.params)}", at_key=True)
        try:
            converted = convert(value, task.params[name])
        except ValueError as error:
            raise document.error((*loc, name), f"{error}, found {found(value)}") from error
        expected = task.refusal(name, converted)
        if expected:
            raise document.error((*loc, name), f"{expected}, found {found(value)}")


def _check_labels(document: Document, place: tuple[str, ...], sets: Sequence[Params]) -> None:
    """The values by which sets differ name the tasks (`label`), so no two sets may come to the same name."""
    names = [task.name for task in named_tasks({place[-1]: sets})]
    for index, name in enumerate(names):
        if name in names[:index]:
            problem = f"the values by which it differs from set {names.index(name) + 1} make the same name, {name}"
            raise document.error((*place, index), f"{problem}; change one of them")


def _check_patterns(
    document: Document, loc: tuple[str, ...], patterns: Sequence[str] | None, names: Iterable[str]
) -> None:
    for index, pattern in enumerate(patterns or ()):
        if not any(is_match(name, pattern) for name in names):
            raise document.error((*loc, index), f"{found(pattern)} matches nothing; {choices(pattern, names)}")


def _frameworks(profile: Profile, matrix: Matrix) -> set[Framework]:
    patterns = profile.stacks or ["*"]
    return {framework_of(name) for name in matrix.stacks if any(is_match(name, each) for each in patterns)}


def _task_problem(pattern: str, tasks: Sequence[NamedTask], frameworks: set[Framework]) -> str:
    """Return why a profile's pattern gives no cell, empty if it gives some."""
    matching = [task for task in tasks if task.matches(pattern)]
    if not matching:
        return f"{found(pattern)} matches no task; {choices(pattern, [task.name for task in tasks])}"
    needed = {name for each in matching if (task := agent_task.find(each.entry)) for name in task.frameworks}
    if needed & frameworks:
        return ""
    stacks = [prefix for prefix, framework in FRAMEWORKS.items() if framework in needed]
    return f"{found(pattern)} needs a stack of {' or '.join(stacks)}; add it to stacks"
