from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import pytest

from harness.agent import ext4, pagecache
from harness.agent.messages import Location, Scalar
from harness.agent.probes import tooling
from harness.agent.task import Unavailable
from tests.agent.cells import run_cell, stack_python
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.systems import not_on_windows

pytestmark = pytest.mark.answers

FEW: dict[str, Scalar] = {"samples": 2, "files": 20, "size": 500}


def location(path: Path, name: str = "disk") -> Location:
    return Location(name=name, path=str(path))


@pytest.fixture
def fake_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pip that is a script of the test's."""
    script = tmp_path / "fake_pip.py"
    monkeypatch.setattr(tooling, "_pip", lambda: [sys.executable, str(script)])
    return script


def test_install_measures_each_location_and_leaves_nothing(
    run_task: RunTask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    monkeypatch.setattr(ext4, "without_journal", lambda path: Path(path) == folders[1])
    places = [location(each, each.name) for each in (*folders, tmp_path / "gone")]
    outcome = run_task("tooling.install", locations=places, **FEW)
    start = metric(outcome, "pip_start_seconds")
    for folder in folders:
        install = metric(outcome, "install_seconds", location=folder.name)
        assert (len(install.samples), install.warmup, install.unit, install.better) == (3, 1, "s", "lower")
        assert min(install.samples) > min(start.samples), "it starts pip, and then does more"
        assert list(folder.iterdir()) == []
    assert [each.dims["location"] for each in outcome.metrics if each.name == "install_seconds"] == ["one", "two"]
    assert outcome.versions["pip"][0].isdigit()
    (of_deleted,) = (each for each in outcome.warnings if "without a journal: install_seconds" in each)
    assert of_deleted.startswith("location two: ")
    assert "location gone" in outcome.warnings[-1]


@pytest.mark.measures
@not_on_windows("under Wine the start of pip varies by more than files cost")
def test_install_takes_longer_for_more_files(run_task: RunTask, tmp_path: Path) -> None:
    def cost(files: int) -> float:
        outcome = run_task("tooling.install", locations=[location(tmp_path)], **{**FEW, "files": files})
        return min(metric(outcome, "install_seconds").samples)

    assert cost(3000) > cost(20) + 0.1


def test_install_without_a_location_is_unavailable(run_task: RunTask, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"location gone .* left out"):
        run_task("tooling.install", locations=[location(tmp_path / "gone", "gone")], **FEW)
    with pytest.raises(Unavailable, match="no location to write to"):
        run_task("tooling.install", locations=(), **FEW)


def test_a_pip_that_fails_is_a_failed_capability(run_task: RunTask, fake_pip: Path, tmp_path: Path) -> None:
    fake_pip.write_text("import sys; print('pip 0.fake from nowhere'); sys.exit('install' in sys.argv and 'no space')")
    outcome = run_task("tooling.install", locations=[location(tmp_path)], **FEW)
    assert (outcome.status, outcome.metrics) == ("failed", ())
    assert "pip install: exit status 1: pip 0.fake from nowhere no space" in " ".join(outcome.reason.split())
    assert outcome.versions == {"pip": "0.fake"}


def test_a_pip_that_installs_nothing_has_not_installed(run_task: RunTask, fake_pip: Path, tmp_path: Path) -> None:
    fake_pip.write_text("print('pip 0.fake from nowhere')")
    outcome = run_task("tooling.install", locations=[location(tmp_path)], **FEW)
    assert outcome.status == "failed"
    assert "it succeeded, and 0 of 20 files are there" in outcome.reason


def test_a_pip_that_does_not_start_is_a_failed_capability(run_task: RunTask, fake_pip: Path, tmp_path: Path) -> None:
    fake_pip.write_text("raise SystemExit('broken')")
    outcome = run_task("tooling.install", locations=[location(tmp_path)], **FEW)
    assert (outcome.status, outcome.reason) == ("failed", "pip --version: exit status 1: broken")


def test_an_environment_without_pip_uses_that_of_its_interpreter(tmp_path: Path) -> None:
    venv = pytest.importorskip("venv", reason="not on Windows: its embeddable Python has no venv")
    venv.create(tmp_path / "bare", with_pip=False)
    (tmp_path / "disk").mkdir()
    python = tmp_path / "bare/bin/python"
    result = run_cell("tooling.install", FEW, python=python, locations=[location(tmp_path / "disk")])
    base = subprocess.run(
        [sys.executable, "-c", "import sys; print(sys._base_executable)"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if subprocess.run([base, "-m", "pip", "--version"], capture_output=True, check=False).returncode != 0:
        assert (result.status, result.reason) == ("unavailable", tooling.NO_PIP)
    else:
        assert (result.status, result.reason) == ("ok", "")


def test_no_pip_anywhere_is_told_with_the_remedy(run_task: RunTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "pip" else find_spec(name))
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)
    with pytest.raises(Unavailable, match="install python3-pip"):
        run_task("tooling.install", locations=(), **FEW)


def test_import_without_a_framework_is_of_standard_modules(run_task: RunTask) -> None:
    outcome = run_task("tooling.import", samples=3)
    start = metric(outcome, "start_seconds")
    warm = metric(outcome, "import_seconds", module="standard library", cache="warm")
    assert (len(warm.samples), warm.warmup, len(start.samples), start.warmup) == (4, 1, 4, 1)
    assert median(warm.samples) > median(start.samples)
    assert outcome.status == "ok"
    droppable = sys.platform != "win32" and pagecache.drop([Path(find_spec("argparse").origin)]) == 0  # type: ignore[union-attr,arg-type]
    caches = {each.dims["cache"] for each in outcome.metrics if each.name == "import_seconds"}
    assert caches == ({"cold", "warm"} if droppable else {"warm"}), outcome.warnings


@not_on_windows("it can't drop a file's pages")
def test_cold_is_left_out_where_files_stay(run_task: RunTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagecache, "drop", lambda paths: 3)
    outcome = run_task("tooling.import", samples=1)
    assert "cold" not in {each.dims.get("cache") for each in outcome.metrics}
    assert outcome.warnings[0].startswith("without cold imports: 3 of ")


def test_cold_is_left_out_where_files_are_not_ours(run_task: RunTask, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(paths: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pagecache, "write_back", refuse)
    outcome = run_task("tooling.import", samples=1)
    assert outcome.warnings == ("without cold imports: [Errno 13] Permission denied",)
    assert names(outcome) == {"start_seconds", "import_seconds", *INSTRUMENT}


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment whose torch is a fake: a file that sleeps, or what a test makes of it."""
    venv = pytest.importorskip("venv", reason="not on Windows: its embeddable Python has no venv")
    venv.create(tmp_path / "env", with_pip=False, symlinks=True)
    (site,) = (tmp_path / "env/lib").glob("python3*/site-packages")
    (site / "torch").mkdir()
    (site / "torch/__init__.py").write_text("import time; time.sleep(0.3)")
    return site / "torch/__init__.py"


def _import(fake: Path) -> tuple[str, str, dict[str, float]]:
    python = fake.parents[4] / "bin/python"
    result = run_cell("tooling.import", {"samples": 2}, python=python, stack="torch")
    costs = {
        f"{each.name} {each.dims.get('cache', '')}".strip(): min(each.samples[each.warmup :]) for each in result.metrics
    }
    return result.status, result.reason, costs


@pytest.mark.measures
def test_a_framework_that_is_planted_slow_is_found_slow(environment: Path) -> None:
    status, reason, costs = _import(environment)
    assert (status, reason) == ("ok", "")
    assert costs["start_seconds"] < 0.3 <= costs["import_seconds warm"]
    assert costs.get("import_seconds cold", 1.0) >= 0.3


def test_a_framework_that_does_not_import_is_a_failed_capability(environment: Path) -> None:
    environment.write_text("import ctypes; ctypes.CDLL('libcuda-of-tomorrow.so')")
    status, reason, costs = _import(environment)
    assert (status, costs) == ("failed", {})
    assert reason.startswith("import torch: exit status 1: ")
    assert "libcuda-of-tomorrow.so: cannot open shared object file" in reason


def test_a_stack_without_its_framework_is_unavailable(environment: Path) -> None:
    shutil.rmtree(environment.parent)
    status, reason, _ = _import(environment)
    assert (status, reason) == ("unavailable", "stack torch has no torch: run the task on a stack that has it")


@pytest.mark.stack
@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_import_of_the_framework(framework: str) -> None:
    result = run_cell("tooling.import", {"samples": 1}, python=stack_python(framework), stack=framework)
    assert (result.status, result.reason) == ("ok", "")
    costs = {each.name: each.samples[-1] for each in result.metrics if each.dims.get("cache", "warm") == "warm"}
    assert costs["import_seconds"] > 5 * costs["start_seconds"]
    assert result.versions[framework][0].isdigit()
