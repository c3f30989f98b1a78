"""A run is taken up again by its manifest and the file that it was begun with."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.matrix.hidden import definition, values
from harness.matrix.load import load
from harness.results.bundle import Manifest, read_manifest, write_manifest
from harness.runner import run as runs
from harness.runner.marks import marks
from tests.boots import linux, manifest
from tests.program import harness, project

SETS = """\
schema: 1
baseline: native
platforms: {native: {kind: native}}
stacks: {tensorflow: {interpreter: HOME/venv/bin/python}}
tasks:
  tf_cnn.resnet50:
    - {data_dir: HOME/imagenet}
    - {data_dir: HOME/other}
profiles: {tiny: {tasks: ["*"], blocks: 1}}
"""


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay out a project with a matrix in ci/ and a run of it that has hidden values; return the matrix."""
    home = tmp_path / "annika"
    (home / "ci").mkdir(parents=True)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("LOGNAME", "annika")
    monkeypatch.setenv("OVERHEAD_MATRIX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    monkeypatch.chdir(home)
    file = home / "ci" / "lab.yaml"
    file.write_text(SETS.replace("HOME", home.as_posix()), encoding="utf-8")
    record = manifest(linux(1, run_id="begun", boot_id=runs.boot_id())).dump()
    record["matrix"] |= {
        "profile": "tiny",
        "selection": {"matrix": "ci/lab.yaml", "platforms": None, "tasks": None, "gpu": False},
        "definition": definition(load(file)),
        "hidden": marks(values(load(file)), tmp_path / "cache").dump(),
    }
    (home / "results" / "begun").mkdir(parents=True)
    write_manifest(home / "results" / "begun", Manifest.model_validate(record))
    return file


def test_its_cells_are_those_that_it_began_with_and_name_nobody(begun: Path) -> None:
    run = runs.resumed("begun", file=None, results=Path("results"))
    assert run.matrix == load(begun)
    assert run.root == begun.parent
    assert run.unchecked == ()
    tasks = {cell.task for cell in run.plan.cells if cell.entry == "tf_cnn.resnet50"}
    assert tasks == {f"tf_cnn.resnet50[data_dir={name}]" for name in ("imagenet", "other")}
    assert "annika" not in str([cell.id for cell in run.plan.cells])


def test_without_the_recorded_file_the_usual_one_is_read(begun: Path) -> None:
    begun.rename("matrix.yaml")
    assert runs.resumed("begun", file=None, results=Path("results")).root == begun.parent.parent
    named = Path("elsewhere.yaml")
    Path("matrix.yaml").rename(named)
    assert runs.resumed("begun", file=named, results=Path("results")).selection.matrix == "elsewhere.yaml"


def test_the_bundle_has_the_files_place_in_the_project_alone(tmp_path: Path) -> None:
    folder, elsewhere = project(tmp_path / "project"), project(tmp_path / "annika")
    project(folder / "ci")
    for file, kept in ((elsewhere / "matrix.yaml", "matrix.yaml"), (folder / "ci" / "matrix.yaml", "ci/matrix.yaml")):
        done = harness("run", "--profile", "tiny", "-m", str(file), "--results", f"results-{kept[:2]}", cwd=folder)
        assert done.returncode == 0, done.stderr
        (written,) = (folder / f"results-{kept[:2]}").glob("*/run.json")
        assert read_manifest(written.parent).plan.selection.matrix == kept
