"""What controller and agent exchange: a cell's specification in, its result out, both JSON files.

The controller writes a `CellSpec` to a file and starts `python agent.pyz run SPEC RESULT`; the agent writes a
`CellResult` to RESULT (atomically: a reader sees a whole result or none) and progress as JSON lines on stdout
(`Progress`). Whatever else appears on stdout or stderr is log. A result is also what one file of a bundle's
`invocations/` holds, so the field names of `CellResult` and `Metric` are the bundle's format.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args

from harness.agent.files import replace

PROTOCOL = 1
SCHEMA = 1

Status = Literal[
    "ok",  # measured
    "limited",  # works up to a value, which the reason gives
    "unsupported",  # the platform (or the workload upstream) can't
    "unavailable",  # this host lacks it
    "failed",  # the agent reported an error or ended with a non-zero status
    "timeout",
    "crashed",  # ended by a signal
    "oom",  # ended for memory
    "throttled",
    "interrupted",  # the user stopped it
]
STATUSES: tuple[str, ...] = get_args(Status)
Better = Literal["lower", "higher"]
Scalar = Union[str, int, float, bool]  # noqa: UP007 - evaluated at run time, also by Python 3.10


class MessageError(ValueError):
    """A message does not have the agreed form; the text says which field and why."""


@dataclass(frozen=True, kw_only=True)
class Location:
    """A directory that storage probes measure: its name is the metric's `location` dim."""

    name: str
    path: str


@dataclass(frozen=True, kw_only=True)
class CellSpec:
    """One invocation of one cell, as the agent is told it.

    `task` is the task's full name, `storage.small_files[files=2000]`; `entry` is the name without the parameter
    set, `storage.small_files`: the agent looks its probe or workload up by it. `resources` are paths inside the
    platform of what a workload needs (`tf_benchmarks`: a checkout of tensorflow/benchmarks).
    """

    cell: str
    platform: str
    stack: str
    task: str
    entry: str
    params: Mapping[str, Scalar]
    device: str
    block: int
    attempt: int
    seed: int
    locations: tuple[Location, ...] = ()
    resources: Mapping[str, str] = field(default_factory=dict)
    protocol: int = PROTOCOL

    @classmethod
    def from_json(cls, data: object) -> CellSpec:
        """Raise MessageError if a field is missing or of the wrong type, or the protocol is another."""
        record = _record(data, "spec")
        if record.get("protocol") != PROTOCOL:
            msg = f"spec: protocol {record.get('protocol')!r}, this agent speaks {PROTOCOL}"
            raise MessageError(msg)
        return cls(
            cell=_text(record, "cell"),
            platform=_text(record, "platform"),
            stack=_text(record, "stack"),
            task=_text(record, "task"),
            entry=_text(record, "entry"),
            device=_text(record, "device"),
            block=_count(record, "block"),
            attempt=_count(record, "attempt"),
            seed=_count(record, "seed"),
            params=_scalars(record, "params"),
            resources={name: str(path) for name, path in _scalars(record, "resources").items()},
            locations=tuple(
                Location(name=_text(item, "name"), path=_text(item, "path"))
                for item in (_record(each, "locations") for each in _list(record, "locations"))
            ),
        )


@dataclass(frozen=True, kw_only=True)
class Metric:
    """Values of one quantity in the order measured; the first `warmup` of them are warm-up.

    `unit` is `s`, `B/s`, `1/s`, `images/s`, `ratio`, `count`… `better` is what a user wants of the value.
    """

    name: str
    unit: str
    better: Better
    samples: tuple[float, ...]
    warmup: int = 0
    dims: Mapping[str, Scalar] = field(default_factory=dict)

    @classmethod
    def from_json(cls, data: object) -> Metric:
        """Raise MessageError unless every sample is a finite number and `warmup` counts some of them."""
        record = _record(data, "metric")
        name = _text(record, "name")
        samples = _numbers(_list(record, "samples"), f"metric {name}: samples")
        warmup = _count(record, "warmup")
        if warmup > len(samples):
            msg = f"metric {name}: warmup {warmup} of {len(samples)} samples"
            raise MessageError(msg)
        better = _text(record, "better")
        if better not in get_args(Better):
            msg = f"metric {name}: better {better!r} is neither 'lower' nor 'higher'"
            raise MessageError(msg)
        return cls(
            name=name,
            unit=_text(record, "unit"),
            better=better,  # type: ignore[arg-type]  # checked against the literal above
            samples=samples,
            warmup=warmup,
            dims=_scalars(record, "dims"),
        )


@dataclass(frozen=True, kw_only=True)
class CellResult:
    """What one invocation gave: the content of one file in a bundle's `invocations/`."""

    cell: str
    platform: str
    stack: str
    task: str
    params: Mapping[str, Scalar]
    device: str
    block: int
    attempt: int
    status: Status
    reason: str = ""
    metrics: tuple[Metric, ...] = ()
    telemetry: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        """Every status but `ok` carries a reason that a user can act on."""
        if self.status != "ok" and not self.reason:
            msg = f"result of {self.cell}: status {self.status!r} without a reason"
            raise MessageError(msg)

    @classmethod
    def of(
        cls,
        spec: CellSpec,
        status: Status,
        reason: str = "",
        *,
        metrics: tuple[Metric, ...] = (),
        telemetry: Mapping[str, Any] | None = None,
        versions: Mapping[str, str] | None = None,
        warnings: tuple[str, ...] = (),
    ) -> CellResult:
        """Build the result of the invocation that `spec` describes."""
        return cls(
            cell=spec.cell,
            platform=spec.platform,
            stack=spec.stack,
            task=spec.task,
            params=dict(spec.params),
            device=spec.device,
            block=spec.block,
            attempt=spec.attempt,
            status=status,
            reason=reason,
            metrics=metrics,
            telemetry=telemetry or {},
            versions=versions or {},
            warnings=warnings,
        )

    @classmethod
    def from_json(cls, data: object) -> CellResult:
        """Raise MessageError if the data are not a result of this schema."""
        record = _record(data, "result")
        if record.get("schema") != SCHEMA:
            msg = f"result: schema {record.get('schema')!r}, this version reads {SCHEMA}"
            raise MessageError(msg)
        status = _text(record, "status")
        if status not in STATUSES:
            msg = f"result: status {status!r} is none of {', '.join(STATUSES)}"
            raise MessageError(msg)
        return cls(
            cell=_text(record, "cell"),
            platform=_text(record, "platform"),
            stack=_text(record, "stack"),
            task=_text(record, "task"),
            device=_text(record, "device"),
            reason=_text(record, "reason"),
            block=_count(record, "block"),
            attempt=_count(record, "attempt"),
            params=_scalars(record, "params"),
            status=status,  # type: ignore[arg-type]  # checked against the literal above
            metrics=tuple(Metric.from_json(item) for item in _list(record, "metrics")),
            telemetry=_record(record.get("telemetry"), "telemetry"),
            versions={name: str(value) for name, value in _scalars(record, "versions").items()},
            warnings=tuple(str(item) for item in _list(record, "warnings")),
        )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a cell is: `done` of `total` of whatever it counts (samples, steps, files)."""

    done: int
    total: int
    note: str = ""

    def line(self) -> str:
        """Return the stdout line that carries this."""
        return json.dumps({"overhead_matrix": "progress", "done": self.done, "total": self.total, "note": self.note})

    @classmethod
    def from_line(cls, line: str) -> Progress | None:
        """Return the progress that a line of stdout carries, None where it is ordinary output."""
        if not line.startswith('{"overhead_matrix"'):
            return None
        try:
            data = json.loads(line)
            return cls(done=int(data["done"]), total=int(data["total"]), note=str(data.get("note", "")))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None


def to_json(message: CellSpec | CellResult | Metric) -> dict[str, Any]:
    """Return the plain data that `from_json` of the same class reads back."""
    return asdict(message)


def read_json(path: str | Path) -> Any:  # noqa: ANN401 - JSON of unknown shape
    """Read a JSON file; raise MessageError if it is not UTF-8 JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        msg = f"{Path(path).name} is not JSON: {error}"
        raise MessageError(msg) from error


def write_json(path: str | Path, data: object) -> None:
    """Write JSON so that a reader sees the whole file or none: temporary file, fsync, replace.

    Raises ValueError for NaN and infinities (JSON has none) and OSError as the file system does.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    text = json.dumps(data, allow_nan=False)  # ASCII: a lone surrogate out of a file name must not lose a result
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        replace(partial, path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _record(data: object, what: str) -> dict[str, Any]:
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        msg = f"{what}: an object is expected, not {type(data).__name__}"
        raise MessageError(msg)
    return data


def _list(record: dict[str, Any], name: str) -> list[Any]:
    value = record.get(name)
    if not isinstance(value, (list, tuple)):
        msg = f"{name}: a list is expected, not {type(value).__name__}"
        raise MessageError(msg)
    return list(value)


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        msg = f"{name}: a text is expected, not {type(value).__name__}"
        raise MessageError(msg)
    return value


def _count(record: dict[str, Any], name: str) -> int:
    value = record.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        msg = f"{name}: a whole number of 0 or more is expected, not {value!r}"
        raise MessageError(msg)
    return value


def _numbers(values: list[Any], what: str) -> tuple[float, ...]:
    """Check each value; the usual case, finite floats and nothing else, without a call for each of a million."""
    if all(type(value) is float for value in values) and all(map(math.isfinite, values)):
        return tuple(values)
    return tuple(_number(value, what) for value in values)


def _number(value: object, what: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        with suppress(OverflowError):  # an int beyond the largest float
            if math.isfinite(number := float(value)):
                return number
    msg = f"{what}: a finite number is expected, not {value!r}"
    raise MessageError(msg)


def _scalars(record: dict[str, Any], name: str) -> dict[str, Scalar]:
    value = _record(record.get(name), name)
    for key, item in value.items():
        if not isinstance(item, (str, int, float, bool)) or (isinstance(item, float) and not math.isfinite(item)):
            msg = f"{name}.{key}: a text, number or truth value is expected, not {item!r}"
            raise MessageError(msg)
    return value
