"""A stack's image: built from the wheelhouse, or a vendor's, pulled; and where it came from."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import images, stacks
from harness.errors import HarnessError, PlatformError
from harness.platforms import engine
from harness.platforms.engine_errors import failure
from harness.runner.process import capture

if TYPE_CHECKING:
    from docker import APIClient

    from harness.stacks import Stack

Progress = Callable[[str], None]
CHECK_SECONDS = 60
VERSION_CODE = "import sys; print('%d.%d' % sys.version_info[:2])"
BUILDER_TALK = ("Step ", "--->", "Removing intermediate container")  # of the builder itself, not of a step's program
# TensorFlow does not look for the CUDA libraries of its own wheels.
LIBRARIES_CODE = """
import glob, os, sysconfig
found = sorted(glob.glob(sysconfig.get_path("purelib") + "/nvidia/*/lib"))
print(os.pathsep.join(filter(None, [*found, os.environ.get("LD_LIBRARY_PATH")])))
"""


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image that is there. `identity` is the engine's id, `sha256:…`."""

    name: str
    identity: str
    provenance: Mapping[str, Any]


def vendor_image(api: APIClient, name: str, progress: Progress) -> Image:
    """Return a vendor's image as it is, pulled if need be."""
    found = find(api, name) or pull(api, name, progress)
    return Image(name=name, identity=found["Id"], provenance=_provenance(name, found))


def stack_image(api: APIClient, stack: Stack, progress: Progress, labels: Mapping[str, str]) -> Image:
    """Return the stack's image, built unless everything that goes in is as it was.

    `labels` mark the container that looks at the base image. Raises PlatformError and StackError.
    """
    stack = stacks.for_linux(stack)
    base = images.base_image(stack, os.environ)
    base_id = (find(api, base) or pull(api, base, progress))["Id"]
    name = images.tag(stack, base_id)
    found, seconds = find(api, name), 0.0
    if found is None:
        _check_python(api, stack, base, labels)
        began = time.monotonic()
        build(api, stack, base, name, progress)
        seconds = time.monotonic() - began
        found = engine.inspect_image(api, name)
    extra = {
        "base": base,
        "base_id": base_id,
        "build_seconds": round(seconds, 1),
        "lock_sha256": stack.lock_sha256,
        "wheels_sha256": stacks.wheels_digest(stack),
    }
    return Image(name=name, identity=found["Id"], provenance=_provenance(name, found) | extra)


def find(api: APIClient, name: str) -> dict[str, Any] | None:
    """Return what the engine knows about a local image, None if it has none of this name."""
    from docker.errors import NotFound  # noqa: PLC0415 - the SDK is imported where it is used

    try:
        return engine.inspect_image(api, name)
    except NotFound:
        return None


def pull(api: APIClient, name: str, progress: Progress) -> dict[str, Any]:
    """Pull an image and return what the engine knows about it. Raises PlatformError when the registry refuses."""
    progress(f"pulling {name}")
    repository, tag = _split(name)
    for _ in _checked(api.pull(repository, tag=tag, stream=True, decode=True), f"image {name}"):
        pass
    return engine.inspect_image(api, name)


def build(api: APIClient, stack: Stack, base: str, name: str, progress: Progress) -> None:
    """Build the stack's image with the classic builder, offline. Raises PlatformError with the step that failed."""
    wheels = stacks.wheelhouse(stack, progress) if stack.requirements is not None else None
    progress(f"building {name}")
    answers = api.build(
        fileobj=images.build_context(stack, wheels),  # type: ignore[arg-type]  # requests sends any iterable of bytes
        custom_context=True,
        tag=name,
        buildargs=images.build_arguments(stack, base, revision()),
        network_mode="none",  # everything comes from the wheelhouse
        rm=True,
        forcerm=True,
        timeout=None,  # a step may be silent for minutes
        decode=True,
    )
    for answer in _checked(answers, f"image {name}"):
        line = str(answer.get("stream", "")).strip()
        if line.startswith("Step "):
            progress(line)


def revision() -> str:
    """Return the commit of the checkout that this code lies in, empty if there is none."""
    folder = Path(__file__).parent
    with suppress(HarnessError):
        done = capture(("git", "-C", folder, "rev-parse", "HEAD"), timeout=5.0)
        return done.stdout.strip() if done.code == 0 else ""
    return ""


def _checked(answers: Iterable[dict[str, Any]], what: str) -> Iterator[dict[str, Any]]:
    """Pass the engine's answers on; raise PlatformError for one that tells an error, with the last output before."""
    last = ""
    for answer in answers:
        if "error" in answer:
            raise failure(what, " ".join(filter(None, (str(answer["error"]), f"after: {last}" if last else ""))))
        said = re.sub(r"\x1b\[[0-9;]*m", "", str(answer.get("stream", ""))).strip()
        if said and not said.startswith(BUILDER_TALK):
            last = said.splitlines()[-1]
        yield answer


def library_path(api: APIClient, stack: Stack, image: str, labels: Mapping[str, str]) -> dict[str, str]:
    """Return the variables with which the stack's interpreter in the image finds its own libraries."""
    if stack.framework != "tensorflow" or stack.variant != "cuda":
        return {}
    return {"LD_LIBRARY_PATH": run_in(api, image, [images.PYTHON, "-I", "-c", LIBRARIES_CODE], labels)}


def _check_python(api: APIClient, stack: Stack, base: str, labels: Mapping[str, str]) -> None:
    """Raise PlatformError unless the base image has the Python that the stack is locked for."""
    if stack.requirements is None:  # any Python that runs the agent; the Dockerfile looks
        return
    version = run_in(api, base, ["python3", "-I", "-c", VERSION_CODE], labels)
    if version != stack.python:
        variable = images.base_variable(stack)
        remedy = f"Set {variable} to an image with Python {stack.python}, or lock the stack for {version}."
        raise PlatformError(
            f"base image {base} has Python {version}, stack {stack.name} is locked for {stack.python}", remedy
        )


def run_in(
    api: APIClient, image: str, command: list[str], labels: Mapping[str, str], mounts: Iterable[dict[str, Any]] = ()
) -> str:
    """Run a short command in a throw-away container and return what it printed. Raises PlatformError if it fails."""
    host = {"NetworkMode": "none", "Mounts": list(mounts), "SecurityOpt": ["label=disable"]}
    request = {"Image": image, "Entrypoint": command, "Cmd": [], "Labels": dict(labels), "HostConfig": host}
    container = f"{images.REPOSITORY}-{secrets.token_hex(8)}"
    try:
        engine.create_container(api, request, container)
        api.start(container)
        status = api.wait(container, timeout=CHECK_SECONDS)["StatusCode"]
        text = api.logs(container).decode("utf-8", errors="replace").strip()
    finally:
        engine.remove_container(api, container)
    if status != 0:
        raise PlatformError(f"image {image}: {command[0]} ended with status {status}: {text[-300:]}")
    return str(text)


def _provenance(name: str, record: Mapping[str, Any]) -> dict[str, Any]:
    digests = record.get("RepoDigests") or [record["Id"]]  # an image that was only built has no registry's digest
    return {"image": name, "image_id": record["Id"], "digest": digests[0], "size": record["Size"]}


def _split(name: str) -> tuple[str, str | None]:
    """Return repository and tag; `latest` if neither tag nor digest is named."""
    if "@" in name:
        return name, None
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, "latest")
