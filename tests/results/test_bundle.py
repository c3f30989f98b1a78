"""Bundles: what is read, and what is refused with one line."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.agent.messages import CellResult, Status, to_json
from harness.analysis.analyse import analyse
from harness.analysis.report_json import report_json
from harness.errors import BundleError
from harness.results import bundle, store
from harness.results.bundle import JournalLine, invocation_name, read, read_manifest
from tests.synthetic import SMALL_FILES, write_bundle

Data = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "run", tasks=(SMALL_FILES,), blocks=2, samples=2)


def pack(folder: Path, target: Path, prefix: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, prefix + path.relative_to(folder).as_posix())
    return target


def lines(folder: Path) -> list[Data]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]


def write_lines(folder: Path, records: list[Data]) -> None:
    (folder / "journal.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))


def edit_manifest(folder: Path, change: Callable[[Data], object]) -> None:
    data = json.loads((folder / "run.json").read_text())
    change(data)
    (folder / "run.json").write_text(json.dumps(data))


def edit_first_invocation(folder: Path, change: Callable[[Data], object]) -> None:
    """Change the first invocation and make the journal's digest fit."""
    records = lines(folder)
    path = folder / records[0]["file"]
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))
    records[0]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    write_lines(folder, records)


def append(folder: Path, result: CellResult) -> None:
    name = f"invocations/{invocation_name(result.cell, result.block, result.attempt)}.json"
    raw = json.dumps(to_json(result)).encode()
    (folder / name).write_bytes(raw)
    line = JournalLine(
        block=result.block,
        cell=result.cell,
        attempt=result.attempt,
        status=result.status,
        reason=result.reason,
        started="2026-01-01T00:00:00Z",
        seconds=1.0,
        file=name,
        sha256=hashlib.sha256(raw).hexdigest(),
    )
    with (folder / "journal.jsonl").open("a") as file:
        file.write(json.dumps(line.dump()) + "\n")


def problem(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.isprintable()
    return text


def test_a_folder_is_read(folder: Path) -> None:
    found = read(folder)
    assert found.manifest.run_id == "synthetic"
    assert found.manifest.plan.baseline == "native"
    assert len(found.journal) == len(found.invocations) == 8
    assert found.warnings == ()
    assert found.fingerprint == hashlib.sha256((folder / "journal.jsonl").read_bytes()).hexdigest()


@pytest.mark.parametrize("prefix", ["", "synthetic/"])
def test_a_zip_is_the_same_as_its_folder(folder: Path, tmp_path: Path, prefix: str) -> None:
    assert read(pack(folder, tmp_path / "run.zip", prefix)) == read(folder)


def test_reading_writes_nothing(folder: Path, tmp_path: Path) -> None:
    archive = pack(folder, tmp_path / "run.zip")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    read(folder)
    read(archive)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_the_manifest_is_written_as_it_is_read(folder: Path, tmp_path: Path) -> None:
    manifest = read_manifest(folder)
    bundle.write_manifest(tmp_path, manifest)
    assert json.loads((tmp_path / "run.json").read_text()) == json.loads((folder / "run.json").read_text())
    assert manifest.dump()["schema"] == 1


def test_fields_of_later_versions_are_kept(folder: Path) -> None:
    edit_manifest(folder, lambda data: data.update(weather="rain"))
    assert read_manifest(folder).dump()["weather"] == "rain"


def attempt(number: int, status: Status, cell: str = "docker/driver/driver.spawn") -> CellResult:
    platform, stack, task = cell.split("/")
    return CellResult(
        cell=cell,
        platform=platform,
        stack=stack,
        task=task,
        params={},
        device="cpu",
        block=9,
        attempt=number,
        status=status,
        reason="" if status == "ok" else "because",
    )


@pytest.mark.parametrize(
    ("statuses", "counts"),
    [
        (["ok", "ok"], 2),
        (["ok", "failed"], 1),
        (["failed", "ok", "crashed"], 2),
        (["failed", "crashed"], 2),
    ],
)
def test_the_last_attempt_that_is_ok_counts(folder: Path, statuses: list[Status], counts: int) -> None:
    for number, status in enumerate(statuses, start=1):
        append(folder, attempt(number, status))
    (chosen,) = [result for result in read(folder).invocations if result.block == 9]
    assert chosen.attempt == counts


def test_a_cut_last_line_is_a_warning(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    found = read(folder)
    assert len(found.journal) == 7
    assert "last line is cut" in found.warnings[0]


def test_a_cut_earlier_line_is_an_error(folder: Path) -> None:
    records = (folder / "journal.jsonl").read_text().splitlines()
    records[2] = records[2][:-20]
    (folder / "journal.jsonl").write_text("\n".join(records) + "\n")
    assert "journal.jsonl, line 3: not JSON" in problem(folder)


def test_no_bundle(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    assert "no such bundle" in problem(tmp_path / "absent")
    assert "neither a folder nor a readable zip" in problem(tmp_path / "file")
    assert "run.json is missing" in problem(tmp_path)


@pytest.mark.parametrize("name", ["run.json", "journal.jsonl"])
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{name} is missing" in problem(folder)


def test_a_missing_invocation_is_named(folder: Path) -> None:
    name = lines(folder)[3]["file"]
    (folder / name).unlink()
    assert f"{name} is missing" in problem(folder)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "should be a valid dictionary"),
        (b'{"schema": 2}', "schema 2, this version reads 1"),
        (b'{"schema": NaN}', "NaN is not a number"),
        (b'{"schema": 1e999}', "too large"),
        (b'{"schema": ' + b"9" * 5000 + b"}", "run.json"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a": ' * 40 + b"1" + b"}" * 40, "nested deeper"),
        (rb'{"schema": 1, "run_id": "\ud800"}', "surrogate"),
        (b"\x00" * 10, "not JSON"),
    ],
)
def test_a_manifest_that_is_not_sound(folder: Path, raw: bytes, expected: str) -> None:
    (folder / "run.json").write_bytes(raw)
    text = problem(folder)
    assert "run.json" in text
    assert expected in text


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seed": "1"}, "seed"),
        ({"run_id": "../../etc"}, "run_id"),
        ({"run_id": "a\n"}, "run_id"),
        ({"created": "yesterday"}, "created"),
        ({"created": "2026-01-01T00:00:00"}, "created"),
        ({"platforms": {"native": {"kind": "native"}}}, "platforms.native.available"),
        ({"platforms": {}}, "no platform docker"),
        ({"matrix": {}}, "matrix: baseline"),
        ({"matrix": {"baseline": "native", "looks": [0]}}, "looks.0"),
        ({"matrix": {"baseline": "native", "precision": True}}, "precision"),
        ({"gpus": [1]}, "gpus.0"),
        ({"stacks": {"torch": {"lock_sha256": 1}}}, "stacks.torch: lock_sha256"),
        ({"stacks": {"torch": {"platforms": {"native": 1}}}}, "platforms.native"),
    ],
)
def test_a_manifest_of_the_wrong_form(folder: Path, change: Data, expected: str) -> None:
    edit_manifest(folder, lambda data: data.update(change))
    assert expected in problem(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"block": 0}, "block"),
        ({"block": 10**30}, "block"),
        ({"block": True}, "block"),
        ({"seconds": -1}, "seconds"),
        ({"status": "fine"}, "status"),
        ({"file": "/etc/passwd"}, "not the name of a file inside"),
        ({"file": "../run/run.json"}, "not the name of a file inside"),
        ({"file": "invocations\\x.json"}, "not the name of a file inside"),
        ({"file": "C:/x.json"}, "not the name of a file inside"),
        ({"file": "a\x00b"}, "not the name of a file inside"),
        ({"file": ""}, "not the name of a file inside"),
        ({"file": "invocations"}, "is missing"),
        ({"file": "x" * 5000}, "can't be read"),
        ({"file": "\x1b[31mred\n"}, "is missing"),
        ({"sha256": "0" * 64}, "sha256 differs"),
        ({"cell": "native/driver/other"}, "cell is"),
        ({"block": 7}, "block is"),
        ({"attempt": 7}, "attempt is"),
        ({"status": "failed"}, "status is"),
    ],
)
def test_a_journal_line_of_the_wrong_form(folder: Path, change: Data, expected: str) -> None:
    records = lines(folder)
    records[1].update(change)
    write_lines(folder, records)
    assert expected in problem(folder)


def test_a_line_that_is_there_twice(folder: Path) -> None:
    records = lines(folder)
    write_lines(folder, [*records, records[0]])
    assert "attempt 1 twice" in problem(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda data: data.update(schema=2), "schema 2"),
        (lambda data: data.update(platform="docker-other"), "otherwise"),
        (lambda data: data.update(metrics=data["metrics"] * 2), "twice"),
        (lambda data: data["metrics"][0].update(samples=["1"]), "finite number"),
        (lambda data: data["metrics"][0].update(samples=[10**400]), "samples"),
        (lambda data: data["metrics"][0].update(warmup=99), "warmup 99"),
        (lambda data: data["metrics"][0].update(better="more"), "better"),
        (lambda data: data["metrics"][0].update(dims={"location": [1]}), "dims.location"),
        (lambda data: data.pop("device"), "device"),
        (lambda data: data.update(cell="x" * 10_000), "cell is"),
    ],
)
def test_an_invocation_of_the_wrong_form(folder: Path, change: Callable[[Data], object], expected: str) -> None:
    edit_first_invocation(folder, change)
    text = problem(folder)
    assert expected in text
    assert len(text) < 1000


def test_a_link_out_of_the_bundle(folder: Path, tmp_path: Path) -> None:
    path = folder / lines(folder)[0]["file"]
    outside = tmp_path / "outside.json"
    path.rename(outside)
    path.symlink_to(outside)
    assert "leads out of the bundle" in problem(folder)


def test_a_loop_of_links(folder: Path) -> None:
    path = folder / lines(folder)[0]["file"]
    path.unlink()
    path.symlink_to(path.name)
    assert path.name in problem(folder)


def test_a_file_that_is_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_FILE_BYTES", 100)
    assert "more than" in problem(folder)


def with_entry(folder: Path, target: Path, name: str, *, mode: int = 0o644) -> Path:
    pack(folder, target)
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr(info, "x")
    return target


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "a\\evil", "C:evil", "a//b"])
def test_a_zip_that_would_slip(folder: Path, tmp_path: Path, name: str) -> None:
    archive = with_entry(folder, tmp_path / "run.zip", name)
    assert "not the name of a file inside" in problem(archive)
    assert not list(tmp_path.rglob("evil"))


def test_a_zip_with_a_link(folder: Path, tmp_path: Path) -> None:
    assert "symbolic link" in problem(with_entry(folder, tmp_path / "run.zip", "link", mode=0o120777))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_two_manifests(folder: Path, tmp_path: Path) -> None:
    assert "twice" in problem(with_entry(folder, tmp_path / "run.zip", "run.json"))


def test_a_zip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_TOTAL_BYTES", 10**6)
    with zipfile.ZipFile(tmp_path / "run.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("run.json", b"0" * 10**6)
        archive.writestr("journal.jsonl", b"0" * 10**6)
    assert "unpacks to more than" in problem(tmp_path / "run.zip")


def test_a_zip_of_too_many_files(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_ENTRIES", 3)
    assert "more than 3" in problem(pack(folder, tmp_path / "run.zip"))


def test_a_zip_packed_by_another_method(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "run.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.write(folder / "run.json", "run.json")
    assert "unknown method" in problem(tmp_path / "run.zip")


def test_a_zip_without_a_manifest(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        archive.writestr("a", "b")
    assert "has no run.json" in problem(tmp_path / "run.zip")


def only_bundle_errors(path: Path) -> None:
    """Read what may be anything, and write its report: any error but BundleError fails the test."""
    with suppress(BundleError):
        found = read(path)
        json.dumps(report_json(analyse(found), found), allow_nan=False, ensure_ascii=False).encode()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_never_end_in_a_traceback(folder: Path, tmp_path: Path, data: st.DataObject) -> None:
    work = tmp_path / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder, work)
    path = data.draw(st.sampled_from([work / "run.json", work / "journal.jsonl", work / lines(folder)[0]["file"]]))
    path.write_bytes(damaged(path.read_bytes(), data))
    only_bundle_errors(work)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_flipped_bytes_of_a_zip_never_end_in_a_traceback(folder: Path, tmp_path: Path, data: st.DataObject) -> None:
    archive = pack(folder, tmp_path / "run.zip")
    archive.write_bytes(damaged(archive.read_bytes(), data))
    only_bundle_errors(archive)


def damaged(raw: bytes, data: st.DataObject) -> bytes:
    content = bytearray(raw)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    return bytes(content[: data.draw(st.sampled_from([len(content), len(content) // 2]))])


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=ANY_JSON, data=st.data())
def test_any_value_in_any_field_never_ends_in_a_traceback(
    folder: Path, tmp_path: Path, value: object, data: st.DataObject
) -> None:
    work = tmp_path / "work"
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(folder, work)
    where = data.draw(st.sampled_from(["manifest", "matrix", "journal", "invocation", "metric"]))
    if where in {"manifest", "matrix"}:
        edit_manifest(work, lambda found: replace(found if where == "manifest" else found["matrix"], value, data))
    elif where == "journal":
        records = lines(work)
        replace(records[0], value, data)
        write_lines(work, records)
    else:
        edit_first_invocation(
            work, lambda found: replace(found if where == "invocation" else found["metrics"][0], value, data)
        )
    only_bundle_errors(work)


def replace(record: Data, value: object, data: st.DataObject) -> None:
    record[data.draw(st.sampled_from(sorted(record)))] = value
