"""Tasks as matrix.yaml names them: an entry, its parameter sets, and the full name of each."""

from __future__ import annotations

import math
import pkgutil
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.agent import probes, workloads
from harness.agent.messages import Scalar
from harness.agent.privacy import without_person
from harness.agent.step_counts import PREFIX
from harness.agent.task import declarations
from harness.matrix import units

NOT_IN_LABEL = re.compile(r"[^A-Za-z0-9._+-]+")
MOST_LABEL = 64  # characters
"""A value that tells parameter sets apart stands in the task's name, so in cell ids and file names."""


@dataclass(frozen=True, kw_only=True)
class NamedTask:
    """One task: `name` is `tf_cnn.resnet50[batch_size=64]` where `entry` has several parameter sets."""

    entry: str
    name: str
    params: Mapping[str, Scalar]

    def matches(self, pattern: str) -> bool:
        """Whether a glob means this task: by its full name, or by its entry for all parameter sets."""
        return any(is_match(name, pattern) for name in (self.name, self.entry))


def is_match(name: str, pattern: str) -> bool:
    """Whether a glob means the name; a name always means itself, brackets and all."""
    return name == pattern or fnmatchcase(name, pattern)


def named_tasks(tasks: Mapping[str, Sequence[Mapping[str, Scalar]]]) -> tuple[NamedTask, ...]:
    """Return one task for every parameter set, in the file's order."""
    return tuple(
        NamedTask(entry=entry, name=_full_name(entry, params, differing_keys(sets)), params=dict(params))
        for entry, sets in tasks.items()
        for params in sets
    )


def differing_keys(sets: Sequence[Mapping[str, Scalar]]) -> list[str]:
    """Return the parameters whose values differ between the sets, in the order of their first appearance."""
    keys = dict.fromkeys(key for params in sets for key in params)
    return [key for key in keys if len({repr(params.get(key)) for params in sets}) > 1]


def complete(params: Mapping[str, Scalar], defaults: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return all parameters of a task, those not given at their defaults. Raises ValueError (see `convert`)."""
    return {name: convert(params[name], default) if name in params else default for name, default in defaults.items()}


def convert(value: Scalar, default: Scalar) -> Scalar:
    """Return a parameter in the type of its default. Raises ValueError with what is expected."""
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise ValueError("true or false is expected")
    if isinstance(default, int):
        return units.size(value)
    if isinstance(default, float):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _finite(value)
        raise ValueError("a number is expected")
    if isinstance(value, str):
        return value
    raise ValueError("a text is expected; put it in quotes")


def declared() -> list[str]:
    """Return the names of all probes and workloads there are, but for those that every run adds by itself."""
    return sorted(
        name
        for package in (probes, workloads)
        for module in pkgutil.iter_modules(package.__path__)
        for name in declarations(f"{package.__name__.rpartition('.')[2]}.{module.name}")
        if not name.startswith(PREFIX)
    )


def _finite(value: float) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError("a finite number is expected")
    return number


def _full_name(entry: str, params: Mapping[str, Scalar], keys: Iterable[str]) -> str:
    labels = [f"{key}={label(params[key])}" for key in keys if key in params]
    return f"{entry}[{','.join(labels)}]" if labels else entry


def label(value: Scalar) -> str:
    """Return a value as a task's name shows it: of a path `/data/imagenet` it is `data-imagenet`, of no text `none`.

    The user's home and name are left out: a task's name is in every bundle and report.
    """
    text = str(value).lower() if isinstance(value, bool) else without_person(str(value))
    return NOT_IN_LABEL.sub("-", text).strip("-")[-MOST_LABEL:] or "none"
