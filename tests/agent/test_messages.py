from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.agent.messages import (
    STATUSES,
    CellResult,
    CellSpec,
    Location,
    MessageError,
    Metric,
    Progress,
    read_json,
    to_json,
    write_json,
)
from tests.agent.systems import not_on_windows

TEXT = st.text(max_size=20)
COUNT = st.integers(0, 2**53)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.dictionaries(TEXT, st.one_of(TEXT, st.integers(-(2**53), 2**53), FINITE, st.booleans()), max_size=4)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)

SPECS = st.builds(
    CellSpec,
    cell=TEXT,
    platform=TEXT,
    stack=TEXT,
    task=TEXT,
    entry=TEXT,
    params=SCALARS,
    device=TEXT,
    block=COUNT,
    attempt=COUNT,
    seed=COUNT,
    locations=st.lists(st.builds(Location, name=TEXT, path=TEXT), max_size=3).map(tuple),
    resources=st.dictionaries(TEXT, TEXT, max_size=3),
    protocol=st.just(1),
)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    samples = tuple(draw(st.lists(FINITE, max_size=10)))
    return Metric(
        name=draw(TEXT),
        unit=draw(TEXT),
        better=draw(st.sampled_from(("lower", "higher"))),
        samples=samples,
        warmup=draw(st.integers(0, len(samples))),
        dims=draw(SCALARS),
    )


RESULTS = st.builds(
    CellResult,
    cell=TEXT,
    platform=TEXT,
    stack=TEXT,
    task=TEXT,
    params=SCALARS,
    device=TEXT,
    block=COUNT,
    attempt=COUNT,
    status=st.sampled_from(STATUSES),
    reason=st.text(min_size=1, max_size=20),
    metrics=st.lists(metrics(), max_size=3).map(tuple),
    telemetry=st.dictionaries(TEXT, st.dictionaries(TEXT, FINITE, max_size=2), max_size=2),
    versions=st.dictionaries(TEXT, TEXT, max_size=3),
    warnings=st.lists(TEXT, max_size=3).map(tuple),
    schema=st.just(1),
)

SPEC: dict[str, Any] = {
    "cell": "native/driver/x.y",
    "platform": "native",
    "stack": "driver",
    "task": "x.y",
    "entry": "x.y",
    "params": {},
    "device": "cpu",
    "block": 1,
    "attempt": 1,
    "seed": 0,
    "locations": [],
    "resources": {},
    "protocol": 1,
}
METRIC: dict[str, Any] = {
    "name": "m",
    "unit": "s",
    "better": "lower",
    "samples": [1.0, 2.0],
    "warmup": 1,
    "dims": {},
}
RESULT: dict[str, Any] = {
    **{name: SPEC[name] for name in ("cell", "platform", "stack", "task", "params", "device", "block", "attempt")},
    "status": "ok",
    "reason": "",
    "metrics": [METRIC],
    "telemetry": {},
    "versions": {},
    "warnings": [],
    "schema": 1,
}


def through_json(data: object) -> object:
    return json.loads(json.dumps(data, allow_nan=False))


@given(SPECS)
def test_a_spec_survives_json(spec: CellSpec) -> None:
    assert CellSpec.from_json(through_json(to_json(spec))) == spec


@given(RESULTS)
def test_a_result_survives_json(result: CellResult) -> None:
    assert CellResult.from_json(through_json(to_json(result))) == result


@pytest.mark.parametrize("kind", [CellSpec, CellResult, Metric])
@given(data=JSON)
def test_anything_else_is_a_message_error(kind: type[CellSpec | CellResult | Metric], data: object) -> None:
    with pytest.raises(MessageError):
        kind.from_json(data)


@pytest.mark.parametrize(
    ("kind", "whole"), [(CellSpec, SPEC), (CellResult, RESULT), (Metric, METRIC)], ids=["spec", "result", "metric"]
)
@given(data=st.data())
@example(data=None)
def test_one_field_replaced_is_read_or_refused_but_never_crashes(
    kind: type[CellSpec | CellResult | Metric], whole: dict[str, Any], data: st.DataObject | None
) -> None:
    kind.from_json(whole)
    if data is None:
        return
    name = data.draw(st.sampled_from(sorted(whole)))
    broken = {**whole, name: data.draw(JSON | st.just(10**400))}
    with suppress(MessageError):
        assert isinstance(kind.from_json(broken), kind)


@pytest.mark.parametrize("name", sorted(SPEC))
def test_a_spec_needs_every_field(name: str) -> None:
    with pytest.raises(MessageError, match=name):
        CellSpec.from_json({key: value for key, value in SPEC.items() if key != name})


@pytest.mark.parametrize("name", sorted(RESULT))
def test_a_result_needs_every_field(name: str) -> None:
    with pytest.raises(MessageError, match=name):
        CellResult.from_json({key: value for key, value in RESULT.items() if key != name})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"samples": [1.0, float("nan")]}, "finite"),
        ({"samples": [float("inf")], "warmup": 0}, "finite"),
        ({"samples": [10**400], "warmup": 0}, "finite"),
        ({"samples": [True], "warmup": 0}, "finite"),
        ({"samples": ["1"], "warmup": 0}, "finite"),
        ({"warmup": 3}, "warmup 3 of 2 samples"),
        ({"warmup": -1}, "0 or more"),
        ({"better": "faster"}, "neither"),
        ({"dims": {"size": None}}, "dims.size"),
    ],
)
def test_a_metric_is_checked(change: dict[str, Any], says: str) -> None:
    with pytest.raises(MessageError, match=says):
        Metric.from_json({**METRIC, **change})


def test_another_protocol_is_refused() -> None:
    with pytest.raises(MessageError, match="protocol 2, this agent speaks 1"):
        CellSpec.from_json({**SPEC, "protocol": 2})


def test_every_status_but_ok_has_a_reason() -> None:
    CellResult.from_json(RESULT)
    for status in STATUSES[1:]:
        with pytest.raises(MessageError, match="without a reason"):
            CellResult.from_json({**RESULT, "status": status})


@given(done=COUNT, total=COUNT, note=TEXT)
def test_progress_survives_its_line(done: int, total: int, note: str) -> None:
    progress = Progress(done=done, total=total, note=note)
    line = progress.line()

    assert "\n" not in line
    assert Progress.from_line(line) == progress


@given(st.text() | JSON.map(lambda data: json.dumps({"overhead_matrix": "progress", "done": data, "total": 1})))
@example('{"overhead_matrix": "progress", "done": Infinity, "total": 1}')
@example('{"overhead_matrix": ' + "[" * 100_000)
def test_ordinary_output_is_no_progress_or_a_whole_one(line: str) -> None:
    progress = Progress.from_line(line)
    assert progress is None or isinstance(progress.done, int)


@given(data=JSON)
def test_what_was_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, data: object) -> None:
    path = tmp_path_factory.getbasetemp() / "message.json"
    try:
        text = json.dumps(data, allow_nan=False)
    except ValueError:
        with pytest.raises(ValueError, match="JSON compliant"):
            write_json(path, data)
        return
    write_json(path, data)
    assert read_json(path) == json.loads(text)


@not_on_windows("its file names are no bytes")
def test_a_file_name_that_is_not_utf8_loses_no_result(tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", {"reason": os.fsdecode(b"/data/\xff")})

    assert read_json(tmp_path / "result.json") == {"reason": "/data/\udcff"}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"nothing"])
def test_what_is_not_json_is_a_message_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spec.json").write_bytes(content)

    with pytest.raises(MessageError, match=r"spec\.json is not JSON"):
        read_json(tmp_path / "spec.json")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "result.json"
    write_json(path, "old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_json(path, "new")

    assert read_json(path) == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_before_the_file_is_whole_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, "old")
    dies = (
        "import os, sys; from harness.agent.messages import write_json;"
        "os.fsync = lambda descriptor: os._exit(9);"
        "write_json(sys.argv[1], 'new')"
    )
    ended = subprocess.run([sys.executable, "-c", dies, str(path)], check=False)

    assert ended.returncode == 9
    assert read_json(path) == "old"
