"""A build of many files by the platform's own make."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.agent.task import Unavailable
from tests.agent.probes.conftest import INSTRUMENT, RunTask, metric, names
from tests.agent.probes.programs import script
from tests.agent.systems import not_on_windows

pytestmark = [pytest.mark.answers, not_on_windows("its fakes are shell scripts")]

STEPS = {"make_seconds", "remake_seconds"}


@pytest.fixture(autouse=True)
def _make() -> None:
    if shutil.which("make") is None:
        pytest.skip("no make on this machine")


def test_every_source_is_built_anew_and_then_none(run_task: RunTask, only: Path, cpp: Path) -> None:
    calls = only.parent / "calls"
    script(only / "c++", f'case "$*" in *.cpp*) echo built >>{calls};; esac; exec {cpp}/c++ "$@"')
    outcome = run_task("tooling.make", sources=3, rounds=2)
    assert (outcome.status, outcome.reason, outcome.warnings) == ("ok", "", ())
    assert names(outcome) == {*STEPS, *INSTRUMENT}
    for name in STEPS:
        step = metric(outcome, name)
        assert (len(step.samples), step.warmup, step.unit, step.better) == (3, 1, "s", "lower")
    assert len(calls.read_text().split()) == 3 * 3
    assert "Make" in outcome.versions["make"]
    assert any(digit.isdigit() for digit in outcome.versions["compiler"])


def test_a_compiler_that_starts_late_is_seen_once_a_source(run_task: RunTask, only: Path, cpp: Path) -> None:
    script(only / "c++", f'case "$*" in *.cpp*) sleep 0.2;; esac; exec {cpp}/c++ "$@"')
    outcome = run_task("tooling.make", sources=4, rounds=1)
    assert metric(outcome, "make_seconds").samples[-1] >= 4 * 0.2
    assert metric(outcome, "remake_seconds").samples[-1] < 4 * 0.2


@pytest.mark.parametrize("options", ["-n", "-j8 --always-make"])
def test_the_users_own_options_change_nothing(
    run_task: RunTask, only: Path, monkeypatch: pytest.MonkeyPatch, options: str
) -> None:
    monkeypatch.setenv("MAKEFLAGS", options)
    assert run_task("tooling.make", sources=2, rounds=1).status == "ok"


def test_a_compiler_whose_path_needs_quoting(run_task: RunTask, cpp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cpp.parent / "with a space and $HOME"
    folder.mkdir()
    script(folder / "c++", f'exec {cpp}/c++ "$@"')
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    assert run_task("tooling.make", sources=1, rounds=1).status == "ok"


@pytest.mark.parametrize(
    ("program", "body", "reason"),
    [
        ("c++", "echo 'fatal error: no memory'; exit 1", r"make, build: exit status 2: .*fatal error: no memory"),
        ("c++", "true", r"make, build: it succeeded, and unit_0\.o, unit_1\.o is not there"),
        (
            "make",
            "echo unit >unit_0.o; echo unit >unit_1.o; sleep 0.01",
            r"nothing to do: it built what was up to date",
        ),
        ("make", "kill -9 $$", r"make, build: ended by signal 9"),
    ],
)
def test_what_is_broken_is_a_failed_capability(
    run_task: RunTask, only: Path, program: str, body: str, reason: str
) -> None:
    script(only / program, f'case "$*" in *--version*) echo "broken 1.0";; *) {body};; esac')
    outcome = run_task("tooling.make", sources=2, rounds=1)
    assert (outcome.status, outcome.metrics, outcome.versions[program.replace("c++", "compiler")]) == (
        "failed",
        (),
        "broken 1.0",
    )
    with pytest.raises(AssertionError, match=f"(?s){reason}"):
        raise AssertionError(outcome.reason)


def test_no_make_is_unavailable_with_what_installs_it(
    run_task: RunTask, cpp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(cpp))
    with pytest.raises(Unavailable, match="no make on the PATH: install make"):
        run_task("tooling.make")
