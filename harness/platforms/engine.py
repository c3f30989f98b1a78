"""Finding the container engine and asking whether it can be used."""

from __future__ import annotations

import os
import platform
import socket
import sys
from contextlib import closing, suppress
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import PlatformError
from harness.platforms.base import RUNNABLE, Availability
from harness.platforms.engine_errors import engine_errors
from harness.platforms.engine_facts import DESKTOP, engine_place

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import APIClient, DockerClient

ANSWER_SECONDS = 2.0  # an engine that takes longer to say its version is not usable
REQUEST_SECONDS = 60.0
OLDEST_API = (1, 40)  # Docker 19.03: device requests
OLDEST_API_TEXT = ".".join(map(str, OLDEST_API))
# On Windows the SDK speaks through a named pipe (by pywin32, which it depends on there): Docker Desktop's, usually.
DEFAULT = "npipe:////./pipe/docker_engine" if sys.platform == "win32" else "unix:///var/run/docker.sock"
UNIX = "unix://"
HERE = frozenset({"localhost", "127.0.0.1", "::1"})
HERE_PIPE = "//./pipe/"


def connect(named: str | None, *, timeout: float = REQUEST_SECONDS) -> DockerClient:
    """Connect to the named engine, else to DOCKER_HOST, the active docker context, or the default socket.

    Speaks the newest API version of the engine. Raises what the docker SDK raises.
    """
    _knock(address(named), timeout)
    with closing(_client(named, OLDEST_API_TEXT, timeout)) as first:
        version = str(first.version(api_version=False).get("ApiVersion", OLDEST_API_TEXT))
    return _client(named, version, timeout)


def address(named: str | None) -> str:
    """Return where the engine is looked for."""
    from docker.context import ContextAPI  # noqa: PLC0415 - a fifth of a second that only containers cost

    if named or os.environ.get("DOCKER_HOST"):
        return named or os.environ["DOCKER_HOST"]
    context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
    return (context.Host if context else None) or DEFAULT


def _client(named: str | None, version: str, timeout: float) -> DockerClient:
    import docker  # noqa: PLC0415 - as above

    seconds: Any = timeout  # the stubs say int, requests takes a float
    if named:
        return docker.DockerClient(base_url=named, version=version, timeout=seconds)
    return docker.from_env(version=version, timeout=seconds)


def _knock(engine: str, timeout: float) -> None:
    """Raise DockerException if nobody serves the socket: the SDK would leave its own end open."""
    from docker.errors import DockerException  # noqa: PLC0415 - as above

    if sys.platform == "win32" or not engine.startswith(UNIX):
        return
    with socket.socket(socket.AF_UNIX) as knocking:
        knocking.settimeout(timeout)
        try:
            knocking.connect("/" + engine.removeprefix(UNIX).lstrip("/"))
        except OSError as error:
            raise DockerException(f"{engine}: {type(error).__name__}: {error.strerror or error}") from error


def inspect_image(api: APIClient, name: str) -> dict[str, Any]:
    """Return what the engine knows about an image. Raises docker.errors.ImageNotFound."""
    record: dict[str, Any] = api.inspect_image(name)  # type: ignore[no-untyped-call]
    return record


def create_container(api: APIClient, request: Mapping[str, Any], name: str) -> list[str]:
    """Create a container from a request as the Engine API takes it; return the engine's warnings."""
    created = api.create_container_from_config(request, name)  # type: ignore[no-untyped-call]
    return [str(text) for text in created.get("Warnings") or ()]


@cache
def availability(named: str | None) -> Availability:
    """Whether the engine answers and can run Linux containers with this host's folders. Asked once a process."""
    if find_spec("docker") is None:
        return Availability(runnable=False, reason="the docker SDK is missing; `pip install docker`")
    try:
        with engine_errors("container engine"):
            reason = elsewhere(address(named))
            if reason:
                return Availability(runnable=False, reason=reason)
            with closing(connect(named, timeout=ANSWER_SECONDS)) as client:
                return _usable(client.api.api_version, client.version())
    except PlatformError as error:
        return Availability(runnable=False, reason=str(error))


def remove_container(api: APIClient, name: str) -> None:
    """End and remove a container, whatever its state. One that is gone already is fine."""
    from docker.errors import NotFound  # noqa: PLC0415 - as in `connect`

    with suppress(NotFound):
        api.remove_container(name, force=True, v=True)


def elsewhere(address: str) -> str:
    """Return why an engine is of no use that is on another host, empty for one of this host."""
    url = urlsplit(address.replace("\\", "/"))  # pipes are written both ways
    far_pipe = url.scheme == "npipe" and not url.path.startswith(HERE_PIPE)
    if far_pipe or url.scheme == "ssh" or (url.scheme in {"tcp", "http", "https"} and url.hostname not in HERE):
        return (
            f"the engine {address} is on another host, which does not see this one's folders; "
            "run `nox -s matrix` there and report both bundles together"
        )
    return ""


def _usable(api: str, version: Mapping[str, Any]) -> Availability:
    if tuple(int(part) for part in api.split(".")) < OLDEST_API:
        reason = f"the engine is too old: its API is {api}, {OLDEST_API_TEXT} (Docker 19.03) is needed; update it"
        return Availability(runnable=False, reason=reason)
    if str(version.get("Os", "")).lower() == "windows":
        reason = "the engine runs Windows containers, which have no CUDA; switch Docker Desktop to Linux containers"
        return Availability(runnable=False, reason=reason)
    if platform.system() == "Windows" and engine_place(version, {}) != DESKTOP:
        reason = "of the engines that Windows reaches only Docker Desktop's mounts folders of Windows; "
        return Availability(runnable=False, reason=f"{reason}run `nox -s matrix` in the distribution of this one")
    return RUNNABLE
