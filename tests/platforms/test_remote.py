"""Another host: this one, through a real sshd on loopback. The agent is a fake one, the keeper the real."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness import stacks
from harness.errors import PlatformError, StackError
from harness.matrix.model import Remote, StackConfig
from harness.platforms import keeper, ssh_host, ssh_job
from harness.platforms.base import Ending
from harness.platforms.owner import Owner, boot_id
from harness.platforms.remote import RemotePlatform, environment
from harness.platforms.ssh_stack import Installed
from harness.stacks import Stack
from tests import wheels
from tests.platforms.jobs import FakeAgent, Launching, driver_stack, quiet, result
from tests.platforms.sshd import LoopbackSshd

pytestmark = pytest.mark.slow
RUN = f"test-{os.getpid()}"


def remote_config(sshd: LoopbackSshd, work: Path, **options: str) -> Remote:
    """The matrix's entry for the loopback server, with a work folder of its own."""
    entry = {"kind": "remote", "host": "loopback", "config": str(sshd.config), "folder": str(work)}
    return Remote.model_validate({**entry, "python": sys.executable, **options})


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The work folder of the other host."""
    return tmp_path / "there"


@pytest.fixture
def platform(sshd: LoopbackSshd, agent: FakeAgent, work: Path, tmp_path: Path) -> Iterator[RemotePlatform]:
    made = RemotePlatform("lab", remote_config(sshd, work), run_id=RUN, agent=agent.path)
    yield made
    made.close()
    assert not list((work / "runs").glob("*"))
    assert not list(Path("/dev/shm").glob(f"*{RUN}*"))  # noqa: S108


def prepared(platform: RemotePlatform, tmp_path: Path) -> RemotePlatform:
    platform.prepare(driver_stack(tmp_path), quiet)
    return platform


def test_a_launch_runs_the_agent_in_a_clean_process(
    platform: RemotePlatform, agent: FakeAgent, launching: Launching, tmp_path: Path, work: Path
) -> None:
    agent.does(
        "print('one'); print('two', file=sys.stderr); answer(verb=verb, cwd=os.getcwd(), group=os.getpgid(0), "
        "pid=os.getpid(), isolated=sys.flags.isolated, names=sorted(os.environ), cell=spec['cell'])"
    )
    prepared(platform, tmp_path)
    job = launching.job()
    end = platform.launch(job, verb="inspect")
    assert (end.exit_code, end.signal, end.timed_out, end.oom) == (0, None, False, False)
    assert launching.lines == ["one"]
    assert sorted(job.log.read_text().split()) == ["one", "two"]
    found = result(job)
    assert (found["verb"], found["isolated"], found["cell"]) == ("inspect", 1, job.spec.cell)
    assert found["group"] == found["pid"]
    assert found["cwd"].startswith(str(work / "runs"))
    assert not Path(found["cwd"]).exists()
    assert "PATH" in found["names"]
    assert not {"PYTHONPATH", "OMP_NUM_THREADS", "SSH_CONNECTION", "SSH_CLIENT"} & set(found["names"])


def is_over(pid: int, within: float = 5.0) -> bool:
    """Whether a process ends within so many seconds; a zombie has ended."""
    deadline = time.monotonic() + within
    while keeper._start_time(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not keeper._start_time(pid)


def test_endings_are_told_apart(
    platform: RemotePlatform, agent: FakeAgent, launching: Launching, tmp_path: Path
) -> None:
    agent.does(
        "print(os.getpid(), flush=True)\n"
        "if spec['seed'] == 5: sys.exit(5)\n"
        "if spec['seed'] == 6: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN); subprocess.run(['sleep', '60'])"
    )
    prepared(platform, tmp_path)

    def ended(seed: int, timeout: float) -> Ending:
        job = launching.job(timeout=timeout)
        return platform.launch(replace(job, spec=replace(job.spec, seed=seed)))

    assert ended(5, 60).exit_code == 5
    assert ended(6, 60).signal == signal.SIGSEGV
    assert ended(7, 1).timed_out
    assert is_over(int(launching.lines[-1]))


def test_lines_come_while_the_agent_runs(
    platform: RemotePlatform, agent: FakeAgent, launching: Launching, tmp_path: Path
) -> None:
    agent.does(
        "print('now', flush=True)\nfor _ in range(300):\n    if os.path.exists(spec['task']): break\n    time.sleep(.1)"
    )
    prepared(platform, tmp_path)
    mark = tmp_path / "mark"

    def write(line: str) -> None:
        mark.write_text(line)

    job = launching.job(on_line=write)
    assert platform.launch(replace(job, spec=replace(job.spec, task=str(mark)))).exit_code == 0
    assert mark.read_text() == "now"


DROPPED = """
print("a" * 100, flush=True)
sys.stdout.buffer.write(b"half a line, "); sys.stdout.flush()
for number in range(40):
    print(number, "\u00e4", flush=True); print("e", number, file=sys.stderr, flush=True); time.sleep(0.1)
answer(done=True)
"""


@pytest.mark.parametrize("spoil", [LoopbackSshd.drop, LoopbackSshd.restart], ids=["sessions killed", "sshd restarted"])
def test_a_drop_in_the_middle_loses_nothing(
    platform: RemotePlatform,
    agent: FakeAgent,
    launching: Launching,
    tmp_path: Path,
    sshd: LoopbackSshd,
    spoil: Callable[[LoopbackSshd], None],
) -> None:
    agent.does(DROPPED)
    prepared(platform, tmp_path)
    spoilers: list[threading.Thread] = []

    def spoiling(line: str) -> None:
        launching.lines.append(line)
        if line in {"5 ä", "25 ä"}:
            spoilers.append(threading.Thread(target=spoil, args=(sshd,)))
            spoilers[-1].start()

    job = launching.job(on_line=spoiling)
    end = platform.launch(job)
    for thread in spoilers:
        thread.join()
    assert end.exit_code == 0
    assert result(job) == {"done": True}
    assert launching.lines == ["a" * 100, "half a line, 0 ä", *(f"{number} ä" for number in range(1, 40))]
    assert (sshd.folder / "sshd.log").read_text().count("Accepted publickey") >= 3
    assert [line for line in job.log.read_text().splitlines() if line.startswith("e")] == [f"e {n}" for n in range(40)]


def test_a_host_that_stays_away_is_told_in_one_line(
    platform: RemotePlatform,
    agent: FakeAgent,
    launching: Launching,
    tmp_path: Path,
    sshd: LoopbackSshd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent.does("print(os.getpid(), flush=True); time.sleep(120)")
    prepared(platform, tmp_path)
    monkeypatch.setattr(ssh_host, "LEASE", 2.0)
    platform._host._patience = 2.0

    def leave(line: str) -> None:
        launching.lines.append(line)
        sshd.stop()

    with pytest.raises(PlatformError, match=r"^lab: loopback: no ssh server listens there .*sshd"):
        platform.launch(launching.job(on_line=leave))
    again = time.monotonic()
    with pytest.raises(PlatformError, match="no ssh server"):  # it is not waited for a second time
        platform.launch(launching.job())
    assert time.monotonic() - again < 15
    sshd.start()
    platform.close()
    assert is_over(int(launching.lines[0]))


def test_a_job_that_nobody_follows_ends_by_itself(
    platform: RemotePlatform,
    agent: FakeAgent,
    launching: Launching,
    tmp_path: Path,
    sshd: LoopbackSshd,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    agent.does("print(os.getpid(), flush=True); time.sleep(120)")
    prepared(platform, tmp_path)
    monkeypatch.setattr(ssh_job, "LEASE", 4.0)
    platform._host._patience = 60.0

    def away() -> None:
        sshd.stop()
        is_over(int(launching.lines[0]), 30)
        sshd.start()

    leaving: list[threading.Thread] = []

    def leave(line: str) -> None:
        launching.lines.append(line)
        leaving.append(threading.Thread(target=away))
        leaving[-1].start()

    with pytest.raises(PlatformError, match="out of reach"):
        platform.launch(launching.job(on_line=leave))
    leaving[0].join()
    assert is_over(int(launching.lines[0]), 0)


def test_ctrl_c_ends_the_process_there(
    platform: RemotePlatform, agent: FakeAgent, launching: Launching, tmp_path: Path, work: Path
) -> None:
    agent.does("signal.signal(signal.SIGINT, signal.SIG_IGN); print(os.getpid(), flush=True); time.sleep(120)")
    prepared(platform, tmp_path)
    seen: list[str] = []

    def interrupt(line: str) -> None:
        seen.append(line)
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        platform.launch(launching.job(on_line=interrupt))
    assert is_over(int(seen[0]), 0)
    assert time.monotonic() - began < 60
    assert not list(work.glob("runs/*/jobs/*"))


KILLED = """
import sys
from pathlib import Path
from harness.matrix.model import Remote
from harness.platforms.remote import RemotePlatform
from tests.platforms.jobs import FakeAgent, Launching, driver_stack, quiet
folder = Path(sys.argv[1])
agent = FakeAgent(path=folder / "killed_agent.py").does("print(os.getpid(), flush=True); time.sleep(120)")
config = Remote.model_validate_json(sys.argv[2])
platform = RemotePlatform("lab", config, run_id=sys.argv[3], agent=agent.path)
platform.prepare(driver_stack(folder), quiet)
print(*(each.path for each in platform.locations()), flush=True)
platform.launch(Launching(folder=folder).job(on_line=lambda line: print(line, flush=True)))
"""


def test_the_next_run_ends_and_removes_what_a_killed_one_left(
    platform: RemotePlatform, sshd: LoopbackSshd, work: Path, tmp_path: Path
) -> None:
    config = remote_config(sshd, work).model_dump_json()
    argv = [sys.executable, "-c", KILLED, str(tmp_path), config, f"killed-{os.getpid()}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        places = [Path(part) for part in killed.stdout.readline().split()]
        orphan = int(killed.stdout.readline())
        prepared(platform, tmp_path)
        assert killed.poll() is None
        assert all(path.is_dir() for path in places), "a living run's folder was touched"
        assert not is_over(orphan, 0)
        killed.kill()
        killed.wait()
    assert not is_over(orphan, 0)
    platform.close()
    platform._host.survey = None
    prepared(platform, tmp_path)
    assert is_over(orphan)
    assert not any(path.exists() for path in places)


def test_a_killed_runs_process_does_not_go_on_for_ever(
    platform: RemotePlatform, sshd: LoopbackSshd, work: Path, tmp_path: Path
) -> None:
    """Without any next run: the lease that nobody renews."""
    config = remote_config(sshd, work).model_dump_json()
    code = "from harness.platforms import ssh_job\nssh_job.LEASE = 5.0\n" + KILLED
    argv = [sys.executable, "-c", code, str(tmp_path), config, f"killed-{os.getpid()}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        killed.stdout.readline()
        orphan = int(killed.stdout.readline())
        assert not is_over(orphan, 8), "a job that is followed goes on"
        killed.kill()
        killed.wait()
    assert is_over(orphan, 40)
    prepared(platform, tmp_path)


def test_a_watcher_that_is_killed_is_told_and_its_agent_ended(
    platform: RemotePlatform, agent: FakeAgent, launching: Launching, tmp_path: Path, work: Path
) -> None:
    agent.does("print(os.getpid(), flush=True); time.sleep(120)")
    prepared(platform, tmp_path)
    seen: list[int] = []

    def kill_watcher(line: str) -> None:
        seen.append(int(line))
        (watcher,) = work.glob("runs/*/jobs/*/watcher.json")
        os.kill(json.loads(watcher.read_text())["pid"], signal.SIGKILL)

    with pytest.raises(PlatformError, match="watcher was killed there"):
        platform.launch(launching.job(on_line=kill_watcher))
    assert is_over(seen[0])


def test_locations_are_there_and_gone_after_the_run(platform: RemotePlatform, tmp_path: Path) -> None:
    assert platform.locations() == ()
    prepared(platform, tmp_path)
    places = {each.name: Path(each.path) for each in platform.locations()}
    assert set(places) == {"host", "tmpfs"}
    assert all(path.is_dir() for path in places.values())
    assert str(places["tmpfs"]).startswith("/dev/shm/")  # noqa: S108
    platform.close()
    assert not any(path.exists() for path in places.values())


def test_resources_are_sent_once(
    platform: RemotePlatform, agent: FakeAgent, launching: Launching, tmp_path: Path, work: Path
) -> None:
    source = tmp_path / "checkout"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("content")
    assert platform.resources({"source": source}) == {}
    agent.does("answer(text=open(spec['resources']['source'] + '/deep/file').read())")
    prepared(platform, tmp_path)
    there = platform.resources({"source": source})
    assert not list(work.glob("kept/source*"))
    for _ in range(2):
        job = launching.job(resources=there)
        platform.launch(job, resources={"source": source})
        assert result(job) == {"text": "content"}
    assert [str(path) for path in work.glob("kept/source*")] == [there["source"]]


def test_the_agent_is_sent_once(
    platform: RemotePlatform, agent: FakeAgent, tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared(platform, tmp_path)
    (there,) = work.glob("kept/agent-*.py")
    assert there.read_bytes() == agent.path.read_bytes()
    before = there.stat().st_mtime_ns
    prepared(platform, tmp_path)
    assert there.stat().st_mtime_ns == before


def test_facts_say_that_it_is_this_very_host(
    platform: RemotePlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert platform.facts() == {}
    prepared(platform, tmp_path)
    facts = {name: fact["value"] for name, fact in platform.facts().items()}
    assert facts["remote.same_host"] is True
    assert facts["remote.stand_in"] == "this very host through ssh"
    assert str(facts["remote.client"]).startswith("OpenSSH")
    survey = platform._host.reach()
    assert survey.boot_id == boot_id()
    platform._host.survey = replace(survey, boot_id="another")
    facts = {name: fact["value"] for name, fact in platform.facts().items()}
    assert facts["remote.same_host"] is False
    assert "remote.stand_in" not in facts


def test_availability_needs_no_network(sshd: LoopbackSshd, work: Path, tmp_path: Path) -> None:
    sshd.stop()
    made = RemotePlatform("lab", remote_config(sshd, work), run_id=RUN)
    assert made.availability().runnable
    (tmp_path / "wrong").write_text("Nonsense yes\n")
    wrong = RemotePlatform("lab", remote_config(sshd, work, config=str(tmp_path / "wrong")), run_id=RUN)
    assert "configuration is wrong" in wrong.availability().reason
    with pytest.raises(PlatformError, match=r"^lab: loopback: no ssh server listens"):
        made.prepare(driver_stack(tmp_path), quiet)
    sshd.start()
    with pytest.raises(PlatformError, match="no ssh server"):  # each stack of the run would wait for it
        made.prepare(driver_stack(tmp_path), quiet)
    made.close()
    assert not work.exists()


def test_the_default_matrix_names_nobodys_host() -> None:
    made = RemotePlatform("lab", Remote.model_validate({"kind": "remote", "host": "user@lab.example"}), run_id=RUN)
    assert not made.availability().runnable
    assert "lab.example is a placeholder; name a host of yours" in made.availability().reason


def test_offers(platform: RemotePlatform, tmp_path: Path) -> None:
    stack = driver_stack(tmp_path)
    assert platform.offers(stack, "cpu").runnable
    assert platform.offers(stack, "cuda:0").runnable, "not known before the host is reached"
    installed = platform.offers(replace(stack, variant="installed"), "cpu")
    assert (installed.runnable, installed.status) == (False, "unsupported")
    prepared(platform, tmp_path)
    platform._host.survey = replace(platform._host.reach(), gpu=False)
    assert "no NVIDIA GPU" in platform.offers(stack, "cuda:0").reason
    platform._host.survey = replace(platform._host.reach(), gpu=True)
    assert platform.offers(stack, "cuda:0").runnable


def test_a_stack_must_be_prepared_first(platform: RemotePlatform, launching: Launching) -> None:
    with pytest.raises(PlatformError, match="stack driver has not been prepared"):
        platform.launch(launching.job())


def old_python(folder: Path, version: str) -> str:
    """Write a stand-in for a Python that says it is another version than it is."""
    path = folder / f"python{version}"
    path.write_text(f"#!/bin/sh\necho 'python {version} '$0\n")
    path.chmod(0o755)
    return str(path)


def test_without_a_python_there(sshd: LoopbackSshd, work: Path, tmp_path: Path) -> None:
    for python, problem in (
        ("/nowhere/python", r"has no Python at all"),
        (old_python(tmp_path, "3.9"), r"Python 3.10 or later is needed, and `python: \S+` has only 3.9"),
    ):
        made = RemotePlatform("lab", remote_config(sshd, work, python=python), run_id=RUN)
        with pytest.raises(PlatformError, match=problem + r"\. Install it there, or name its path by `python`"):
            made.prepare(driver_stack(tmp_path), quiet)
        made.close()


def test_the_first_python_that_fits_is_taken(sshd: LoopbackSshd, work: Path, agent: FakeAgent, tmp_path: Path) -> None:
    config = Remote.model_validate({**remote_config(sshd, work).model_dump(), "python": None})
    made = RemotePlatform("lab", config, run_id=RUN, agent=agent.path)
    made.prepare(driver_stack(tmp_path), quiet)
    survey = made._host.reach()
    assert all(Path(path).is_file() for _, path in survey.pythons)
    assert made._host.python("3.11", exactly=True) == next(path for had, path in survey.pythons if had == "3.11")
    with pytest.raises(PlatformError, match=r"Python 3\.99 is needed"):
        made._host.python("3.99", exactly=True)
    made.close()


def test_a_full_disk_there_is_told(sshd: LoopbackSshd, tmp_path: Path, small_disk: Callable[[int], Path]) -> None:
    made = RemotePlatform("lab", remote_config(sshd, small_disk(64) / "work"), run_id=RUN)
    with pytest.raises(PlatformError, match=r"disk is full there .*`folder`"):
        made.prepare(driver_stack(tmp_path), quiet)
    made.close()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack of one tiny wheel, which pip finds in a folder."""
    wheel = wheels.build_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("OVERHEAD_MATRIX_CACHE", str(tmp_path / "cache"))
    wheels.write_lock(tmp_path / "tiny.txt", wheel)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    config = StackConfig.model_validate({"requirements": "tiny.txt", "python": version})
    return stacks.resolve("driver-tiny", config, root=tmp_path, gpu=False)


def test_a_stacks_wheels_are_sent_and_installed_there(
    platform: RemotePlatform, agent: FakeAgent, launching: Launching, tmp_path: Path, work: Path, tiny: Stack
) -> None:
    agent.does(
        "import tiny, importlib.util\n"
        "answer(answer=tiny.answer, prefix=sys.prefix, pip=importlib.util.find_spec('pip') is not None)"
    )
    said: list[str] = []
    first = platform.prepare(tiny, said.append)
    assert any("sending wheel 1 of 1, tiny-1.0" in line for line in said)
    assert first.provenance["wheels_sha256"] == stacks.wheels_digest(tiny)
    job = launching.job()
    job = replace(job, spec=replace(job.spec, stack=tiny.name))
    assert platform.launch(job).exit_code == 0
    found = result(job)
    assert (found["answer"], found["pip"]) == (42, False)
    assert found["prefix"].startswith(str(work / "envs"))
    compiled = list(Path(found["prefix"]).glob("lib/python3.*/site-packages/__pycache__/tiny.*.pyc"))
    assert compiled, "the first import must not cost more than elsewhere"
    said.clear()
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.whl")}
    platform.prepare(tiny, said.append)
    assert not any("sending" in line for line in said)
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*.whl")} == before
    ((wheel, _),) = before.items()
    wheel.write_bytes(wheel.read_bytes() + b"altered")
    next(work.glob("envs/*/complete")).unlink()
    with pytest.raises(StackError, match=r"driver-tiny on loopback: a wheel is not the one that was locked"):
        platform.prepare(tiny, quiet)


def test_wheels_of_another_kind_of_machine_are_not_sent(platform: RemotePlatform, work: Path, tiny: Stack) -> None:
    platform._host.survey = replace(platform._host.reach(), machine="riscv64")
    with pytest.raises(PlatformError, match=r"it is Linux on riscv64.*nox -s matrix. there"):
        platform.prepare(tiny, quiet)
    assert not list(work.rglob("*.whl"))


def test_environments(tmp_path: Path) -> None:
    environ = {
        "PATH": "/bin", "LC_ALL": "C.UTF-8", "PYTHONPATH": "/mine", "SSH_CLIENT": "x", "OMP_NUM_THREADS": "1",
        "LD_LIBRARY_PATH": "/driver", "CUDA_VISIBLE_DEVICES": "1",
    }  # fmt: skip
    stack = driver_stack(tmp_path)
    clean = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": "/driver", "CUDA_VISIBLE_DEVICES": "1"}
    assert environment(environ, Installed(stack=stack, python="python3")) == clean
    libraries = ("/env/nvidia/cublas/lib", "/env/nvidia/cudnn/lib")
    tensorflow = Installed(stack=replace(stack, framework="tensorflow"), python="python3", libraries=libraries)
    assert environment(environ, tensorflow)["LD_LIBRARY_PATH"] == ":".join([*libraries, "/driver"])
    assert environment(environ, replace(tensorflow, libraries=())) == clean


def test_leftovers_of_others_stay(platform: RemotePlatform, work: Path, tmp_path: Path) -> None:
    other = work / "runs" / "other-lab"
    other.mkdir(parents=True)
    record = replace(Owner.of(os.getpid()), host="another", start="1").record()
    (other / "owner.json").write_text(json.dumps(record))
    prepared(platform, tmp_path)
    assert other.is_dir()
    gone = replace(Owner.of(os.getpid()), start="1").record()
    (other / "owner.json").write_text(json.dumps(gone))
    platform._host.survey = None
    prepared(platform, tmp_path)
    assert not other.exists()
