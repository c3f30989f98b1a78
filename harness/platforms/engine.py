"""Finding the container engine and asking whether it can be used."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from harness.errors import PlatformError
from harness.platforms.base import RUNNABLE, Availability
from harness.platforms.engine_errors import engine_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker import APIClient, DockerClient

ANSWER_SECONDS = 0.4  # an engine that takes longer to say its version is not usable
REQUEST_SECONDS = 60.0
OLDEST_API = (1, 40)  # Docker 19.03: device requests
OLDEST_API_TEXT = ".".join(map(str, OLDEST_API))
HERE = frozenset({"localhost", "127.0.0.1", "::1"})


def connect(address: str | None, *, timeout: float = REQUEST_SECONDS) -> DockerClient:
    """Connect to the named engine, else to DOCKER_HOST, the active docker context, or the default socket.

    The API version is the engine's own. Raises what the docker SDK raises.
    """
    import docker  # noqa: PLC0415 - a fifth of a second that only containers cost

    if address:
        return docker.DockerClient(base_url=address, timeout=timeout)  # type: ignore[arg-type]  # seconds, as requests takes them
    return docker.from_env(timeout=timeout)  # type: ignore[arg-type]


def inspect_image(api: APIClient, name: str) -> dict[str, Any]:
    """Return what the engine knows about an image. Raises docker.errors.ImageNotFound."""
    record: dict[str, Any] = api.inspect_image(name)  # type: ignore[no-untyped-call]
    return record


def create_container(api: APIClient, request: Mapping[str, Any], name: str) -> list[str]:
    """Create a container from a request as the Engine API takes it; return the engine's warnings."""
    created = api.create_container_from_config(request, name)  # type: ignore[no-untyped-call]
    return [str(text) for text in created.get("Warnings") or ()]


@cache
def availability(address: str | None) -> Availability:
    """Whether the engine answers and can run Linux containers with this host's folders. Asked once a process."""
    if find_spec("docker") is None:
        return Availability(runnable=False, reason="the docker SDK is missing; `pip install docker`")
    reason = _remote(address or os.environ.get("DOCKER_HOST") or _context_address())
    if reason:
        return Availability(runnable=False, reason=reason)
    try:
        with engine_errors("container engine"):
            client = connect(address, timeout=ANSWER_SECONDS)
            try:
                return _usable(client.api.api_version, client.version(api_version=False).get("Os", ""))
            finally:
                client.close()
    except PlatformError as error:
        return Availability(runnable=False, reason=str(error))


def remove_container(api: APIClient, name: str) -> None:
    """End and remove a container, whatever its state. One that is gone already is fine."""
    from docker.errors import NotFound  # noqa: PLC0415 - as in `connect`

    with suppress(NotFound):
        api.remove_container(name, force=True, v=True)


def _context_address() -> str:
    from docker.context import ContextAPI  # noqa: PLC0415 - as in `connect`

    context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
    return (context.Host if context else None) or ""


def _remote(address: str) -> str:
    url = urlsplit(address)
    if url.scheme == "ssh" or (url.scheme in {"tcp", "http", "https"} and url.hostname not in HERE):
        return (
            f"the engine {address} is on another host, which does not see this one's folders; "
            "run `nox -s matrix` there and report both bundles together"
        )
    return ""


def _usable(api: str, system: str) -> Availability:
    if tuple(int(part) for part in api.split(".")) < OLDEST_API:
        reason = f"the engine is too old: its API is {api}, {OLDEST_API_TEXT} (Docker 19.03) is needed; update it"
        return Availability(runnable=False, reason=reason)
    if system.lower() == "windows":
        reason = "the engine runs Windows containers, which have no CUDA; switch Docker Desktop to Linux containers"
        return Availability(runnable=False, reason=reason)
    if platform.system() == "Windows":
        reason = "containers on Windows are not supported yet; run `nox -s matrix` inside WSL2"
        return Availability(runnable=False, reason=reason)
    return RUNNABLE
