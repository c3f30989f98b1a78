"""The host as a platform; the agent is a fake one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import PlatformError
from harness.platforms.native import NativePlatform, environment, guest_note
from tests.platforms.jobs import FakeAgent, Launching, driver_stack, native_config, quiet, result


@pytest.fixture
def platform(tmp_path: Path, agent: FakeAgent) -> Iterator[NativePlatform]:
    made = NativePlatform(
        "native",
        native_config(),
        gpu=False,
        scratch=tmp_path / "scratch" / "test",
        run_id=f"test-{os.getpid()}",
        agent=agent.path,
    )
    made.prepare(driver_stack(tmp_path), quiet)
    yield made
    made.close()


def test_a_launch_runs_the_agent_in_a_clean_process(
    platform: NativePlatform, agent: FakeAgent, launching: Launching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    agent.does(
        "print('one'); answer(verb=verb, cwd=os.getcwd(), isolated=sys.flags.isolated, names=sorted(os.environ))"
    )
    job = launching.job()
    end = platform.launch(job, verb="inspect")
    assert (end.exit_code, end.signal, end.timed_out, end.oom) == (0, None, False, False)
    assert launching.lines == ["one"]
    found = result(job)
    assert (found["verb"], found["cwd"], found["isolated"]) == ("inspect", str(job.folder), 1)
    assert "PATH" in found["names"]
    assert not {"PYTHONPATH", "OMP_NUM_THREADS", "VIRTUAL_ENV"} & set(found["names"])


def test_endings_are_told_apart(platform: NativePlatform, agent: FakeAgent, launching: Launching) -> None:
    agent.does("sys.exit(5)")
    assert platform.launch(launching.job()).exit_code == 5
    agent.does("os.kill(os.getpid(), signal.SIGSEGV)")
    assert platform.launch(launching.job()).signal == signal.SIGSEGV
    agent.does("time.sleep(60)")
    assert platform.launch(launching.job(timeout=0.5)).timed_out


def test_locations_are_there_and_gone_after_the_run(platform: NativePlatform) -> None:
    places = {each.name: Path(each.path) for each in platform.locations()}
    assert "host" in places
    assert all(path.is_dir() for path in places.values())
    platform.close()
    assert not any(path.exists() for path in places.values())
    assert not any(path.parent.exists() for name, path in places.items() if name == "tmpfs")


def test_a_folder_that_is_no_tmpfs_is_not_offered_as_one(tmp_path: Path) -> None:
    platform = NativePlatform(
        "native",
        native_config(),
        gpu=False,
        scratch=tmp_path,
        run_id="test",
        memory_folders=(tmp_path,),
    )
    assert [each.name for each in platform.locations()] == ["host"]


KILLED = """
import sys
from pathlib import Path
from harness.platforms.native import NativePlatform
from tests.platforms.jobs import FakeAgent, Launching, driver_stack, native_config, quiet
folder = Path(sys.argv[1])
agent = FakeAgent(path=folder / "fake_agent.py").does("print(os.getpid(), flush=True); time.sleep(120)")
platform = NativePlatform("native", native_config(), gpu=False, scratch=folder / "scratch" / "killed",
                          run_id="killed-" + sys.argv[2], agent=agent.path)
platform.prepare(driver_stack(folder), quiet)
print(*(each.path for each in platform.locations()), flush=True)
platform.launch(Launching(folder=folder).job(on_line=lambda line: print(line, flush=True)))
"""


def test_the_next_run_ends_and_removes_what_a_killed_one_left(platform: NativePlatform, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), str(os.getpid())], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        places = [Path(part) for part in killed.stdout.readline().split()]
        orphan = int(killed.stdout.readline())
        platform.prepare(driver_stack(tmp_path), quiet)
        assert killed.poll() is None
        assert all(path.is_dir() for path in places), "a living run's folder was touched"
        killed.kill()
        killed.wait()
        os.kill(orphan, 0)
        platform.prepare(driver_stack(tmp_path), quiet)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{orphan}/cmdline").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    state = Path(f"/proc/{orphan}/stat")
    assert not state.exists() or ") Z " in state.read_text(encoding="ascii")
    assert not any(path.exists() for path in places)


def test_availability_by_system() -> None:
    def native(system: str | None) -> NativePlatform:
        return NativePlatform(
            "native",
            native_config(os=system),
            gpu=False,
            scratch=Path("/nowhere"),
            run_id="test",
        )

    assert native(None).availability().runnable
    assert native("linux").availability().runnable
    windows = native("windows").availability()
    assert not windows.runnable
    assert "boot Windows on this machine and run `nox -s matrix` there" in windows.reason


@pytest.mark.parametrize(
    ("here", "wanted", "says"),
    [
        ("Windows", None, ""),
        ("Windows", "windows", ""),
        ("Windows", "linux", "this is Windows; boot Linux on this machine and run `nox -s matrix` there, then report"),
        ("Darwin", None, "native Darwin is not supported; boot Linux or Windows"),
    ],
)
def test_availability_elsewhere(
    here: str, wanted: str | None, says: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("platform.system", lambda: here)
    monkeypatch.setattr("harness.platforms.native.guest_note", lambda _root: "")
    found = NativePlatform(
        "native", native_config(os=wanted), gpu=False, scratch=tmp_path, run_id="test", memory_folders=()
    ).availability()
    assert found.runnable == (not says)
    assert says in found.reason


def test_offers(platform: NativePlatform, tmp_path: Path) -> None:
    stack = driver_stack(tmp_path)
    assert platform.offers(stack, "cpu").runnable
    assert "nvidia-smi" in platform.offers(stack, "cuda:0").reason
    missing = replace(stack, variant="installed", interpreter=str(tmp_path / "python"))
    assert "interpreter" in platform.offers(missing, "cpu").reason
    assert platform.offers(replace(missing, interpreter=sys.executable), "cpu").runnable


def test_a_stack_must_be_prepared_first(tmp_path: Path, launching: Launching) -> None:
    platform = NativePlatform(
        "native",
        native_config(),
        gpu=False,
        scratch=tmp_path,
        run_id="test",
    )
    with pytest.raises(PlatformError, match="stack driver has not been prepared"):
        platform.launch(launching.job())


def test_an_interpreter_that_went_away_is_named(platform: NativePlatform, launching: Launching, tmp_path: Path) -> None:
    platform._environments["driver"] = replace(platform._environments["driver"], interpreter=tmp_path / "python")
    with pytest.raises(PlatformError, match=r"python is not there"):
        platform.launch(launching.job())


def test_resources_are_the_hosts_own_paths(platform: NativePlatform) -> None:
    assert platform.resources({"source": Path("/a/b")}) == {"source": "/a/b"}


ENVIRON = {
    "PATH": "/bin",
    "LC_ALL": "C.UTF-8",
    "PYTHONPATH": "/mine",
    "VIRTUAL_ENV": "/venv",
    "OMP_NUM_THREADS": "1",
    "LD_LIBRARY_PATH": "/driver",
    "CUDA_VISIBLE_DEVICES": "1",
}


def test_what_windows_cannot_do_without_is_kept(tmp_path: Path) -> None:
    needed = {"SYSTEMROOT": r"C:\Windows", "TEMP": r"C:\Temp", "PROGRAMFILES(X86)": r"C:\Program Files (x86)"}
    kept = environment({**needed, "PYTHONHOME": "C:\\"}, driver_stack(tmp_path), tmp_path / "python.exe")
    assert kept == needed


def test_environments(tmp_path: Path) -> None:
    stack = driver_stack(tmp_path)
    clean = {"PATH": "/bin", "LC_ALL": "C.UTF-8", "LD_LIBRARY_PATH": "/driver", "CUDA_VISIBLE_DEVICES": "1"}
    interpreter = tmp_path / "env" / "bin" / "python"
    assert environment(ENVIRON, stack, interpreter) == clean
    assert environment(ENVIRON, replace(stack, variant="installed"), interpreter) == ENVIRON
    packages = tmp_path / "env" / "lib" / "python3.11" / "site-packages" / "nvidia"
    libraries = [packages / name / "lib" for name in ("cublas", "cudnn")]
    for folder in libraries:
        folder.mkdir(parents=True)
    tensorflow = replace(stack, framework="tensorflow", variant="cuda")
    paths = environment(ENVIRON, tensorflow, interpreter)["LD_LIBRARY_PATH"]
    assert paths == ":".join([*map(str, libraries), "/driver"])
    assert environment(ENVIRON, replace(tensorflow, variant="cpu"), interpreter) == clean


def test_the_cuda_libraries_of_a_stack_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.platforms.native.LIBRARIES", ("PATH", "Lib/site-packages/nvidia/*/bin"))
    stack = replace(driver_stack(tmp_path), framework="tensorflow", variant="cuda")
    library = tmp_path / "env" / "Lib" / "site-packages" / "nvidia" / "cudnn" / "bin"
    library.mkdir(parents=True)
    kept = environment(ENVIRON, stack, tmp_path / "env" / "Scripts" / "python.exe")
    assert kept["PATH"] == os.pathsep.join([str(library), "/bin"])


@pytest.mark.parametrize(
    ("file", "text", "note"),
    [
        ("proc/sys/kernel/osrelease", "6.6.87.2-microsoft-standard-WSL2\n", "WSL2"),
        ("proc/sys/kernel/osrelease", "4.4.0-19041-Microsoft\n", "WSL 1:"),
        (".dockerenv", "", "container"),
        ("run/.containerenv", "", "container"),
        ("proc/cpuinfo", "flags\t\t: fpu vme hypervisor lahf_lm\n", "virtual machine"),
        ("proc/cpuinfo", "flags\t\t: fpu vme lahf_lm\n", ""),
    ],
)
def test_a_guest_is_said_to_be_one(tmp_path: Path, file: str, text: str, note: str) -> None:
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(text, encoding="utf-8")
    found = guest_note(tmp_path)
    assert note in found
    assert bool(note) == bool(found)
