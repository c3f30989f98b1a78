"""What a probe or workload declares about itself, and what it is handed when it runs.

A module of probes (`probes/driver.py`) or workloads (`workloads/tf_cnn.py`) has one constant, `TASKS`: a mapping from
the name behind the dot (`syscall`) to a `Task`. A probe with a module of its own (`probes/storage_checkpoint.py`) has
`TASK`, and the module's name is its own (`storage.checkpoint`). The controller reads the declarations to check
matrix.yaml and to plan; only the agent calls `run`. So a module's top level imports the standard library alone;
frameworks are imported inside `run`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Literal

from harness.agent.messages import CellSpec, Metric, Scalar, Status

Framework = Literal["none", "torch", "tensorflow"]
DeviceKind = Literal["cpu", "cuda"]
WARM_UP = frozenset({"warmup", "num_warmup_batches"})
GPU_GAIN = 50.0  # of a workload over 2 CPU cores: a guess for the plan, nobody has timed both
SEVERAL = (2.0, math.inf)  # limits of a factor by which sizes grow


class Unsupported(Exception):  # noqa: N818 - an outcome, not an error
    """The platform (or the workload upstream) can't do this; the text says why and what to do instead."""


class Unavailable(Exception):  # noqa: N818 - an outcome, not an error
    """This host lacks what the task needs; the text says what and how to get it."""


def _no_conflict(_params: Mapping[str, Scalar]) -> str:
    return ""


def _runs_on_all(_device: str, _params: Mapping[str, Scalar]) -> str:
    return ""


@dataclass(frozen=True, kw_only=True)
class Span:
    """The timed part of a workload, by `time.perf_counter`, and how many items (`image`) its own device got done."""

    begin: float
    end: float
    item: str
    done: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a task measured. `limited` carries a reason that gives the limit."""

    metrics: tuple[Metric, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    status: Status = "ok"
    reason: str = ""
    timed: Span | None = None  # of a workload: what the telemetry is summed up over


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a task may use: its specification, its parameters with defaults filled in, and a way to show progress."""

    spec: CellSpec
    params: Mapping[str, Scalar]
    progress: Callable[[int, int, str], None]  # done, total, note
    sampler: int | None = None  # the process of the telemetry, which is none of the task's
    upkeep_seconds: float = 0.0  # of this process's life: what telemetry and the versions took, which is no start

    def integer(self, name: str) -> int:
        """Return a parameter that the declaration gives an int default."""
        return int(self.params[name])

    def number(self, name: str) -> float:
        """Return a parameter that the declaration gives a float default."""
        return float(self.params[name])

    def text(self, name: str) -> str:
        """Return a parameter that the declaration gives a str default."""
        return str(self.params[name])

    def flag(self, name: str) -> bool:
        """Return a parameter that the declaration gives a bool default."""
        return bool(self.params[name])


@dataclass(frozen=True, kw_only=True)
class Task:
    """A probe or workload: what it measures in one sentence, its parameters and their defaults, and its function.

    A parameter's type is that of its default; an int parameter may be written with a unit of bytes (`4KiB`). A number
    lies within `limits`, least and greatest. One without limits there is 1 at least, or above 0 if it is no whole
    number; it may be 0 where its default is, or where it counts what comes before the measurement (WARM_UP). A text is
    one of its `choices`, any if it has none there.
    """

    summary: str
    run: Callable[[Context], Outcome]
    params: Mapping[str, Scalar] = field(default_factory=dict)
    frameworks: tuple[Framework, ...] = ("none",)  # of the stacks that run it, one cell each
    devices: tuple[DeviceKind, ...] = ("cpu",)
    resources: tuple[str, ...] = ()  # names of `CellSpec.resources` without which it is unavailable
    seconds: float = 5.0  # a rough expectation of one invocation with its defaults on 2 CPU cores, for the plan
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    conflict: Callable[[Mapping[str, Scalar]], str] = _no_conflict  # what of all parameters doesn't go together, or ''
    unsupported: Callable[[str, Mapping[str, Scalar]], str] = _runs_on_all
    """Why it can't run on a device (`cuda:0`) with all these parameters, whatever is installed; '' if it can."""
    work: tuple[str, ...] = ()  # names of parameters, numbers, that the time is proportional to

    def refusal(self, name: str, value: Scalar) -> str:
        """Return what is expected of a parameter in place of `value`, which is of its type; empty if it will do."""
        if isinstance(value, str):
            choices = self.choices.get(name, (value,))
            return "" if value in choices else f"one of {', '.join(choices)} is expected"
        if isinstance(value, bool):
            return ""
        if name in self.limits:
            low, high = self.limits[name]
            wanted = f"at least {low:g}" if math.isinf(high) else f"from {low:g} to {high:g}"
            return "" if low <= value <= high else f"a number {wanted} is expected"
        default = self.params[name]
        if name in WARM_UP or default == 0:
            return "" if value >= 0 else "a number at least 0 is expected"
        if isinstance(default, int):
            return "" if value >= 1 else "a number at least 1 is expected"
        return "" if value > 0 else "a number above 0 is expected"

    def expected(self, params: Mapping[str, Scalar], device: str = "cpu") -> float:
        """Return roughly how many seconds one invocation with these parameters takes, on the CPU on 2 cores of it."""
        shares = [float(params.get(name, self.params[name])) / float(self.params[name]) for name in self.work]
        return self.seconds * math.prod(shares) / (GPU_GAIN if shares and device != "cpu" else 1.0)


def find(entry: str) -> Task | None:
    """Return the task that is declared as `family.name`, None if there is none."""
    family, _, name = entry.partition(".")
    own, shared = f"{family}_{name}", family
    for package, module in (("probes", own), ("probes", shared), ("workloads", shared)):
        path = f"{package}.{module}"
        if module.isidentifier() and find_spec(f"harness.agent.{path}") and (task := declarations(path).get(entry)):
            return task
    return None


def declarations(module: str) -> Mapping[str, Task]:
    """Return the tasks that a module of this package declares: none if it needs a package that is not there."""
    try:
        declaring = import_module(f"harness.agent.{module}")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "harness":
            raise
        return {}
    name = module.rpartition(".")[2]
    if task := getattr(declaring, "TASK", None):
        return {name.replace("_", ".", 1): task}
    return {f"{name}.{each}": task for each, task in getattr(declaring, "TASKS", {}).items()}
