"""The door to subprocesses, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import PlatformError, ResultsError
from harness.runner import output, process
from tests.agent.systems import INTERRUPT, NEW_GROUP, not_on_windows, not_under_wine

PYTHON = sys.executable
# What the agent does, too: Ctrl-Break, all that Windows sends to one group, interrupts as Ctrl-C does.
BREAKABLE = (
    "import signal; signal.signal(signal.SIGBREAK, signal.default_int_handler)\n" if sys.platform == "win32" else ""
)


class Watched:
    """Runs Python code and keeps the lines."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "logs" / "process.log"
        self.lines: list[str] = []

    def run(self, code: str, timeout: float = 30.0) -> process.Exit:
        return process.run([PYTHON, "-c", code], timeout=timeout, on_line=self.lines.append, log=self.log)


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def is_running(pid: int) -> bool:
    if sys.platform == "win32":
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        return win32.process_start(pid) is not None
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in {"Z", "X"}


def wait_until_gone(pid: int, seconds: float = 3.0) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


def test_lines_of_stdout_are_passed_on_and_both_streams_logged(watched: Watched) -> None:
    end = watched.run("import sys; print('one'); print('two'); print('three', end=''); print('oops', file=sys.stderr)")
    assert (end.code, end.signal, end.timed_out, end.oom) == (0, None, False, False)
    assert watched.lines == ["one", "two", "three"]
    assert sorted(watched.log.read_text(encoding="utf-8").replace("three", "three\n").splitlines()) == [
        "one",
        "oops",
        "three",
        "two",
    ]


def test_a_line_arrives_while_the_process_still_runs(tmp_path: Path) -> None:
    arrived: list[float] = []
    code = "import time; print('now', flush=True); time.sleep(1)"
    end = process.run(
        [PYTHON, "-c", code], timeout=30, on_line=lambda _: arrived.append(time.monotonic()), log=tmp_path / "log"
    )
    assert time.monotonic() - arrived[0] > 0.5
    assert end.seconds > 1


@not_on_windows("it has no signals")
def test_status_and_signal_are_told_apart(watched: Watched) -> None:
    assert watched.run("raise SystemExit(7)").code == 7
    crashed = watched.run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert (crashed.code, crashed.signal) == (None, signal.SIGSEGV)


@not_under_wine("it passes on no Ctrl-Break")
def test_a_process_out_of_time_may_tidy_up(watched: Watched) -> None:
    code = "import time\nprint('up', flush=True)\ntry: time.sleep(60)\nfinally: print('tidied', flush=True)"
    end = watched.run(BREAKABLE + code, timeout=2.0)  # a busy machine's interpreter is up by then
    assert end.timed_out
    assert end.code is None
    assert 2.0 <= end.seconds < 2.0 + process.INTERRUPT_GRACE + process.TERMINATE_GRACE
    assert watched.lines == ["up", "tidied"]


def test_a_process_that_ignores_every_request_is_killed(watched: Watched) -> None:
    code = "import signal, time\nfor s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\n"
    began = time.monotonic()
    assert watched.run(code + "time.sleep(60)", timeout=0.5).timed_out
    assert time.monotonic() - began < 0.5 + process.INTERRUPT_GRACE + process.TERMINATE_GRACE + 1


def test_endless_output_does_not_keep_the_deadline_away(watched: Watched) -> None:
    began = time.monotonic()
    assert watched.run("while True: print('x' * 100)", timeout=0.5).timed_out
    assert time.monotonic() - began < 5


def test_children_end_with_the_process_and_cannot_hold_the_call_open(watched: Watched) -> None:
    code = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
    began = time.monotonic()
    assert watched.run(code).code == 0
    assert time.monotonic() - began < 10
    assert wait_until_gone(int(watched.lines[0]))


@not_on_windows("a job object ends daemons too")
def test_a_daemon_that_holds_stdout_open_cannot_hold_the_call_open(watched: Watched) -> None:
    code = (
        "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(20)'], "
        "start_new_session=True).pid)"
    )
    began = time.monotonic()
    try:
        assert watched.run(code).code == 0
        assert time.monotonic() - began < 10
    finally:
        os.kill(int(watched.lines[0]), signal.SIGKILL)


def test_ctrl_c_ends_the_whole_group_and_goes_on(tmp_path: Path) -> None:
    seen: list[int] = []

    def interrupt(line: str) -> None:
        seen.append(int(line))
        if len(seen) == 2:
            raise KeyboardInterrupt

    code = (
        "import os, subprocess, sys, time\nprint(os.getpid(), flush=True)\n"
        "subprocess.Popen([sys.executable, '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(60)'])\n"
        "time.sleep(60)"
    )
    began = 0.0
    with pytest.raises(KeyboardInterrupt):
        process.run([PYTHON, "-c", code], timeout=30, on_line=interrupt, log=tmp_path / "log")
    began = time.monotonic()
    assert len(seen) == 2
    assert all(wait_until_gone(pid) for pid in seen)
    assert time.monotonic() - began < 2


@not_under_wine("it passes on no Ctrl-Break")
def test_ctrl_c_at_the_terminal_ends_within_seconds(tmp_path: Path) -> None:
    """A controller of its own gets SIGINT (Windows: Ctrl-Break, to its group alone) while its child ignores it."""
    child = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    controller = (
        f"{BREAKABLE}import sys\nfrom pathlib import Path\nfrom harness.runner import process\n"
        f"try: process.run([sys.executable, '-c', {child!r}], timeout=60, "
        f"on_line=lambda line: print(line, flush=True), log=Path({str(tmp_path / 'log')!r}))\n"
        "except KeyboardInterrupt: print('interrupted', flush=True)"
    )
    with subprocess.Popen(
        [PYTHON, "-c", controller], stdout=subprocess.PIPE, text=True, creationflags=NEW_GROUP
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "up\n"
        began = time.monotonic()
        started.send_signal(INTERRUPT)
        assert started.stdout.read() == "interrupted\n"
        assert time.monotonic() - began < 4


def test_output_without_line_ends_is_bounded(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LOG_LIMIT", 1 << 20)
    assert watched.run("import sys; sys.stdout.write('x' * (8 << 20))").code == 0
    assert [len(line) for line in watched.lines] == [output.LINE_LIMIT]
    assert watched.log.stat().st_size < (1 << 20) + 100
    assert "the log ends here" in watched.log.read_text(encoding="utf-8")


def test_bytes_that_are_no_utf8_are_replaced(watched: Watched) -> None:
    watched.run(r"import sys; sys.stdout.buffer.write(b'caf\xc3\xa9 \xff\n'); sys.stderr.buffer.write(b'\xfe')")
    assert watched.lines == ["café �"]
    assert watched.log.read_text(encoding="utf-8").count("�") == 2


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"no-such-program is not there\. Install it"):
        process.run(["no-such-program"], timeout=5, on_line=print, log=tmp_path / "log")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match=r"folder .*nowhere is not there"):
        process.run([PYTHON], timeout=5, on_line=print, log=tmp_path / "log", cwd=tmp_path / "nowhere")


@not_on_windows("every file may be a program there, and its variables cannot be few")
def test_a_file_that_is_no_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello", encoding="utf-8")
    with pytest.raises(PlatformError, match="text can't be started: Permission denied"):
        process.run([tmp_path / "text"], timeout=5, on_line=print, log=tmp_path / "log")


def test_a_log_that_cannot_be_written_is_an_error_of_the_results(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ResultsError, match=r"log .* can't be written"):
        process.run([PYTHON, "-c", ""], timeout=5, on_line=print, log=tmp_path / "file" / "log")


@not_on_windows("it has no /dev/full")
def test_a_full_disk_is_an_error_of_the_results_and_ends_the_process(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="No space left on device"):
        process.run([PYTHON, "-c", "print('x')"], timeout=5, on_line=print, log=Path("/dev/full"))


@not_on_windows("it has no signals")
def test_a_kill_that_nobody_here_sent_is_oom_if_the_kernel_counted_one(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert watched.run(killed).signal == signal.SIGKILL
    counts = iter([3, 4])
    monkeypatch.setattr(process, "_oom_kills", lambda: next(counts))
    end = watched.run(killed)
    assert (end.oom, end.signal, end.code) == (True, None, None)


@not_on_windows("every file may be a program there, and its variables cannot be few")
def test_environment_folder_and_process_id_are_as_told(tmp_path: Path) -> None:
    lines: list[str] = []
    started: list[int] = []
    code = "import os; print(os.environ.get('A'), os.environ.get('HOME'), os.getcwd(), os.getpid(), os.getpgid(0))"
    process.run(
        [PYTHON, "-c", code],
        timeout=30,
        on_line=lines.append,
        log=tmp_path / "log",
        cwd=tmp_path,
        env={"A": "1"},
        on_start=started.append,
    )
    assert lines == [f"1 None {tmp_path} {started[0]} {started[0]}"]


@not_on_windows("print writes line ends of its own")
def test_capture_returns_both_streams() -> None:
    done = process.capture(
        [PYTHON, "-c", "import sys; print('a'); print('b', file=sys.stderr); sys.exit(3)"], timeout=30
    )
    assert done == process.Completed(code=3, stdout="a\n", stderr="b\n")


def test_a_file_can_be_the_input(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_text("from a file", encoding="utf-8")
    program = [sys.executable, "-c", "import sys; print(sys.stdin.read())"]
    assert process.capture(program, timeout=20).stdout.strip() == ""
    assert process.capture(program, timeout=20, stdin=source).stdout.strip() == "from a file"
    with pytest.raises(PlatformError, match=r"its input .*gone is not there"):
        process.capture(program, timeout=20, stdin=tmp_path / "gone")


def test_capture_of_a_program_that_hangs_names_it() -> None:
    with pytest.raises(PlatformError, match=r"did not answer within 0\.3 s"):
        process.capture([PYTHON, "-c", "import time; time.sleep(60)"], timeout=0.3)


@given(st.lists(st.binary(max_size=40)), st.data())
def test_lines_do_not_depend_on_how_the_bytes_arrive(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    seen: list[str] = []
    log = tmp_path_factory.getbasetemp() / "lines.log"
    with output.Tee(log, seen.append) as tee:
        for first, last in zip([0, *cuts], [*cuts, len(whole)], strict=True):
            tee.write("stdout", whole[first:last])
        tee.finish()
    expected = whole.decode("utf-8", errors="replace").split("\n")
    expected = expected if expected[-1] else expected[:-1]
    assert seen == [line.removesuffix("\r") for line in expected]
