"""`export`: every sample once with its value, in formats that other tools really read."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.messages import CellResult, Metric, Scalar
from harness.cli import main
from harness.errors import ResultsError, UsageError
from harness.export import export as exporting
from harness.export.export import export, markdown
from harness.export.pyperf import suites
from harness.export.samples import column, samples
from harness.results.bundle import Bundle, read
from tests.synthetic import write_bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("export") / "bundle"
    return write_bundle(target, platforms={"docker": 1.03, "docker-half": 2.0}, blocks=5, samples=6)


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return read(folder)


def rows_of(bundle: Bundle) -> list[tuple[object, ...]]:
    """Every sample of the attempts that count, told by itself."""
    return [
        (result.cell, result.block, result.attempt, metric.name, dict(metric.dims), index, index < metric.warmup, value)
        for result in bundle.invocations
        for metric in result.metrics
        for index, value in enumerate(metric.samples)
    ]


def rows_in(table: pd.DataFrame) -> list[tuple[object, ...]]:
    """The same, out of an exported table."""
    found: list[tuple[object, ...]] = []
    for row in table.to_dict("records"):
        arm = "@2" if row["arm"] == 2 else ""
        cell = f"{row['platform']}{arm}/{row['stack']}/{row['task']}"
        dims = {str(k).removeprefix("dim_"): v for k, v in row.items() if str(k).startswith("dim_") and not pd.isna(v)}
        place = (cell, row["block"], row["attempt"], row["metric"], dims)
        found.append((*place, row["index"], row["is_warmup"], row["value"]))
    return found


def test_csv_holds_every_sample_once(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    told = export(folder, "csv", tmp_path / "a" / "samples.csv", StringIO())
    assert told == (f"csv: {tmp_path / 'a' / 'samples.csv'}",)
    table = pd.read_csv(tmp_path / "a" / "samples.csv")
    assert rows_in(table) == rows_of(bundle)
    assert set(table["status"]) == {"ok"}
    assert set(table["run"]) == {bundle.manifest.run_id}


def test_parquet_holds_every_sample_once(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    export(folder, "parquet", tmp_path / "samples.parquet", StringIO())
    table = pd.read_parquet(tmp_path / "samples.parquet")
    assert rows_in(table) == rows_of(bundle)
    assert table["is_warmup"].dtype == bool
    assert table["value"].dtype == float


def test_text_goes_to_the_terminal_where_no_file_is_named(folder: Path, bundle: Bundle) -> None:
    out = StringIO()
    assert export(folder, "csv", None, out) == ()
    assert rows_in(pd.read_csv(StringIO(out.getvalue()))) == rows_of(bundle)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DIMS = st.dictionaries(TEXT, st.one_of(st.booleans(), st.integers(), TEXT), max_size=3)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def metrics(draw: st.DrawFn) -> Metric:
    values = tuple(draw(st.lists(FINITE, max_size=5)))
    return Metric(
        name=draw(TEXT),
        unit=draw(TEXT),
        better="lower",
        samples=values,
        warmup=draw(st.integers(0, len(values))),
        dims=draw(DIMS),
    )


@given(st.lists(st.tuples(TEXT, st.lists(metrics(), max_size=3)), max_size=4))
def test_any_samples_of_any_names_come_back_from_csv(
    bundle: Bundle, wild: Sequence[tuple[str, Sequence[Metric]]]
) -> None:
    invocations = tuple(
        replace(bundle.invocations[0], cell=f"p/{stack}/t", platform="p", stack=stack, task="t", metrics=tuple(found))
        for stack, found in wild
    )
    any_bundle = replace(bundle, invocations=invocations)
    out = StringIO(newline="")
    exporting._csv(samples(any_bundle), out)
    out.seek(0)
    read_back = list(csv.DictReader(out))
    expected = rows_of(any_bundle)
    assert len(read_back) == len(expected)
    for row, (cell, block, attempt, name, dims, index, warmup, value) in zip(read_back, expected, strict=True):
        assert f"{row['platform']}/{row['stack']}/{row['task']}" == cell
        assert (row["metric"], int(row["block"]), int(row["attempt"])) == (name, block, attempt)
        assert (int(row["index"]), row["is_warmup"] == "True", float(row["value"])) == (index, warmup, value)
        assert isinstance(dims, dict)
        assert {key: row[f"dim_{key}"] for key in dims} == {key: str(item) for key, item in dims.items()}


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True, None], "boolean"),
        ([4, None, 8], "Int64"),
        ([0.5, None], "Float64"),
        ([4, "4KiB"], "category"),
        ([True, 1], "category"),
        ([2**70, 1], "category"),
        ([None], "category"),
    ],
)
def test_a_dim_is_a_column_of_the_kind_of_its_values(values: list[Scalar | None], kind: str) -> None:
    found = column(values)
    assert str(found.dtype) == kind
    shown = [None if pd.isna(value) else value for value in found]
    same = kind != "category"
    assert shown == (values if same else [None if value is None else str(value) for value in values])


def test_a_failed_invocation_keeps_its_samples_and_says_so(bundle: Bundle) -> None:
    first = replace(bundle.invocations[0], status="throttled", reason="hot", attempt=2)
    table = samples(replace(bundle, invocations=(first,)))
    assert set(table["status"]) == {"throttled"}
    assert set(table["attempt"]) == {2}
    assert suites(replace(bundle, invocations=(first,))).suites == {}


def test_pyperf_compares_what_was_exported(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    export(folder, "pyperf", tmp_path / "suites", StringIO())
    names = {path.name for path in (tmp_path / "suites").iterdir()}
    assert names == {"native.json", "native@2.json", "docker.json", "docker-half.json"}
    command = [sys.executable, "-m", "pyperf", "compare_to", "native.json", "docker-half.json"]
    done = subprocess.run(command, cwd=tmp_path / "suites", capture_output=True, text=True, check=True)
    (step,) = (line for line in done.stdout.splitlines() if "step_seconds" in line)
    slower = float(step.rpartition(": ")[2].partition("x slower")[0])
    assert 1.8 < slower < 2.2, "twice as slow was planted"
    assert "images_per_second" not in done.stdout


def test_pyperf_keeps_the_warm_up_apart(folder: Path, bundle: Bundle, tmp_path: Path) -> None:
    export(folder, "pyperf", tmp_path / "suites", StringIO())
    suite = json.loads((tmp_path / "suites" / "docker.json").read_text(encoding="utf-8"))
    (steps,) = (each for each in suite["benchmarks"] if "step_seconds" in each["metadata"]["name"])
    originals = [
        metric
        for result in bundle.invocations
        if result.platform == "docker"
        for metric in result.metrics
        if metric.name == "step_seconds"
    ]
    assert [run["values"] for run in steps["runs"]] == [list(each.samples[each.warmup :]) for each in originals]
    assert [[value for _, value in run["warmups"]] for run in steps["runs"]] == [
        list(each.samples[: each.warmup]) for each in originals
    ]


def test_what_pyperf_cannot_hold_is_named(bundle: Bundle) -> None:
    zero = Metric(name="lag_seconds", unit="s", better="lower", samples=(0.0, 1.0))
    warm = Metric(name="cold_seconds", unit="s", better="lower", samples=(1.0,), warmup=1)
    kept = Metric(name="step_seconds", unit="s", better="lower", samples=(1.0, 2.0))
    first: CellResult = replace(bundle.invocations[0], metrics=(zero, warm, kept))
    found = suites(replace(bundle, invocations=(first,)))
    assert [name.split()[1] for name in found.left_out] == ["lag_seconds"]
    (suite,) = found.suites.values()
    assert [each["metadata"]["name"].split()[1] for each in suite["benchmarks"]] == ["step_seconds"]


def test_markdown_has_a_table_for_each_platform(folder: Path, bundle: Bundle) -> None:
    out = StringIO()
    export(folder, "markdown", None, out)
    assert out.getvalue() == markdown(bundle)
    headings = [line for line in out.getvalue().splitlines() if line.startswith("###")]
    assert headings == ["### docker against native", "### docker-half against native"]
    assert "| tf_cnn.trivial | step_seconds | tensorflow | " in out.getvalue()


def test_nothing_is_overwritten(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"is there already, and is not overwritten\. Name another"):
        export(folder, "csv", tmp_path / "mine.csv", StringIO())
    assert (tmp_path / "mine.csv").read_text(encoding="utf-8") == "mine"


def test_a_cut_off_export_leaves_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", full)
    with pytest.raises(ResultsError, match="No space left on device"):
        export(folder, "csv", tmp_path / "a.csv", StringIO())
    assert list(tmp_path.iterdir()) == []


def test_without_pyarrow_the_remedy_is_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(exporting, "find_spec", lambda _: None)
    assert main(["export", str(folder), "--format", "parquet", "-o", str(tmp_path / "a")]) == 2
    told = capsys.readouterr().err
    assert told == (
        "overhead-matrix: export: parquet needs pyarrow. Install it: pip install 'overhead-matrix[parquet]'\n"
    )


@pytest.mark.parametrize("form", ["parquet", "pyperf"])
def test_what_is_no_text_needs_a_name(folder: Path, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(folder), "--format", form]) == 2
    assert "Name a file with -o" in capsys.readouterr().err


def test_the_command_line_exports(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(folder), "--format", "csv", "-o", str(tmp_path / "a.csv")]) == 0
    assert capsys.readouterr().out == f"csv: {tmp_path / 'a.csv'}\n"
    assert main(["export", str(tmp_path / "none"), "--format", "csv"]) == 2
    assert "no such bundle" in capsys.readouterr().err
