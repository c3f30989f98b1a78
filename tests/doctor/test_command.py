"""`doctor` as a user meets it: on this machine, as text, as JSON, quickly."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from harness.cli import main
from harness.doctor import engine_state, report
from harness.doctor.finding import ORDER, Finding
from harness.doctor.fix import Step
from harness.doctor.report import Report
from harness.doctor.show import as_json, show
from harness.platforms.engine import connect
from tests.program import ROOT, harness, one_line_error

FOUND = (
    Finding(
        id="cpu.governor",
        what="the frequency governor is [powersave]",
        source="/sys/governor",
        matter="decisive",
        why="clocks follow load",
        remedy="set it",
        fixable=True,
    ),
    Finding(id="cpu.smt", what="two threads share a core", source="/sys/smt", matter="noted", why="they share"),
)


def shown(report: Report, *, terminal: bool = False, width: int = 200) -> str:
    out = StringIO()
    show(report, Console(file=out, force_terminal=terminal, width=width, color_system=None))
    return out.getvalue()


def test_this_machine_for_real(tmp_path: Path) -> None:
    cache = {"OVERHEAD_MATRIX_CACHE": str(tmp_path / "cache")}
    done = harness("doctor", "--json", cwd=tmp_path, env=cache)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["findings"]
    order = [ORDER.index(each["matter"]) for each in found]
    assert order == sorted(order)
    assert all(each["what"] and each["source"] and each["why"] for each in found)
    piped = harness("doctor", cwd=tmp_path, env=cache)
    assert piped.returncode == 0, piped.stderr
    assert "\x1b" not in piped.stdout
    *lines, summary = piped.stdout.splitlines()
    assert all(line.split()[0] in ORDER for line in lines)
    assert summary.split()[0].isdecimal() or summary.startswith("nothing")
    assert not list((tmp_path / "cache").rglob("*.json")), "looking changes nothing"


def test_restoring_where_nothing_was_changed(tmp_path: Path) -> None:
    done = harness("doctor", "--restore", cwd=tmp_path, env={"OVERHEAD_MATRIX_CACHE": str(tmp_path)})
    assert (done.returncode, done.stdout) == (0, "nothing to put back: `doctor --fix` has left no note here\n")


def test_a_note_that_is_none_is_an_error_in_one_line(tmp_path: Path) -> None:
    import platform  # noqa: PLC0415 - the note's name is this host's

    note = tmp_path / "doctor" / f"{platform.node()}.json"
    note.parent.mkdir()
    note.write_text("{}")
    done = harness("doctor", "--restore", cwd=tmp_path, env={"OVERHEAD_MATRIX_CACHE": str(tmp_path)})
    assert done.returncode == 1
    assert "Remove it" in one_line_error(done)


def test_fix_and_restore_exclude_one_another(tmp_path: Path) -> None:
    assert harness("doctor", "--fix", "--restore", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(("flag", "name"), [("--fix", "mend"), ("--restore", "undo"), (None, "diagnose")])
@pytest.mark.parametrize("failed", [False, True])
def test_what_each_flag_does_and_its_status(
    flag: str | None, name: str, failed: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With stand-ins: the real one would change this machine."""
    step = Step(finding="cpu.turbo", where="/sys/turbo", said="said", failed=failed)
    called: list[str] = []

    def stand_in(act: str) -> Callable[[Path], Report]:
        def call(_cache: Path) -> Report:
            called.append(act)
            return Report(findings=(), steps=(step,))

        return call

    for act in ("mend", "undo", "diagnose"):
        monkeypatch.setattr(report, act, stand_in(act))
    monkeypatch.setenv("OVERHEAD_MATRIX_CACHE", str(tmp_path))
    status = main(["doctor", *([flag] if flag else [])])
    assert called == [name]
    assert status == (1 if failed and flag == "--restore" else 0)


def test_an_engine_on_another_host_says_nothing_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://user@elsewhere")
    facts = engine_state.inspect()
    assert {each["value"] for each in facts.values()} == {None}
    assert "on another host" in facts["containers"]["error"]


def test_it_is_quick(tmp_path: Path) -> None:
    """Of processor time, its children's too: elapsed time is this machine's other work as well."""

    def used() -> float:
        spent = resource.getrusage(resource.RUSAGE_CHILDREN)
        return spent.ru_utime + spent.ru_stime

    before = used()
    assert harness("doctor", cwd=tmp_path, env={"OVERHEAD_MATRIX_CACHE": str(tmp_path)}).returncode == 0
    assert used() - before < 2.0


def test_it_waits_for_none_of_the_analysis_libraries() -> None:
    code = """
import sys
from harness import cli
cli.parser()
import harness.doctor.report, harness.doctor.show
print(sorted({"pandas", "numpy", "scipy", "statsmodels", "altair"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_lines_for_a_pipe() -> None:
    governor, smt, summary = shown(Report(findings=FOUND)).splitlines()
    assert governor.startswith("decisive  cpu.governor: the frequency governor is [powersave] [/sys/governor]; clocks ")
    assert governor.endswith(". Mend: set it; `doctor --fix` can do it.")
    assert smt == "noted     cpu.smt: two threads share a core [/sys/smt]; they share."
    assert summary == "1 decisive, 1 noted"


def test_a_table_for_a_terminal() -> None:
    text = shown(Report(findings=FOUND), terminal=True, width=120)
    assert "what, where it was read, and why it matters" in text
    assert "[powersave]" in text, "a value is no markup"
    assert max(map(len, text.splitlines())) <= 120


def test_what_many_processors_share_is_one_line() -> None:
    steps = [
        Step(finding="cpu.governor", where=f"/sys/{number}", said="powersave → performance") for number in range(64)
    ]
    steps.append(Step(finding="cpu.turbo", where="/sys/turbo", said="0 → 1"))
    assert shown(Report(findings=(), steps=tuple(steps))).splitlines() == [
        "cpu.governor: powersave → performance (64 settings)",
        "cpu.turbo: 0 → 1 (/sys/turbo)",
        "nothing on this host would spoil a measurement",
    ]


def test_json_says_all() -> None:
    step = Step(finding="cpu.turbo", where="/sys/turbo", said="0 → 1")
    record = json.loads(as_json(Report(findings=FOUND, steps=(step,))))
    assert record["schema"] == 1
    assert record["findings"][0]["fixable"] is True
    assert record["steps"] == [{"finding": "cpu.turbo", "where": "/sys/turbo", "said": "0 → 1", "failed": False}]
    assert json.loads(as_json(Report(findings=None)))["findings"] is None


@pytest.mark.docker
def test_a_container_that_runs_is_named(tmp_path: Path, base_image: str) -> None:
    with closing(connect(None)) as client:
        container = client.containers.run(base_image, ["sleep", "60"], detach=True)
        try:
            done = harness("doctor", "--json", cwd=tmp_path, env={"OVERHEAD_MATRIX_CACHE": str(tmp_path)})
        finally:
            container.remove(force=True)
    (found,) = [each for each in json.loads(done.stdout)["findings"] if each["id"] == "engine.containers"]
    assert container.name in found["what"]
    assert found["matter"] == "relevant"


def test_an_engine_that_is_not_there_is_no_finding(tmp_path: Path) -> None:
    env = {"OVERHEAD_MATRIX_CACHE": str(tmp_path), "DOCKER_HOST": "unix:///nonexistent.sock"}
    done = harness("doctor", "--json", cwd=tmp_path, env=env)
    assert done.returncode == 0
    ids = {each["id"]: each["matter"] for each in json.loads(done.stdout)["findings"]}
    assert ids.get("engine.containers") in {None, "unknown"}  # unknown where an engine's processes are to be seen
