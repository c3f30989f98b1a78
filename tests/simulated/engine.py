"""A Docker daemon of the tests' own, in which `--gpus all` gives a container the simulated driver.

It lives in namespaces of its own (network, mounts, processes) with its images in memory, so that it touches no other
daemon of the machine, and the kernel ends everything in it, containers too, at the latest with the process that
started it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from docker.errors import DockerException

from harness.platforms import engine
from tests.simulated import runtime_hook
from tests.simulated.driver import SimulatedDriver

HOOK = "nvidia-container-runtime-hook"
PREFIX = "simulated-engine-"
PROGRAMS = ("dockerd", "unshare", "setpriv")
START_SECONDS = 90.0
END_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class SimulatedEngine:
    """The running daemon: its address for DOCKER_HOST, and the folder of its hook."""

    host: str
    hook: Path

    def plant(self, driver: SimulatedDriver) -> None:
        """Let the containers that start from now on have this driver."""
        driver.install(self.hook)


@contextmanager
def simulated_engine(*images: str) -> Iterator[SimulatedEngine]:
    """Start a daemon that has these images of the ordinary engine; skip the test where that can't be."""
    _require()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        folder = Path(name)
        started = SimulatedEngine(host=f"unix://{folder}/docker.sock", hook=_hook(folder / "hook"))
        log = folder / "log"
        with log.open("wb") as output:
            daemon = subprocess.Popen(
                _command(folder), env=_environment(started.hook), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            _wait(started.host, daemon, log)
            for image in images:
                _import(image, started.host)
            yield started
        finally:
            _end(daemon)


def _require() -> None:
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("a Docker daemon of the tests' own needs root")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def _hook(folder: Path) -> Path:
    """Lay out the hook under the name that the daemon looks for, beside what it copies."""
    SimulatedDriver().install(folder)
    program = folder / HOOK
    shutil.copy(runtime_hook.__file__, program)
    program.chmod(0o755)
    return folder


def _command(folder: Path) -> Sequence[str]:
    """Each program starts the next; whichever ends takes what it started with it.

    Images and containers lie in memory that is mounted in the daemon's own namespace only, and ends with it.
    """
    memory = 'mkdir "$0" && mount -t tmpfs -o size=75% images "$0" && exec dockerd "$@"'
    return (
        *("setpriv", "--pdeathsig", "KILL"),
        *("unshare", "--net", "--mount", "--propagation", "slave", "--pid", "--fork", "--kill-child", "--mount-proc"),
        *("sh", "-c", memory, f"{folder}/data"),
        *("--host", f"unix://{folder}/docker.sock", "--pidfile", f"{folder}/pid"),
        *("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--cgroup-parent", f"/{_cgroup()}"),
        *("--containerd-namespace", _cgroup(), "--containerd-plugins-namespace", f"{_cgroup()}-plugins"),
        *("--iptables=false", "--group", str(os.getgid())),
    )


def _environment(hook: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{hook}:{os.environ.get('PATH', os.defpath)}"}


def _wait(host: str, daemon: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and daemon.poll() is None:
        with suppress(DockerException), closing(engine.connect(host)):
            return
        time.sleep(0.2)
    said = log.read_text(encoding="utf-8", errors="replace")[-4000:]
    pytest.fail(f"the tests' own dockerd did not come up:\n{said}")


def _import(image: str, host: str) -> None:
    with closing(engine.connect(None)) as ordinary, closing(engine.connect(host, timeout=300)) as own:
        archive = ordinary.images.get(image).save(named=image)
        for _ in own.api.load_image(archive):  # type: ignore[no-untyped-call]
            pass
        own.images.get(image)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    """Kill the first process of the namespaces, and all in them with it; control groups belong to no namespace."""
    with suppress(OSError):  # it has ended already
        for child in Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text(encoding="ascii").split():
            os.kill(int(child), signal.SIGKILL)
    try:
        daemon.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
    groups = Path("/sys/fs/cgroup")
    for top in [*groups.glob(f"*/{_cgroup()}"), *groups.glob(_cgroup())]:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                Path(folder).rmdir()


def _cgroup() -> str:
    return f"{PREFIX}{os.getpid()}"
