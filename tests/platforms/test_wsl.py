"""A distribution as a platform: a stand-in wsl.exe, a chroot of Debian in the distribution's place, a fake agent."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PureWindowsPath
from typing import cast

import pytest

from harness import stacks
from harness.errors import PlatformError, StackError
from harness.matrix.model import StackConfig
from harness.platforms.wsl import WslPlatform
from harness.runner.outcome import judge
from harness.stacks import Stack
from tests.platforms.jobs import FakeAgent, Launching, driver_stack, quiet, result, wsl_config
from tests.platforms.wsl_machine import NAME, Machine
from tests.program import ROOT
from tests.wheels import build_wheel, write_lock

pytestmark = pytest.mark.docker  # whose base image is the tree that is entered

RUN = "test"
Make = Callable[[Machine, str], WslPlatform]


@pytest.fixture
def make(tmp_path: Path, agent: FakeAgent) -> Iterator[Make]:
    """Return a function that makes a platform of a machine, in a run of its own; closed at the end."""
    made: list[tuple[WslPlatform, Machine]] = []

    def create(machine: Machine, run_id: str = RUN) -> WslPlatform:
        platform = WslPlatform(
            "wsl",
            wsl_config(),
            gpu=False,
            scratch=tmp_path / "scratch" / run_id,
            run_id=run_id,
            agent=agent.path,
            environ=machine.environ,
        )
        made.append((platform, machine))
        return platform

    yield create
    for platform, machine in made:
        platform.close()  # which starts a distribution that was stopped
        machine.stop()


@pytest.fixture
def ready(make: Make, wsl_windows: Machine, agent: FakeAgent, tmp_path: Path) -> Callable[[str], WslPlatform]:
    """Return a function that makes a prepared platform whose agent does what the code says."""

    def prepare(code: str) -> WslPlatform:
        agent.does(code)
        platform = make(wsl_windows, RUN)
        platform.prepare(driver_stack(tmp_path), quiet)
        return platform

    return prepare


Ready = Callable[[str], WslPlatform]


def alive(mark: str) -> bool:
    """Whether a process with this mark in its command line lives anywhere on this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes() and path.with_name("stat").read_text().rpartition(")")[2][1] != "Z":
                return True
        except OSError:
            continue
    return False


def gone(mark: str) -> bool:
    deadline = time.monotonic() + 10
    while alive(mark) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(mark)


def sleeper(mark: str) -> str:
    """Return code of an agent that starts a child which ignores SIGTERM, says that it is ready, and sleeps."""
    child = f"import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(120) # {mark}"
    return f"subprocess.Popen([sys.executable, '-c', {child!r}]); print('ready', flush=True); time.sleep(120)"


def test_a_launch_runs_the_agent_in_a_clean_process(
    ready: Ready, launching: Launching, monkeypatch: pytest.MonkeyPatch, wsl_windows: Machine
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    platform = ready(
        "print('one'); print('grün', file=sys.stderr);"
        "answer(verb=verb, cwd=os.getcwd(), isolated=sys.flags.isolated, environ=dict(os.environ), text='Größe',"
        "input=sys.stdin.read(), leads=os.getpid() == os.getsid(0))"
    )
    job = launching.job()
    end = platform.launch(job, verb="inspect")
    assert (end.exit_code, end.signal, end.timed_out, end.oom) == (0, None, False, False)
    assert end.seconds > 0
    assert launching.lines == ["one"]
    assert "grün" in job.log.read_text("utf-8")
    found = result(job)
    assert (found["verb"], found["isolated"], found["input"], found["leads"]) == ("inspect", 1, "", True)
    assert found["text"] == "Größe"
    assert found["cwd"].startswith("/root/.cache/overhead-matrix/scratch/test/wsl/jobs/")
    assert found["environ"]["CUDA_VISIBLE_DEVICES"] == "1"
    assert found["environ"]["HOME"] == "/root"
    assert not {"WSL_DISTRO_NAME", "TERM", "USERPROFILE", "WSL_UTF8"} & set(found["environ"])
    assert list(wsl_windows.cache.glob("scratch/test/wsl/jobs/*")) == [], "the job's folder is still there"


def test_lines_come_as_they_are_printed(ready: Ready, launching: Launching) -> None:
    platform = ready("print('one', flush=True); time.sleep(1.5); print('two'); answer()")
    came: list[float] = []
    platform.launch(launching.job(on_line=lambda _line: came.append(time.monotonic())))
    assert len(came) == 2
    assert came[1] - came[0] > 1


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("sys.exit(5)", (5, None)),
        ("sys.exit(9)", (9, None)),
        ("os.kill(os.getpid(), signal.SIGKILL)", (None, signal.SIGKILL)),
        ("os.kill(os.getpid(), signal.SIGSEGV)", (None, signal.SIGSEGV)),
    ],
)
def test_endings_are_told_apart(
    ready: Ready, launching: Launching, code: str, ending: tuple[int | None, int | None]
) -> None:
    """For wsl.exe, a signal and a status of the same number are one."""
    end = ready(code).launch(launching.job())
    assert (end.exit_code, end.signal) == ending


def test_a_result_of_some_size_arrives_whole(ready: Ready, launching: Launching) -> None:
    job = launching.job()
    ready("answer(samples=[i / 7 for i in range(200_000)])").launch(job)
    assert result(job)["samples"][-1] == 199_999 / 7


def test_the_agent_is_copied_once(ready: Ready, wsl_windows: Machine, launching: Launching) -> None:
    platform = ready("answer()")
    platform.launch(launching.job())
    (copy,) = (wsl_windows.cache / "agent").iterdir()
    before = copy.stat()
    platform.prepare(driver_stack(wsl_windows.folder), quiet)
    platform.launch(launching.job())
    assert (copy.stat().st_ino, copy.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_timeout_ends_everything_in_the_distribution(ready: Ready, launching: Launching) -> None:
    platform = ready(sleeper("mark-of-a-timeout"))
    end = platform.launch(launching.job(timeout=3))
    assert end.timed_out
    assert launching.lines == ["ready"]
    assert gone("mark-of-a-timeout")


def test_ctrl_c_ends_everything_in_the_distribution(ready: Ready, launching: Launching, wsl_windows: Machine) -> None:
    def interrupt(_line: str) -> None:
        assert alive("mark-of-an-interruption")
        raise KeyboardInterrupt

    platform = ready(sleeper("mark-of-an-interruption"))
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        platform.launch(launching.job(on_line=interrupt))
    assert time.monotonic() - began < 30
    assert gone("mark-of-an-interruption")
    assert list(wsl_windows.cache.glob("scratch/test/wsl/jobs/*")) == []


def test_killing_wsl_exe_ends_the_task_too(ready: Ready, launching: Launching) -> None:
    def kill(_line: str) -> None:
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                parent = stat.read_text("utf-8").rpartition(")")[2].split()[1]
                if int(parent) == os.getpid() and b"bin/wsl.exe" in stat.with_name("cmdline").read_bytes():
                    os.kill(int(stat.parent.name), signal.SIGKILL)

    platform = ready(sleeper("mark-of-a-kill"))
    with pytest.raises(PlatformError, match="wsl: the way to Debian was closed while the task ran"):
        platform.launch(launching.job(on_line=kill))
    assert gone("mark-of-a-kill")


def test_locations_are_there_and_gone_after_the_run(ready: Ready, launching: Launching, wsl_windows: Machine) -> None:
    platform = ready(
        "answer(kinds={each['name']: os.path.isdir(each['path']) for each in spec['locations']},"
        "mounts=[line.split()[1] for line in open('/proc/mounts')])"
    )
    places = platform.locations()
    assert {each.name for each in places} == {"ext4", "mnt-c", "tmpfs"}
    job = launching.job(locations=places)
    platform.launch(job)
    assert set(result(job)["kinds"].values()) == {True}
    temp = wsl_windows.folder / "drive/Windows/Temp"
    assert [path.name for path in temp.iterdir()] == [f"overhead-matrix-{RUN}-wsl"]
    platform.close()
    assert list(temp.iterdir()) == []
    assert list(wsl_windows.cache.glob("scratch/*")) == []


def test_on_windows_the_location_on_the_drive_lies_in_the_runs_own_folder(
    make: Make, wsl_windows: Machine, tmp_path: Path
) -> None:
    platform = make(wsl_windows, RUN)
    platform._scratch = cast(Path, PureWindowsPath("C:/Users/x/scratch"))
    assert platform._windows_folders() == ["/mnt/c/Users/x/scratch", "/mnt/c/Windows/Temp"]


def test_the_distribution_is_kept_running_between_invocations(
    ready: Ready, launching: Launching, wsl_windows: Machine
) -> None:
    """WSL stops one that is idle for 15 s; the next invocation would find it cold and its memory empty."""
    wsl_windows.change(idle_seconds=0.3)
    platform = ready(
        "(place,) = [each['path'] for each in spec['locations'] if each['name'] == 'tmpfs']\n"
        "answer(kept=os.path.exists(place + '/kept')); open(place + '/kept', 'w').close()"
    )
    kept = []
    for _ in range(2):
        job = launching.job(locations=platform.locations())
        platform.launch(job)
        kept.append(result(job)["kept"])
        time.sleep(0.5)
    assert kept == [False, True]
    platform.close()
    time.sleep(0.5)
    before = wsl_windows.wsl("-d", NAME, "--cd", "/", "--exec", "cut", "-d ", "-f22", "/proc/1/stat").stdout
    time.sleep(0.5)
    after = wsl_windows.wsl("-d", NAME, "--cd", "/", "--exec", "cut", "-d ", "-f22", "/proc/1/stat").stdout
    assert int(after) > int(before), "something of the run is left that keeps it running"


def test_without_the_drive_the_location_is_missing_and_said_to_be(wsl_windows: Machine, ready: Ready) -> None:
    wsl_windows.change(distributions={NAME: wsl_windows.distribution(drive="")})
    shutil.rmtree(f"{wsl_windows.root}/mnt/c", ignore_errors=True)
    platform = ready("answer()")
    assert {each.name for each in platform.locations()} == {"ext4", "tmpfs"}
    assert "mnt-c: none of /mnt/c/Windows/Temp is mounted" in platform.facts()["wsl.locations"]["error"]


def test_the_first_start_is_cold_and_apart_from_the_measurement(ready: Ready, wsl_windows: Machine) -> None:
    wsl_windows.change(start_seconds=1.0)
    cold = ready("answer()").facts()
    assert cold["wsl.distribution_state"]["value"] == "Stopped"
    assert cold["wsl.start_cold_seconds"]["value"] > 1.0
    assert 0 < cold["wsl.start_warm_seconds"]["value"] < cold["wsl.start_cold_seconds"]["value"]
    warm = ready("answer()").facts()
    assert warm["wsl.distribution_state"]["value"] == "Running"
    assert warm["wsl.start_cold_seconds"] == {
        "value": None,
        "source": "wsl.exe --exec true, once",
        "error": "the distribution was running",
    }


def test_a_stand_in_is_said_to_be_one_and_nothing_names_a_person(ready: Ready, wsl_windows: Machine) -> None:
    (wsl_windows.folder / "profile/.wslconfig").write_text("[wsl2]\nmemory=8GB\n", encoding="utf-8")
    platform = ready("answer()")
    facts = platform.facts()
    assert facts["wsl.stand_in"]["value"] == "the kernel inside is not WSL's"
    assert facts["wsl.settings"]["value"] == {"wsl2.memory": "8GB"}
    assert facts["wsl.version"]["value"] == "2.6.1.0"
    described = set(re.findall(r"`(wsl\.[a-z_]+)`", (ROOT / "docs/platforms/wsl.md").read_text("utf-8")))
    assert described - {"wsl.conf", "wsl.exe"} <= set(facts)
    assert str(wsl_windows.folder) not in str(facts)
    assert "/root" not in str(facts)
    platform.close()
    assert platform.facts() == {}


def test_a_distribution_that_is_stopped_under_a_task(ready: Ready, launching: Launching, wsl_windows: Machine) -> None:
    platform = ready(
        "print('ready', flush=True)\n"
        "if os.path.exists('/root/again'): answer(places=[os.path.isdir(each['path']) for each in spec['locations']])\n"
        "else: time.sleep(60)"
    )

    def stop(_line: str) -> None:
        wsl_windows.wsl("--terminate", NAME)

    with pytest.raises(PlatformError, match="the distribution Debian was stopped while the task ran") as caught:
        platform.launch(launching.job(on_line=stop))
    assert "\n" not in str(caught.value)
    (wsl_windows.folder / "home/again").touch()
    job = launching.job(locations=platform.locations())
    wsl_windows.wsl("--terminate", NAME)
    end = platform.launch(job)
    assert (end.exit_code, result(job)) == (0, {"places": [True, True, True]})
    assert list(wsl_windows.cache.glob("scratch/test/wsl/jobs/*")) == []


def test_a_distribution_that_can_not_be_started(make: Make, wsl_windows: Machine, tmp_path: Path) -> None:
    wsl_windows.change(start_fault="Der Start ist misslungen.\nFehlercode: Wsl/Service/CreateInstance/0x800705aa")
    platform = make(wsl_windows, RUN)
    assert platform.availability().runnable
    with pytest.raises(PlatformError, match=r"wsl: Windows has not enough memory .* lower `memory` in \.wslconfig"):
        platform.prepare(driver_stack(tmp_path), quiet)


@pytest.mark.parametrize("knows_utf8", [True, False])
def test_a_service_that_fails_between_two_tasks(
    ready: Ready, launching: Launching, wsl_windows: Machine, knows_utf8: bool
) -> None:
    platform = ready("answer()")
    wsl_windows.change(fault="Kaputt.\nFehlercode: Wsl/0x80070422", knows_utf8=knows_utf8)
    with pytest.raises(PlatformError, match="wsl: the service of WSL is switched off"):
        platform.launch(launching.job())
    wsl_windows.change(fault="")
    assert platform.launch(launching.job()).exit_code == 0


@pytest.fixture
def spoilt_root(linux_root: Path) -> Iterator[Callable[[str], Path]]:
    """Return a function that gives a tree whose python3 is a script, or is missing."""
    copy = linux_root.with_name("spoilt")

    def spoil(script: str) -> Path:
        subprocess.run(["cp", "-al", str(linux_root), str(copy)], check=True)
        python = copy / "usr/bin/python3"
        python.unlink()
        if script:
            python.write_text(script, encoding="utf-8")
            python.chmod(0o755)
        return copy

    yield spoil
    shutil.rmtree(copy)


@pytest.mark.parametrize(
    ("script", "problem"),
    [("", "there is no python3 in Debian"), ("#!/bin/sh\nexit 64\n", "python3 in Debian is older than 3.10")],
)
def test_a_distribution_without_a_python_that_will_do(
    make: Make,
    wsl_windows: Machine,
    spoilt_root: Callable[[str], Path],
    tmp_path: Path,
    script: str,
    problem: str,
) -> None:
    wsl_windows.change(distributions={NAME: wsl_windows.distribution(root=str(spoilt_root(script)))})
    with pytest.raises(PlatformError, match=problem) as caught:
        make(wsl_windows, RUN).prepare(driver_stack(tmp_path), quiet)
    assert "wsl -d Debian -u root apt install python3`" in str(caught.value)
    wsl_windows.stop()


def test_a_full_disk_when_the_run_begins(make: Make, wsl_windows: Machine, agent: FakeAgent, tmp_path: Path) -> None:
    agent.does(f"# {'x' * 2_000_000}")
    wsl_windows.change(distributions={NAME: wsl_windows.distribution(home_kib=1024)})
    with pytest.raises(PlatformError, match=r"No space left on device.*Make room"):
        make(wsl_windows, RUN).prepare(driver_stack(tmp_path), quiet)


def test_a_full_disk_when_a_task_begins_and_when_it_ends(
    make: Make, wsl_windows: Machine, agent: FakeAgent, tmp_path: Path, launching: Launching
) -> None:
    agent.does(
        "try: answer(x='y' * 10_000_000)\n"
        "except OSError as error: os.unlink(result_file); sys.exit(f'cannot write {result_file}: {error}')"
    )
    wsl_windows.change(distributions={NAME: wsl_windows.distribution(home_kib=2048)})
    platform = make(wsl_windows, RUN)
    platform.prepare(driver_stack(tmp_path), quiet)
    job = launching.job()
    failed = judge(job, platform.launch(job))
    assert failed.status == "failed"
    assert "No space left on device" in failed.reason
    wsl_windows.wsl("-d", NAME, "--cd", "/root", "--exec", "dd", "if=/dev/zero", "of=rest", "bs=1024")
    with pytest.raises(PlatformError, match=r"No space left on device.*Make room"):
        platform.launch(launching.job())


KILLED = """
import sys
from pathlib import Path
from harness.platforms.wsl import WslPlatform
from tests.platforms.jobs import FakeAgent, Launching, driver_stack, quiet, wsl_config
folder = Path(sys.argv[1])
agent = FakeAgent(path=folder / "fake_agent.py").does(sys.argv[2])
platform = WslPlatform("wsl", wsl_config(), gpu=False, scratch=folder / "scratch" / "killed", run_id="killed",
                       agent=agent.path)
platform.prepare(driver_stack(folder), quiet)
platform.launch(Launching(folder=folder).job(on_line=lambda line: print(line, flush=True)))
"""


def test_the_next_run_ends_and_removes_what_a_killed_one_left(make: Make, wsl_windows: Machine, tmp_path: Path) -> None:
    mark = "mark-of-a-killed-run"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), sleeper(mark)],
        stdout=subprocess.PIPE,
        text=True,
        env=wsl_windows.environ,
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "ready\n"
        platform = make(wsl_windows, RUN)
        platform.prepare(driver_stack(tmp_path), quiet)
        assert alive(mark), "a living run was touched"
        platform.close()
        killed.kill()
        killed.wait()
    assert alive(mark)
    place = wsl_windows.cache / "scratch/killed/wsl"
    temp = wsl_windows.folder / "drive/Windows/Temp/overhead-matrix-killed-wsl"
    assert place.is_dir()
    assert temp.is_dir()
    make(wsl_windows, "next").prepare(driver_stack(tmp_path), quiet)
    assert gone(mark)
    assert not place.parent.exists()
    assert not temp.exists()


def test_resources_are_copied_once(ready: Ready, launching: Launching, wsl_windows: Machine, tmp_path: Path) -> None:
    source = tmp_path / "checkout"
    (source / "deep").mkdir(parents=True)
    (source / "deep/file").write_text("content", encoding="utf-8")
    platform = ready("answer(text=open(spec['resources']['source'] + '/deep/file').read())")
    paths = platform.resources({"source": source})
    for _ in range(2):
        job = launching.job(resources=paths)
        platform.launch(job, resources={"source": source})
        assert result(job) == {"text": "content"}
    assert [path.name.partition("-")[0] for path in (wsl_windows.cache / "resources").iterdir()] == ["checkout"]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    monkeypatch.setenv("OVERHEAD_MATRIX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    write_lock(tmp_path / "requirements.txt", build_wheel(tmp_path / "links"))
    config = StackConfig.model_validate({"requirements": "requirements.txt", "python": "3.11"})
    return stacks.resolve("driver-tiny", config, root=tmp_path, gpu=False)


def test_a_stack_is_installed_from_the_controllers_wheels_once(
    make: Make, wsl_windows: Machine, agent: FakeAgent, tiny: Stack, launching: Launching
) -> None:
    agent.does(
        "import importlib.util as u, tiny;"
        "answer(answer=tiny.answer, python=sys.executable, cached=os.path.exists(tiny.__cached__),"
        "others=[name for name in ('pip', 'setuptools') if u.find_spec(name)])"
    )
    platform = make(wsl_windows, RUN)
    said: list[str] = []
    provenance = platform.prepare(tiny, said.append).provenance
    assert provenance["lock_sha256"] == tiny.lock_sha256
    assert provenance["wheels_sha256"] == stacks.wheels_digest(tiny) != ""
    assert provenance["interpreter"].startswith("~/.cache/overhead-matrix/envs/driver-tiny-")
    assert any("sending tiny-1.0" in line for line in said)
    job = launching.job()
    spec = job.spec
    object.__setattr__(spec, "stack", tiny.name)
    platform.launch(job)
    found = result(job)
    assert (found["answer"], found["cached"], found["others"]) == (42, True, [])
    again: list[str] = []
    environment = next((wsl_windows.cache / "envs").glob("*/complete.json"))
    before = environment.stat().st_mtime_ns
    platform.prepare(tiny, again.append)
    assert not any("sending" in line for line in again)
    assert environment.stat().st_mtime_ns == before


def test_a_stack_whose_python_is_missing_there(make: Make, wsl_windows: Machine, tmp_path: Path, tiny: Stack) -> None:
    config = StackConfig.model_validate({"requirements": "requirements.txt", "python": "3.9"})
    other = stacks.resolve("driver-tiny", config, root=tmp_path, gpu=False)
    with pytest.raises(
        StackError, match=r"there is no Python 3\.9 in Debian\. Install it there: `apt install python3\.9`"
    ):
        make(wsl_windows, RUN).prepare(other, quiet)


def test_availability_and_offers(windows: Machine, make: Make, tmp_path: Path) -> None:
    platform = make(windows, RUN)
    stack = driver_stack(tmp_path)
    assert platform.availability().runnable
    assert platform.offers(stack, "cpu").runnable
    assert "nvidia-smi" in platform.offers(stack, "cuda:0").reason
    windows.change(distributions={"Arch": windows.distribution(version=1)})
    missing = make(windows, RUN).availability()
    assert (missing.runnable, missing.status) == (False, "unavailable")
    assert missing.reason.startswith("wsl: there is no distribution Debian, there are: Arch")
    with pytest.raises(PlatformError, match="wsl: there is no distribution Debian"):
        make(windows, RUN).prepare(stack, quiet)


def test_without_wsl_exe_the_reason_says_where_to_go(tmp_path: Path, launching: Launching) -> None:
    platform = WslPlatform(
        "wsl", wsl_config(), gpu=False, scratch=tmp_path, run_id=RUN, environ={"PATH": str(tmp_path)}
    )
    found = platform.availability()
    assert not found.runnable
    assert "there is no wsl.exe on PATH, and this is Linux" in found.reason
    assert "run `nox -s matrix` inside Debian and report both bundles together" in found.reason
    with pytest.raises(PlatformError, match=r"there is no wsl\.exe"):
        platform.prepare(driver_stack(tmp_path), quiet)
    with pytest.raises(PlatformError, match="stack driver has not been prepared"):
        platform.launch(launching.job())
    platform.close()
