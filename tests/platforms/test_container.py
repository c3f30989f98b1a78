"""Containers on the real engine; the agent is a fake one, the image is the driver stack's own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness import images
from harness.errors import PlatformError
from harness.platforms import container_image
from harness.platforms.base import Ending
from harness.platforms.container import ContainerPlatform, ending
from harness.platforms.container_leftovers import labels, reap
from tests.platforms.conftest import TOKEN, of_run
from tests.platforms.jobs import FakeAgent, Launching, container_config, driver_stack, quiet, result

if TYPE_CHECKING:
    from docker import APIClient


def platform_with(container: ContainerPlatform, *, gpu: bool = False, **options: object) -> ContainerPlatform:
    """Return another platform of the same run, prepared, with these options."""
    made = ContainerPlatform(
        "docker-other",
        container_config(**options),
        gpu=gpu,
        scratch=container._scratch,
        run_id=TOKEN,
        agent=container._agent,
    )
    made.prepare(driver_stack(container._scratch), quiet)
    return made


@pytest.fixture
def prepared(container: ContainerPlatform, tmp_path: Path) -> ContainerPlatform:
    container.prepare(driver_stack(tmp_path), quiet)
    return container


# --- without an engine ---


def test_endings() -> None:
    state = {"ExitCode": 0, "OOMKilled": False, "Error": ""}
    assert ending(state, 1.5, "") == Ending(exit_code=0, seconds=1.5)
    assert ending({**state, "OOMKilled": True}, 1.5, "") == Ending(exit_code=0, seconds=1.5)
    assert ending({**state, "ExitCode": 3}, 1.5, "") == Ending(exit_code=3, seconds=1.5)
    assert ending({**state, "ExitCode": 139}, 1.5, "") == Ending(signal=signal.SIGSEGV, seconds=1.5)
    assert ending({**state, "ExitCode": 137}, 1.5, "") == Ending(signal=signal.SIGKILL, seconds=1.5)
    assert ending({**state, "ExitCode": 137, "OOMKilled": True}, 1.5, "") == Ending(oom=True, seconds=1.5)


def test_an_ending_explains_a_lost_gpu() -> None:
    state = {"ExitCode": 1, "OOMKilled": False, "Error": ""}
    found = ending(state, 1.0, "Traceback\nFailed to initialize NVML: Unknown Error\n")
    assert "daemon-reload" in found.detail


def test_what_a_container_cannot_offer(tmp_path: Path) -> None:
    platform = ContainerPlatform("docker", container_config(), gpu=False, scratch=tmp_path, run_id=TOKEN)
    stack = driver_stack(tmp_path)
    assert platform.offers(stack, "cpu").runnable
    installed = platform.offers(replace(stack, variant="installed"), "cpu")
    assert (installed.runnable, installed.status) == (False, "unsupported")
    without = platform.offers(stack, "cuda:0")
    assert (without.runnable, without.status) == (False, "unavailable")
    assert "nvidia-smi" in without.reason
    refused = ContainerPlatform("docker", container_config(gpus="none"), gpu=True, scratch=tmp_path, run_id=TOKEN)
    assert "gpus: none" in refused.offers(stack, "cuda:0").reason
    assert refused.offers(stack, "cpu").runnable


def test_a_stack_must_be_prepared_first(tmp_path: Path, launching: Launching) -> None:
    platform = ContainerPlatform("docker", container_config(), gpu=False, scratch=tmp_path, run_id=TOKEN)
    with pytest.raises(PlatformError, match="stack driver has not been prepared"):
        platform.launch(launching.job())


def test_closing_what_was_never_used_touches_no_engine(tmp_path: Path) -> None:
    config = container_config(engine=f"unix://{tmp_path}/nothing.sock")
    ContainerPlatform("docker", config, gpu=False, scratch=tmp_path, run_id=TOKEN).close()


def test_an_engine_that_is_gone_is_an_error_of_the_platform(tmp_path: Path, agent: FakeAgent) -> None:
    config = container_config(engine=f"unix://{tmp_path}/nothing.sock")
    platform = ContainerPlatform(
        "docker", config, gpu=False, scratch=tmp_path / "scratch" / "t", run_id=TOKEN, agent=agent.path
    )
    with pytest.raises(PlatformError, match=r"docker: no container engine answers.*systemctl start docker"):
        platform.prepare(driver_stack(tmp_path), quiet)


# --- with the engine ---


@pytest.mark.docker
def test_a_launch_runs_the_agent_in_the_stacks_interpreter(
    prepared: ContainerPlatform, agent: FakeAgent, launching: Launching
) -> None:
    agent.does(
        "print('one', flush=True); print('oops', file=sys.stderr, flush=True); print('caf\\u00e9 \\udcff'.encode("
        "'utf-8', 'surrogateescape').decode('utf-8', 'replace'), flush=True); print('last', end='')\n"
        "answer(verb=verb, cwd=os.getcwd(), python=sys.executable, isolated=sys.flags.isolated, cell=spec['cell'], "
        "source=open('/overhead/resources/source/file').read())"
    )
    source = launching.folder / "source"
    source.mkdir(parents=True)
    (source / "file").write_text("content", encoding="utf-8")
    job = launching.job(resources=prepared.resources({"source": source}))
    end = prepared.launch(job, verb="inspect", resources={"source": source})
    assert end == Ending(exit_code=0, seconds=end.seconds)
    assert 0 < end.seconds < 30
    assert launching.lines == ["one", "café �", "last"]
    assert "oops" in job.log.read_text(encoding="utf-8")
    assert result(job) == {
        "verb": "inspect",
        "cwd": "/overhead/work",
        "python": images.PYTHON,
        "isolated": 1,
        "cell": job.spec.cell,
        "source": "content",
    }


@pytest.mark.docker
def test_the_second_preparation_builds_nothing(container: ContainerPlatform, tmp_path: Path) -> None:
    container.prepare(driver_stack(tmp_path), quiet)
    said: list[str] = []
    again = container.prepare(driver_stack(tmp_path), said.append).provenance
    assert container.facts()["container.engine_place"]["value"] == again["engine_place"]
    assert said == []
    assert again["build_seconds"] == 0
    assert again["image_id"].startswith("sha256:")
    assert again["digest"]
    assert again["size"] > 0
    assert again["base_id"].startswith("sha256:")
    assert again["engine"]
    assert again["storage_driver"]
    assert again["cgroup_version"]
    assert again["docker_desktop"] in {True, False}


@pytest.mark.docker
def test_status_signal_and_memory_are_told_apart(
    prepared: ContainerPlatform, agent: FakeAgent, launching: Launching
) -> None:
    agent.does("sys.exit(5)")
    assert prepared.launch(launching.job()).exit_code == 5
    agent.does("os.kill(os.getpid(), signal.SIGSEGV)")
    assert prepared.launch(launching.job()).signal == signal.SIGSEGV
    agent.does("os.kill(os.getpid(), signal.SIGKILL)")
    assert prepared.launch(launching.job()).signal == signal.SIGKILL
    small = platform_with(prepared, memory="64m")
    agent.does("kept = [bytearray(os.urandom(1 << 20)) for _ in range(2000)]")
    end = small.launch(launching.job())
    assert (end.oom, end.exit_code, end.signal) == (True, None, None)
    small.close()


@pytest.mark.docker
def test_a_container_out_of_time_is_killed_and_removed(
    prepared: ContainerPlatform, agent: FakeAgent, launching: Launching, api: APIClient
) -> None:
    agent.does("signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)")
    began = time.monotonic()
    end = prepared.launch(launching.job(timeout=3))
    assert time.monotonic() - began < 15
    assert end.timed_out
    assert launching.lines == ["up"]
    assert of_run(api, TOKEN) == []


@pytest.mark.docker
def test_ctrl_c_leaves_no_container(
    prepared: ContainerPlatform, agent: FakeAgent, launching: Launching, api: APIClient
) -> None:
    pressed: list[float] = []

    def interrupt(_line: str) -> None:
        pressed.append(time.monotonic())
        raise KeyboardInterrupt

    agent.does("signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)")
    with pytest.raises(KeyboardInterrupt):
        prepared.launch(launching.job(on_line=interrupt))
    assert time.monotonic() - pressed[0] < 5
    assert of_run(api, TOKEN) == []


@pytest.mark.docker
def test_output_without_line_ends_goes_through(
    prepared: ContainerPlatform, agent: FakeAgent, launching: Launching
) -> None:
    agent.does("sys.stdout.write('x' * (4 << 20)); sys.stdout.write('\\nend\\n')")
    job = launching.job()
    assert prepared.launch(job).exit_code == 0
    assert launching.lines[-1] == "end"
    assert job.log.stat().st_size == (4 << 20) + 5


KILLED = """
import sys
from pathlib import Path
from harness.platforms.container import ContainerPlatform
from tests.platforms.jobs import FakeAgent, Launching, container_config, driver_stack, quiet
folder = Path(sys.argv[1])
agent = FakeAgent(path=folder / "fake_agent.py").does("print('up', flush=True); time.sleep(120)")
platform = ContainerPlatform("docker", container_config(), gpu=False, scratch=folder / "scratch" / "killed",
                             run_id=sys.argv[2], agent=agent.path)
platform.prepare(driver_stack(folder), quiet)
platform.launch(Launching(folder=folder).job(on_line=lambda line: print(line, flush=True)))
"""


@pytest.mark.docker
def test_the_next_run_removes_what_a_killed_one_left(
    container: ContainerPlatform, tmp_path: Path, api: APIClient
) -> None:
    token = f"{TOKEN}-killed"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path), token], stdout=subprocess.PIPE, text=True
    ) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "up\n"
        reap(api)
        assert len(of_run(api, token)) == 1, "a living run's container was touched"
        killed.kill()
    volume = f"overhead-matrix-{token}-docker"
    assert len(of_run(api, token)) == 1
    assert api.inspect_volume(volume)
    container.prepare(driver_stack(tmp_path), quiet)
    assert of_run(api, token) == []
    assert volume not in {each["Name"] for each in api.volumes()["Volumes"] or ()}
    assert not (tmp_path / "scratch" / "killed").exists()


@pytest.mark.docker
def test_locations_are_writable_and_gone_after_the_run(
    prepared: ContainerPlatform, agent: FakeAgent, launching: Launching, api: APIClient
) -> None:
    agent.does(
        "kinds = {}\n"
        "for line in open('/proc/self/mounts'):\n    kinds[line.split()[1]] = line.split()[2]\n"
        "found = {}\n"
        "for each in spec['locations']:\n"
        "    file = os.path.join(each['path'], 'mark')\n"
        "    found[each['name']] = [os.path.exists(file), kinds.get(each['path'])]\n"
        "    open(file, 'w').close()\n"
        "answer(**found)"
    )
    first, second = (launching.job(locations=prepared.locations()) for _ in range(2))
    prepared.launch(first)
    prepared.launch(second)
    assert {name: known for name, (known, _) in result(first).items()} == dict.fromkeys(
        ("overlay", "bind", "volume", "tmpfs"), False
    )
    again = result(second)
    assert {name for name, (known, _) in again.items() if known} == {"bind", "volume"}
    assert again["tmpfs"][1] == "tmpfs"
    folder = prepared._scratch / prepared.name
    assert (folder / "bind" / "mark").exists()
    prepared.close()
    assert not folder.exists()
    assert not [each for each in api.volumes()["Volumes"] or () if each["Name"] == prepared._volume]


@pytest.mark.docker
def test_options_reach_the_container(
    prepared: ContainerPlatform, agent: FakeAgent, launching: Launching, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    limited = platform_with(
        prepared,
        cpus=0.5,
        cpuset="0",
        memory="256m",
        shm_size="32m",
        ulimits={"nofile": 123},
        environment={"OMP_NUM_THREADS": "1"},
        mounts=[f"{tmp_path / 'data'}:/data:ro"],
    )
    agent.does(
        "import glob, resource\n"
        "def first(*paths):\n"
        "    for path in paths:\n"
        "        if os.path.exists(path):\n            return open(path).read().split()\n"
        "v1 = '/sys/fs/cgroup/cpu/'\n"
        "quota = first('/sys/fs/cgroup/cpu.max', v1 + 'cpu.cfs_quota_us')\n"
        "period = first(v1 + 'cpu.cfs_period_us') or quota[1:]\n"
        "memory = first('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes')\n"
        "shm = os.statvfs('/dev/shm')\n"
        "try:\n    open('/data/x', 'w')\nexcept OSError as error:\n    refused = error.strerror\n"
        "answer(cpus=int(quota[0]) / int(period[0]), memory=int(memory[0]), cpuset=sorted(os.sched_getaffinity(0)), "
        "shm=shm.f_blocks * shm.f_frsize, files=resource.getrlimit(resource.RLIMIT_NOFILE), "
        "threads=os.environ['OMP_NUM_THREADS'], refused=refused, network=os.listdir('/sys/class/net') == ['lo'])"
    )
    job = launching.job()
    assert limited.launch(job).exit_code == 0, job.log.read_text(encoding="utf-8")
    found = result(job)
    assert found == {
        "cpus": 0.5,
        "memory": 256 << 20,
        "cpuset": [0],
        "shm": 32 << 20,
        "files": [123, 123],
        "threads": "1",
        "network": True,
        "refused": "Read-only file system",
    }
    limited.close()


@pytest.mark.docker
@pytest.mark.parametrize(
    ("options", "device", "said"),
    [
        ({"gpus": "all"}, "cuda:0", "NVIDIA Container Toolkit"),
        ({"gpus": "nvidia.com/gpu=all"}, "cuda:0", "CDI"),
        ({"runtime": "no-such-runtime"}, "cpu", "does not know the runtime no-such-runtime"),
        ({"cpus": 4096}, "cpu", "`cpus` is out of range: this host can give 0.01 to"),
        ({"cpuset": "4000"}, "cpu", "`cpuset` names CPUs that are not there"),
        ({"memory": "1k"}, "cpu", "`memory` is less than the engine allows"),
        ({"mounts": ["/no/such/folder:/data"]}, "cpu", "the engine does not see the folder /no/such/folder"),
        ({"mounts": ["/usr:/overhead/work"]}, "cpu", "a mount is not possible"),
        ({"network": "no-such-network"}, "cpu", "the network no-such-network is not known"),
    ],
)
def test_what_the_engine_refuses_is_told_with_its_remedy(
    prepared: ContainerPlatform,
    launching: Launching,
    api: APIClient,
    options: dict[str, Any],
    device: str,
    said: str,
) -> None:
    toolkit = "nvidia" in api.info()["Runtimes"] or shutil.which("nvidia-container-runtime-hook") is not None
    if device != "cpu" and toolkit:
        pytest.skip("this engine has the NVIDIA Container Toolkit: it refuses no GPU")
    platform = platform_with(prepared, gpu=True, **options)
    with pytest.raises(PlatformError) as caught:
        platform.launch(launching.job(device=device))
    assert said in caught.value.problem
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    assert of_run(api, TOKEN) == []
    platform.close()


@pytest.mark.docker
def test_an_image_that_went_away_is_named(prepared: ContainerPlatform, launching: Launching) -> None:
    installed = prepared._installed["driver"]
    gone = replace(installed.image, identity="sha256:" + "0" * 64)
    prepared._installed["driver"] = replace(installed, image=gone)
    with pytest.raises(PlatformError, match=r"is not there .any more.*nox -s images"):
        prepared.launch(launching.job())


@pytest.mark.docker
def test_a_base_image_with_another_python_is_refused(
    container: ContainerPlatform, tmp_path: Path, base_image: str
) -> None:
    stack = replace(driver_stack(tmp_path), python="3.9", requirements=tmp_path / "requirements.txt")
    with pytest.raises(PlatformError, match=f"base image {base_image} has Python 3.*locked for 3.9.*_BASE"):
        container.prepare(stack, quiet)


@pytest.mark.docker
def test_a_vendor_image_is_measured_as_it_is(
    container: ContainerPlatform, agent: FakeAgent, launching: Launching, base_image: str
) -> None:
    vendor = platform_with(container, image=base_image)
    agent.does("answer(isolated=sys.flags.isolated)")
    job = launching.job()
    assert vendor.launch(job).exit_code == 0
    assert result(job) == {"isolated": 0}
    vendor.close()


@pytest.mark.docker
def test_a_build_that_fails_tells_the_engines_words(
    container: ContainerPlatform, tmp_path: Path, api: APIClient
) -> None:
    (tmp_path / "Dockerfile").write_text('ARG BASE\nFROM ${BASE}\nRUN echo "made to fail" && false\n', encoding="utf-8")
    with pytest.raises(PlatformError, match=r"returned a non-zero code: 1.*after: made to fail"):
        container.prepare(replace(driver_stack(tmp_path), image_folder=tmp_path), quiet)


@pytest.mark.docker
def test_an_image_that_cannot_be_pulled_is_told_with_its_remedy(
    container: ContainerPlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OVERHEAD_MATRIX_BASE", "registry.invalid/no/such:image")
    with pytest.raises(PlatformError, match="OVERHEAD_MATRIX_BASE"):
        container.prepare(driver_stack(tmp_path), quiet)


@pytest.mark.docker
def test_a_program_in_a_throw_away_container_that_fails_is_told(api: APIClient, base_image: str) -> None:
    with pytest.raises(PlatformError, match="ended with status 3: bad"):
        container_image.run_in(api, base_image, ["python3", "-c", "print('bad'); raise SystemExit(3)"], labels(TOKEN))
    assert of_run(api, TOKEN) == []


def test_labels_name_the_run_and_its_process() -> None:
    found = labels("token")
    assert found["org.overhead-matrix.run"] == "token"
    assert found["org.overhead-matrix.pid"].isdecimal()
    assert set(found) >= {f"org.overhead-matrix.{name}" for name in ("boot", "start", "host", "namespace")}
    assert json.dumps(found)


@pytest.mark.docker
def test_what_a_container_left_as_root_becomes_the_users(
    prepared: ContainerPlatform, agent: FakeAgent, launching: Launching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here the tests may run as root: another user's id makes root's folders foreign."""
    monkeypatch.setattr("harness.platforms.container.os.getuid", lambda: 12345)
    agent.does("os.makedirs('folder/inner'); open('folder/file', 'w').close()")
    job = launching.job()
    assert prepared.launch(job).exit_code == 0
    names = ("folder", "folder/inner", "folder/file")
    assert [(job.folder / name).stat().st_uid for name in names] == [12345] * 3
