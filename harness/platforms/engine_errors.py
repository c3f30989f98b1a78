"""What a container engine says when something fails, and what that means for the user: one table.

The texts vary between versions and vendors, so they are matched by pattern. What no row knows still comes out as one
line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.errors import PlatformError


@dataclass(frozen=True, kw_only=True)
class Row:
    """A pattern of the engine's text (case ignored), what it means, and what to do."""

    pattern: str
    problem: str
    remedy: str


BASE_REMEDY = "Set OVERHEAD_MATRIX_BASE to an image that is there (`docker images`), or connect to the registry."

TABLE = (
    # GPU
    Row(
        pattern=r'could not select device driver "?"? ?with capabilities: \[\[gpu',
        problem="the engine knows no GPUs: the NVIDIA Container Toolkit is missing, or the engine has not been "
        "restarted since, or it is a snap or Docker Desktop without GPU support",
        remedy="Install nvidia-container-toolkit, run `sudo nvidia-ctk runtime configure --runtime=docker` and "
        "`sudo systemctl restart docker`.",
    ),
    Row(
        pattern=r'could not select device driver "?cdi"?',
        problem="CDI is switched off in the engine, or the engine is older than 25",
        remedy='Add {"features": {"cdi": true}} to /etc/docker/daemon.json and restart docker, or set `gpus: all`.',
    ),
    Row(
        pattern=r"unresolvable CDI devices|CDI device injection failed",
        problem="the CDI device is not known to the engine",
        remedy="List the devices with `nvidia-ctk cdi list`; make their specification with "
        "`sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml`.",
    ),
    Row(
        pattern=r"unknown (or invalid )?runtime(?: name| specified)?:? \"?(?P<what>[\w.-]+)",
        problem="the engine does not know the runtime {what}",
        remedy="For NVIDIA's, run `sudo nvidia-ctk runtime configure --runtime=docker` and restart docker; or remove "
        "`runtime` in matrix.yaml.",
    ),
    Row(
        pattern=r"load library failed: (?P<what>lib[\w.+-]+)|nvidia-container-cli: initialization error",
        problem="the NVIDIA Container Toolkit is there, but the NVIDIA driver is missing or can't be seen",
        remedy="`nvidia-smi` must work on the host; install the driver, or reboot after an update of it.",
    ),
    Row(
        pattern=r"unknown device|nvidia-container-cli: device error",
        problem="the GPU that `gpus` names is not there",
        remedy="List the GPUs with `nvidia-smi -L` and correct `gpus` in matrix.yaml.",
    ),
    Row(
        pattern=r"Failed to initialize NVML: Unknown Error",
        problem="the container has lost its GPU: a `systemctl daemon-reload` took it away",
        remedy="Run the cell again, in a new container; the CDI names (`gpus: nvidia.com/gpu=all`) avoid it.",
    ),
    # options
    Row(
        pattern=r"range of CPUs is from (?P<what>[\d.]+ to [\d.]+)",
        problem="`cpus` is out of range: this host can give {what}",
        remedy="Correct `cpus` in matrix.yaml.",
    ),
    Row(
        pattern=r"requested CPUs are not available.*available: (?P<what>[\d,-]+)",
        problem="`cpuset` names CPUs that are not there: this host has {what}",
        remedy="Correct `cpuset` in matrix.yaml.",
    ),
    Row(
        pattern=r"minimum memory limit",
        problem="`memory` is less than the engine allows",
        remedy="Raise `memory` in matrix.yaml.",
    ),
    Row(
        pattern=r"NanoCPUs can not be set|CPU CFS (scheduler|quota)|cgroup is not mounted|discarded",
        problem="the engine cannot apply a limit of this platform",
        remedy="A rootless engine needs cgroup v2 with delegation; use the system's engine, or remove the limit.",
    ),
    Row(
        pattern=r"bind source path does not exist:? *(?P<what>\S+)",
        problem="the engine does not see the folder {what}",
        remedy="It must exist on the host that the engine runs on; correct `mounts`, or OVERHEAD_MATRIX_CACHE if the "
        "harness itself runs in a container.",
    ),
    Row(
        pattern=r"mounts denied|is not shared from the host|Filesharing",
        problem="Docker Desktop does not share a folder that is mounted",
        remedy="Add it under Settings, Resources, File sharing.",
    ),
    Row(
        pattern=r"invalid mount config|invalid mount path|duplicate mount point:? *(?P<what>\S*)",
        problem="a mount is not possible",
        remedy="Correct `mounts` in matrix.yaml; /overhead is the harness's own.",
    ),
    Row(
        pattern=r"network (?P<what>\S+) not found",
        problem="the network {what} is not known to the engine",
        remedy="`docker network ls` lists them; correct `network` in matrix.yaml.",
    ),
    Row(
        pattern=r"invalid ulimit|ulimit",
        problem="a limit in `ulimits` is not possible",
        remedy="Correct `ulimits` in matrix.yaml.",
    ),
    # images
    Row(
        pattern=r"manifest for (?P<what>\S+) not found|manifest unknown|pull access denied for (?P<denied>[^\s,]+)"
        r"|repository does not exist|requested access to the resource is denied",
        problem="the registry has no such image, or wants a login",
        remedy="Correct the name (`image` in matrix.yaml, OVERHEAD_MATRIX_BASE), or `docker login`.",
    ),
    Row(
        pattern=r"toomanyrequests|rate limit",
        problem="the registry refuses more pulls for now",
        remedy=f"`docker login`, wait, or use an image that is there. {BASE_REMEDY}",
    ),
    Row(
        pattern=r"dial tcp|lookup \S+|no such host|TLS handshake|x509:|i/o timeout|Client\.Timeout|registry-1|"
        r"connection reset by peer|proxyconnect|server misbehaving|request canceled while waiting",
        problem="the image can't be pulled: the registry does not answer",
        remedy=BASE_REMEDY,
    ),
    Row(
        pattern=r"no such image:? *(?P<what>[^\s,]*)",
        problem="the image {what} is not there (any more)",
        remedy="Run `nox -s images`.",
    ),
    Row(
        pattern=r"no matching manifest|does not match the specified platform|exec format error",
        problem="the image is made for another processor",
        remedy="Name one for this host's architecture.",
    ),
    Row(
        pattern=r"\"?docker-init\"?: executable file not found",
        problem="the engine lacks its init program",
        remedy="Install `tini` or the engine's docker-init.",
    ),
    Row(
        pattern=r"exec: \"(?P<what>[^\"]+)\":.*(executable file not found|no such file)",
        problem="the image has no program {what}",
        remedy="A base or vendor image must hold python3; name another.",
    ),
    # the engine itself
    Row(
        pattern=r"no space left on device|disk quota exceeded",
        problem="the engine's disk is full",
        remedy="`docker system df` shows what fills it, `docker system prune` empties it.",
    ),
    Row(
        pattern=r"name \"?/?(?P<what>[\w.-]+)\"? is already in use",
        problem="a container named {what} exists already",
        remedy="Remove it with `docker rm -f {what}`.",
    ),
    Row(
        pattern=r"cannot allocate memory|out of memory",
        problem="the engine has not enough memory to start a container",
        remedy="Free some, or lower `shm_size` and the batch.",
    ),
    Row(
        pattern=r"\(5, 'CreateFile'",  # of a named pipe; the words are in the language of the user
        problem="no permission to talk to the engine",
        remedy="As administrator `net localgroup docker-users %USERNAME% /add`, then log in again.",
    ),
    Row(
        pattern=r"permission denied",
        problem="no permission to talk to the engine",
        remedy="`sudo usermod -aG docker $USER`, then log in again.",
    ),
    Row(
        pattern=r"client version (?P<what>\S+) is too (old|new)|no longer supported by this library|InvalidVersion",
        problem="the engine and the docker SDK share no API version",
        remedy="Update the engine to 19.03 or later, and the SDK with `pip install -U docker`.",
    ),
    Row(
        pattern=r"FileNotFoundError|No such file or directory|Connection refused|ConnectionRefused|cannot find the file"
        r"|\(2, 'CreateFile'|Connection aborted|RemoteDisconnected|BrokenPipe",
        problem="no container engine answers",
        remedy="Install Docker, or start it with `sudo systemctl start docker` (Docker Desktop: start it).",
    ),
    Row(
        pattern=r"Read timed out|timed out|ReadTimeout",
        problem="the engine does not answer in time",
        remedy="Restart it with `sudo systemctl restart docker`.",
    ),
)


def explain(text: str) -> tuple[str, str] | None:
    """Return problem and remedy if a row knows the text."""
    for row in TABLE:
        match = re.search(row.pattern, text, re.IGNORECASE | re.DOTALL)
        if match:
            named = {name: value or "" for name, value in match.groupdict().items()}
            problem, remedy = (part.format_map(named) if named else part for part in (row.problem, row.remedy))
            return " ".join(problem.split()), remedy
    return None


def failure(platform: str, text: str) -> PlatformError:
    """Return the error that tells the user what the engine said."""
    said = " ".join(text.split())
    known = explain(said)
    if known is None:
        return PlatformError(f"{platform}: the engine said: {said}", "`docker info` tells its state.")
    problem, remedy = known
    return PlatformError(f"{platform}: {problem} ({said})", remedy)


@contextmanager
def engine_errors(platform: str) -> Iterator[None]:
    """Turn whatever the docker SDK and its transport raise into a PlatformError."""
    from docker.errors import DockerException  # noqa: PLC0415 - the SDK may be missing, or not needed
    from requests.exceptions import RequestException  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    sdk: tuple[type[Exception], ...] = (DockerException, RequestException, HTTPError)
    address: tuple[type[Exception], ...] = (ValueError, AttributeError)  # of a wrong one
    try:
        yield
    except sdk + address + _of_named_pipes() as error:
        raise failure(platform, str(getattr(error, "explanation", None) or error)) from error


def _of_named_pipes() -> tuple[type[Exception], ...]:
    """Windows: pywin32's error, which is no OSError. The SDK has loaded it where it speaks through a named pipe."""
    pywin32 = sys.modules.get("pywintypes")
    return (pywin32.error,) if pywin32 else ()
