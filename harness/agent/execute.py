"""From a specification to a result: find the task, check what it needs, run it, and never lose why it did not."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.agent import oom, versions
from harness.agent.messages import CellResult, CellSpec, MessageError, Scalar, Status, to_json
from harness.agent.privacy import without_person
from harness.agent.task import Context, Outcome, Task, Unavailable, Unsupported, find
from harness.agent.telemetry.marks import warnings
from harness.agent.telemetry.recorder import Recorder
from harness.agent.telemetry.timed import gpu_metrics, gpu_warnings

SAMPLED_SECONDS = 2.0  # tasks that are declared to last this long are sampled; the start would cost shorter ones more
TENSORFLOW_OOM = "OOM when allocating"
OOM_TEXT = 300  # characters: frameworks add pages of advice

Progress = Callable[[int, int, str], None]


class _WrongSpecError(Exception):
    """The specification asks for something that is not declared."""


def execute(spec: CellSpec, progress: Progress) -> CellResult:
    """Run the cell's task in this process and return its result, whatever happens.

    Ctrl-C ends the task with the status `interrupted`; nothing is raised.
    """
    recorder = Recorder()
    software: Mapping[str, str] = {}
    try:
        task = _found(spec)
        context = Context(spec=spec, params=fill_in(task, spec), progress=progress)
        _check_supported(task, context)
        started = time.perf_counter()
        if task.seconds >= SAMPLED_SECONDS or spec.device != "cpu":
            recorder.watch(spec.device)
        software = versions.collect()
        recorder.begin()
        upkeep = time.perf_counter() - started
        outcome = task.run(replace(context, sampler=recorder.process, upkeep_seconds=upkeep))
        return _checked(spec, outcome, recorder.end(outcome.timed), software)
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # the cell's boundary: a failure is a result
        status, reason = _verdict(error)
        record = recorder.end()
        return CellResult.of(spec, status, reason, telemetry=record, versions=software or versions.collect())


def _found(spec: CellSpec) -> Task:
    """Return the task, or raise the error that says why it cannot run here."""
    task = find(spec.entry)
    if task is None:
        msg = f"no task is called {spec.entry!r}"
        raise _WrongSpecError(msg)
    _check_device(task, spec)
    _check_resources(task, spec)
    return task


def fill_in(task: Task, spec: CellSpec) -> Mapping[str, Scalar]:
    """Return the task's parameters: the defaults, overridden by the specification.

    Raises an error that names the parameter if the task does not declare it, its default has another type, or the value
    is beyond its limits, or if parameters don't go together.
    """
    for name, value in spec.params.items():
        if name not in task.params:
            takes = ", ".join(sorted(task.params)) or "none"
            msg = f"{spec.entry}: unknown parameter {name!r}, it takes: {takes}"
            raise _WrongSpecError(msg)
        default = task.params[name]
        if type(value) is not type(default) and not (isinstance(default, float) and type(value) is int):
            msg = f"{spec.entry}: parameter {name}: {type(default).__name__} is expected, not {value!r}"
            raise _WrongSpecError(msg)
        expected = task.refusal(name, value)
        if expected:
            msg = f"{spec.entry}: parameter {name}: {expected}, not {value!r}"
            raise _WrongSpecError(msg)
    params = {**task.params, **spec.params}
    conflict = task.conflict(params)
    if conflict:
        raise _WrongSpecError(f"{spec.entry}: {conflict}")
    return params


def _check_device(task: Task, spec: CellSpec) -> None:
    if spec.device.partition(":")[0] not in task.devices:
        msg = f"{spec.entry} runs on {' or '.join(task.devices)}, not on {spec.device}"
        raise Unsupported(msg)


def _check_supported(task: Task, context: Context) -> None:
    if refusal := task.unsupported(context.spec.device, context.params):
        raise Unsupported(refusal)


def _check_resources(task: Task, spec: CellSpec) -> None:
    for name in task.resources:
        path = spec.resources.get(name)
        if path is None:
            msg = f"{spec.entry} needs the resource {name!r}, which this run was not given"
            raise Unavailable(msg)
        if not Path(path).exists():
            msg = f"{spec.entry} needs the resource {name!r}, which is not at {path}"
            raise Unavailable(msg)


def _checked(spec: CellSpec, outcome: Outcome, record: Mapping[str, Any], software: Mapping[str, str]) -> CellResult:
    """Build the result; raise MessageError if the task broke the format: a value that is not finite, none at all."""
    if outcome.status == "ok" and not outcome.metrics:
        msg = "the task measured nothing"
        raise MessageError(msg)
    result = CellResult.of(
        spec,
        outcome.status,
        without_person(one_line(outcome.reason)),
        metrics=(*outcome.metrics, *gpu_metrics(record, outcome.timed)),
        telemetry=record,
        versions={**software, **{name: str(value) for name, value in outcome.versions.items()}},
        warnings=tuple(
            without_person(one_line(warning))
            for warning in (*outcome.warnings, *warnings(record["marks"]), *gpu_warnings(record))
        ),
    )
    return CellResult.from_json(to_json(result))


def _verdict(error: BaseException) -> tuple[Status, str]:
    """Return the status and reason that an exception stands for; print the traceback of one that nobody foresaw."""
    text = without_person(one_line(str(error)))
    match error:
        case Unsupported():
            return "unsupported", text or "the task does not say why"
        case Unavailable():
            return "unavailable", text or "the task does not say what is missing"
        case _ if oom.is_lack(error) or oom.is_killed_worker(error):
            return "oom", _lack(error, text)
        case KeyboardInterrupt():
            return "interrupted", "stopped by a signal before it was done"
        case _WrongSpecError():
            return "failed", text
        case _:
            _log_traceback(error)
            return "failed", f"{type(error).__name__}: {text}" if text else type(error).__name__


def _lack(error: BaseException, text: str) -> str:
    if oom.is_killed_worker(error):
        return f"{oom.WORKER_WAS_KILLED}: lower the batch or the workers, or give the platform more memory"
    advice = ": lower the batch, or give the platform more memory" if text else ""
    return f"{_without_graph(text)[:OOM_TEXT] or 'the process ran out of memory'}{advice}"


def _without_graph(text: str) -> str:
    """Return what TensorFlow says of memory without where the graph was made, which comes first, and without hints."""
    _, said, rest = text.partition(TENSORFLOW_OOM)
    return said + rest.partition(" Hint: ")[0] if said else text


def _log_traceback(error: BaseException) -> None:
    """Write the traceback to stderr; a log that cannot be written must not cost the result."""
    text = without_person("".join(traceback.format_exception(error)))
    with suppress(OSError, ValueError):
        sys.stderr.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def one_line(text: str) -> str:
    """Return the text without line breaks and without what UTF-8 cannot carry."""
    return " ".join(text.encode("utf-8", "backslashreplace").decode("utf-8").split())
