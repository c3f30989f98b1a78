"""What runs on the other host, here without a connection: on every Python that the agent promises to run on."""

from __future__ import annotations

import ast
import base64
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness.platforms import keeper
from tests.agent.interpreters import PROMISED, interpreter

FILE = Path(keeper.__file__)


def request(code: str, **options: float) -> str:
    argv = [sys.executable, "-c", code]
    return json.dumps({"spec": {"cell": "x"}, "argv": argv, "env": {"A": "b"}, "timeout": 60, "lease": 60} | options)


def said_by(output: str) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return what a job printed, by stream, and the last record."""
    streams = {"stdout": b"", "stderr": b""}
    records = [json.loads(line) for line in output.splitlines()]
    for record in records:
        if "stream" in record:
            assert record["offset"] == len(streams[record["stream"]])
            streams[record["stream"]] += base64.b64decode(record["data"])
    return streams, records[-1]


def keep(*arguments: str, python: Path | str = sys.executable) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-I", FILE, *arguments], capture_output=True, text=True, timeout=60, check=False)


def started(job: Path, asked: str) -> subprocess.Popen[str]:
    job.parent.mkdir(parents=True, exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-I", FILE, "run", job, asked, "0", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(pid: int, within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while keeper._start_time(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not keeper._start_time(pid)


def test_it_needs_the_standard_library_alone() -> None:
    tree = ast.parse(FILE.read_text(encoding="utf-8"), feature_version=(3, 10))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize("version", PROMISED)
def test_a_job_on_every_python(version: str, tmp_path: Path) -> None:
    python = interpreter(version)
    said = keep("claim", str(tmp_path / "run"), "{}", python=python)
    assert set(json.loads(said.stdout)) == {"host", "tmpfs"}, said.stderr
    job = tmp_path / "run" / "jobs" / "1"
    code = (
        "import json, os, sys; print(json.load(open('spec.json'))['cell'], dict(os.environ).get('A'), os.getcwd()); "
        "sys.stderr.write('e' * 100_000); json.dump({}, open('result.json', 'w')); sys.exit(3)"
    )
    done = keep("run", str(job), request(code), "0", "0", python=python)
    streams, last = said_by(done.stdout)
    assert streams["stdout"] == f"x b {job}\n".encode()
    assert streams["stderr"] == b"e" * 100_000
    assert last == {"ending": {"status": 3, "why": "ended", "oom": False}, "result": True}
    assert (job / "result.json").stat().st_mode & 0o777 == 0o644
    assert job.stat().st_mode & 0o777 == 0o700
    keep("remove", str(tmp_path / "run"), python=python)
    assert not (tmp_path / "run").exists()
    survey = json.loads(keep("survey", str(tmp_path), python=python).stdout)
    assert (survey["runs"], survey["system"]) == ({}, "Linux")


def test_a_second_call_takes_up_the_same_job(tmp_path: Path) -> None:
    job = tmp_path / "jobs" / "1"
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(2); print('end')"
    with started(job, request(code)) as first:
        assert first.stdout is not None
        first.stdout.readline()
        first.kill()
    done = keep("run", str(job), request(code), "0", "0")
    streams, last = said_by(done.stdout)
    assert len(streams["stdout"].split()) == 2
    assert last["ending"]["status"] == 0
    rest, _ = said_by(
        keep("run", str(job), request(code), str(len(streams["stdout"]) - 4), "0").stdout.replace(
            f'"offset": {len(streams["stdout"]) - 4}', '"offset": 0'
        )
    )
    assert rest["stdout"] == b"end\n"


def test_a_program_that_cannot_be_started_is_told(tmp_path: Path) -> None:
    asked = json.loads(request("")) | {"argv": ["/nowhere/python"]}
    (tmp_path / "jobs").mkdir()
    _, last = said_by(keep("run", str(tmp_path / "jobs" / "1"), json.dumps(asked), "0", "0").stdout)
    assert "/nowhere/python can't be started" in last["ending"]["error"]


def test_timeout_and_children(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)"
    )
    (tmp_path / "jobs").mkdir()
    streams, last = said_by(keep("run", str(tmp_path / "jobs" / "1"), request(code, timeout=1), "0", "0").stdout)
    assert last["ending"] == {"status": -signal.SIGKILL, "why": "timeout", "oom": False}
    assert ended(int(streams["stdout"]))


def test_output_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "MOST_OUTPUT", 1 << 20)
    job = tmp_path / "jobs" / "1"
    job.mkdir(parents=True)
    (job / "lease").touch()
    endless = "while True: print('a' * 1000)"
    watcher = os.fork()
    if watcher == 0:
        keeper.watch(job, json.loads(request(endless)))
        os._exit(0)
    os.waitpid(watcher, 0)
    assert json.loads((job / "ending.json").read_text())["why"] == "output"


def test_a_lease_that_nobody_renews_runs_out(tmp_path: Path) -> None:
    job = tmp_path / "jobs" / "1"
    with started(job, request("import os, time; print(os.getpid(), flush=True); time.sleep(60)", lease=4)) as follower:
        assert follower.stdout is not None
        pid = int(base64.b64decode(json.loads(follower.stdout.readline())["data"]))
        assert not ended(pid, 6), "it is renewed"
        follower.kill()
    assert ended(pid, 30)
    assert json.loads((job / "ending.json").read_text())["why"] == "lease"


def test_a_discarded_job_is_gone(tmp_path: Path) -> None:
    job = tmp_path / "jobs" / "1"
    with started(job, request("import os, time; print(os.getpid(), flush=True); time.sleep(60)")) as follower:
        assert follower.stdout is not None
        pid = int(base64.b64decode(json.loads(follower.stdout.readline())["data"]))
        keep("discard", str(job))
        assert ended(pid, 0)
        assert not job.exists()
        follower.wait(timeout=10)
    assert keep("discard", str(job)).returncode == 0


def test_a_folder_that_cannot_be_made_is_told_in_one_line() -> None:
    done = keep("claim", "/proc/nothing", "{}")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "/proc/nothing" in done.stderr
    assert keep("nonsense").returncode == 1
