from __future__ import annotations

import os
import sys
import time

import pytest

from harness.agent import children
from harness.agent.children import StepError, output, timed
from tests.agent.systems import not_on_windows

pytestmark = pytest.mark.measures


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_time_is_that_of_the_program() -> None:
    start = time.perf_counter()
    seconds = timed(python("import time; time.sleep(0.2)"), "sleep")
    assert 0.2 <= seconds <= time.perf_counter() - start


@not_on_windows("its clock steps by 15.6 ms, and no other is shared by processes")
def test_the_end_is_not_polled_for() -> None:
    """Popen.wait with a timeout sleeps between its looks, up to 50 ms; this is told as soon as the program ends."""
    late = []
    for _ in range(7):
        due = time.monotonic() + 0.4
        timed(python(f"import time; time.sleep({due} - time.monotonic())"), "sleep")
        late.append(time.monotonic() - due)
    assert min(late) < 0.02


def test_what_it_printed_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import sys, os; print(os.environ['GREETING'], flush=True); print('there', file=sys.stderr)"
    monkeypatch.setenv("GREETING", "hello")
    assert output(python(code), "greeting").split() == ["hello", "there"]


def test_its_environment_is_this_one_with_additions() -> None:
    code = "import os, sys; sys.exit(os.environ['ADDED'] + os.environ['PATH'] != 'here' + sys.argv[1])"
    assert timed([*python(code), os.environ["PATH"]], "look", {"ADDED": "here"}) > 0


def test_a_failure_tells_step_status_and_the_end_of_its_log(capfd: pytest.CaptureFixture[str]) -> None:
    code = "import sys; print('\\n'.join(f'line {n}' for n in range(1000))); sys.exit(3)"
    with pytest.raises(StepError, match=r"(?s)^compile: exit status 3: ….*line 999$") as caught:
        timed(python(code), "compile")
    assert len(str(caught.value)) < children.TAIL + 100
    assert "line 0" in capfd.readouterr().err.splitlines(), "the whole log is in the cell's"


def test_neither_reason_nor_log_says_who_the_user_is(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("USERPROFILE", "/home/alice")
    with pytest.raises(StepError) as caught:
        timed(python("import os, sys; print(os.environ['HOME'] + '/x.cpp: error'); sys.exit(1)"), "compile")
    assert str(caught.value) == "compile: exit status 1: ~/x.cpp: error"
    assert "alice" not in capfd.readouterr().err


@not_on_windows("it has no signals")
def test_a_signal_is_named() -> None:
    with pytest.raises(StepError, match="compile: ended by signal 9: it printed nothing"):
        timed(python("import os; os.kill(os.getpid(), 9)"), "compile")


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(
        StepError, match=r"compile: /no/compiler can't be started: .*(No such file|cannot find|not found)"
    ):
        timed(["/no/compiler"], "compile")


def test_what_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "LIMIT", 0.5)
    with pytest.raises(StepError, match=r"compile: no end after 0\.5 s: it printed nothing"):
        timed(python("import time; time.sleep(60)"), "compile")
