"""The sampler as a real child process: what it gives, and that nothing it does harms the task."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import pytest

from harness.agent import own_process
from harness.agent.telemetry import child as sampling
from harness.agent.telemetry.recorder import Recorder
from harness.agent.telemetry.sampler import INTERVAL
from tests.agent.systems import CRASH, CRASHED, not_on_windows

pytestmark = pytest.mark.measures

ROOT = Path(sampling.__file__).parents[3]
needs_proc = not_on_windows("it has no /proc")


def record(seconds: float = 0.0, *, device: str = "cpu") -> dict[str, Any]:
    """Watch a task that sleeps."""
    watched = Recorder()
    watched.watch(device)
    watched.begin()
    time.sleep(seconds)
    found = watched.end()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def child(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the child process run something else than the sampler."""
    monkeypatch.setattr(own_process, "PROGRAM", program)


@needs_proc
def test_a_task_is_sampled_from_its_start_to_its_end() -> None:
    found = record(15.5 * INTERVAL)
    samples = found["samples"]

    assert samples["times"] == sorted(samples["times"])
    assert samples["times"][-1] > 10 * INTERVAL  # on a loaded machine it wakes up late and leaves rows out
    assert 4 <= len(samples["times"]) <= 20
    assert {len(column) for column in samples["columns"].values()} == {len(samples["times"])}
    assert samples["summary"]["cpu_busy_seconds"]["total"] >= 0
    assert found["seconds"] >= 15.5 * INTERVAL


@needs_proc
def test_the_sampler_states_its_own_cost_and_it_is_small() -> None:
    cost = record(1.0)["samples"]["sampler"]

    assert 0 < cost["cpu_seconds"] < 0.1
    assert cost["cpu_share"] == pytest.approx(cost["cpu_seconds"], rel=0.5)
    assert cost["startup_cpu_seconds"] > 0


@needs_proc
def test_another_process_that_computes_is_seen_in_the_columns() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        found = record(0.6)
        busy.kill()

    assert found["samples"]["summary"]["cpu_busy_seconds"]["total"] > 0.1


def test_a_short_task_is_not_sampled_and_says_so() -> None:
    watched = Recorder()
    watched.begin()
    found = watched.end()

    assert found["samples"] == {"error": "not sampled: the task is declared to be short"}
    assert found is watched.end()


@not_on_windows("the tests have put a simulated driver into its system32")
def test_without_a_driver_the_host_is_sampled_all_the_same() -> None:
    samples = record(device="cuda:0")["samples"]
    if "gpu" not in samples["missing"]:
        pytest.skip("this machine has an NVIDIA driver")

    assert samples["missing"]["gpu"]
    assert samples["times"]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (CRASH, f"the sampler crashed ({CRASHED})"),
        ("raise RuntimeError('broken')", "the sampler ended early: RuntimeError: broken"),
        ("pass", "the sampler ended early: exit status 0"),
        ("print('ready', flush=True); input(); raise SystemExit(7)", "the sampler ended early: exit status 7"),
        ("print('ready', flush=True); input(); print('{')", "the sampler ended early: exit status 0"),
        ("print('ready', flush=True); input(); print('[NaN]')", "the sampler ended early: exit status 0"),
        ("print('ready', flush=True); input(); print('{}')", "the sampler ended early: exit status 0"),
    ],
)
def test_a_child_that_fails_is_an_error_in_one_field(program: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    child(program, monkeypatch)
    found = record()

    assert found["samples"] == {"error": says}
    assert found["seconds"] >= 0


def test_a_child_that_crashes_while_the_task_runs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    child(
        f"print('ready', flush=True); input(); {CRASH}",
        monkeypatch,
    )

    assert record(0.2)["samples"] == {"error": f"the sampler crashed ({CRASHED})"}


@pytest.mark.parametrize(
    ("program", "limit", "says"),
    [
        ("import time; time.sleep(60)", "READY_SECONDS", "not ready"),
        ("import time; print('ready', flush=True); time.sleep(60)", "STOP_SECONDS", "did not stop"),
    ],
)
def test_a_child_that_hangs_is_not_waited_for(
    program: str, limit: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(program, monkeypatch)
    monkeypatch.setattr(sampling, limit, 0.3)
    monkeypatch.setattr(sampling, "END_SECONDS", 0.3)
    began = time.perf_counter()

    assert says in record()["samples"]["error"]
    assert time.perf_counter() - began < 20


def test_a_child_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")

    error = record()["samples"]["error"]
    assert re.fullmatch(r"no child process could be started: (No such file or directory|.* not found\.?)", error)


@not_on_windows("its processes have no limits of this kind")
def test_a_limit_on_processes_that_leaves_no_thread_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: threading.Thread) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(sampling, "END_SECONDS", 0.2)

    assert record()["samples"] == {"error": "the sampler could not be waited for: can't start new thread"}


PARENT = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from harness.agent.telemetry.recorder import Recorder
watched = Recorder()
watched.watch("cpu")
watched.begin()
if sys.argv[2] == "fork" and os.fork() == 0:
    time.sleep(120)
print(watched._sampler.pid, flush=True)
time.sleep(120)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


@needs_proc
@pytest.mark.parametrize("how", ["alone", "fork"])
def test_the_sampler_ends_with_a_parent_that_is_killed(how: str) -> None:
    """Also when a process that the task forked holds the pipe open."""
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(ROOT), how], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        sampler = int(parent.stdout.readline())
        assert alive(sampler)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 20
        while alive(sampler) and time.monotonic() < deadline:
            time.sleep(0.05)
        ended = not alive(sampler)
        if how == "fork":
            os.killpg(parent.pid, signal.SIGKILL)

    assert ended


@needs_proc
def test_ctrl_c_is_the_parents_business(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Recorder()
    watched.watch("cpu")
    watched.begin()
    assert watched._sampler is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(watched._sampler.pid, number)

    assert watched.end()["samples"]["times"]


def test_no_thread_is_left_when_the_task_starts() -> None:
    """A task may fork, which a process of several threads must not."""
    before = threading.active_count()
    watched = Recorder()
    watched.watch("cpu")
    watched.begin()
    during = threading.active_count()
    watched.end()

    assert during == before


def test_the_child_writes_nothing_to_the_agents_streams(capfd: pytest.CaptureFixture[str]) -> None:
    record(0.1)

    assert capfd.readouterr() == ("", "")
