"""Context, arguments and tag of an image; under `-m docker` a real engine builds from them."""

from __future__ import annotations

import dataclasses
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException

from harness import images
from harness.errors import StackError
from harness.matrix.load import load
from harness.matrix.model import StackConfig
from harness.stacks import Stack, resolve
from tests.wheels import FILE, build_wheel, write_lock

ROOT = Path(__file__).parent.parent
BASE_ID = "sha256:0123"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    """A locked stack of one tiny wheel, with the Dockerfile of torch."""
    lock = write_lock(tmp_path / "requirements.txt", build_wheel(tmp_path / "wheels"))
    return Stack(
        name="torch-tiny",
        framework="none",
        python="3.11",
        variant="cpu",
        requirements=lock,
        interpreter=None,
        lock_sha256="ab" * 32,
        image_folder=ROOT / "images" / "torch",
    )


def test_base_image(stack: Stack) -> None:
    assert images.base_image(stack, {}) == "python:3.11-slim-bookworm"
    assert images.base_image(stack, {"OVERHEAD_MATRIX_BASE": "mirror/python:3.11"}) == "mirror/python:3.11"
    assert images.base_image(stack, {"OVERHEAD_MATRIX_BASE": ""}) == "python:3.11-slim-bookworm"
    older = dataclasses.replace(stack, python="3.10")
    both = {"OVERHEAD_MATRIX_BASE": "mirror/python:3.11", "OVERHEAD_MATRIX_BASE_3_10": "mirror/python:3.10"}
    assert [images.base_image(each, both) for each in (stack, older)] == ["mirror/python:3.11", "mirror/python:3.10"]


LOCKED = {name: each for name, each in load(ROOT / "matrix.yaml").stacks.items() if each.requirements}


@pytest.mark.parametrize(("name", "config"), LOCKED.items(), ids=LOCKED)
def test_a_stack_is_locked_for_the_python_of_its_image(name: str, config: StackConfig) -> None:
    locks = [resolve(name, config, root=ROOT, gpu=gpu) for gpu in (True, False)]
    for each in locks:
        assert each.requirements
        assert f"--python-version {each.python}\n" in each.requirements.with_suffix(".in").read_text(encoding="utf-8")
        text = images.dockerfile(each).read_text(encoding="utf-8")
        assert f"ARG BASE=python:{each.python}-slim" in text
        assert f"ARG PYTHON_VERSION={each.python}\n" in text
    assert {each.image_folder for each in locks} == {ROOT / "images" / name}


def test_tag_names_stack_and_variant(stack: Stack) -> None:
    name, _, version = images.tag(stack, BASE_ID).partition(":")
    assert name == "overhead-matrix/torch-tiny"
    assert version.startswith("cpu-")
    assert len(version) == len("cpu-") + 12
    assert images.tag(dataclasses.replace(stack, variant=""), BASE_ID).count("-") == 2, "no dash without a variant"


@pytest.mark.parametrize(
    "changed",
    [
        lambda stack: dataclasses.replace(stack, lock_sha256="cd" * 32),
        lambda stack: dataclasses.replace(stack, variant="cuda"),
        lambda stack: dataclasses.replace(stack, python="3.12"),
        lambda stack: dataclasses.replace(stack, image_folder=ROOT / "images" / "driver"),
    ],
    ids=["lock", "variant", "python", "Dockerfile"],
)
def test_tag_changes_with_what_goes_in(stack: Stack, changed: Callable[[Stack], Stack]) -> None:
    digest = images.tag(stack, BASE_ID)[-12:]
    assert images.tag(changed(stack), BASE_ID)[-12:] != digest
    assert images.tag(stack, "sha256:4567")[-12:] != digest
    assert images.tag(stack, BASE_ID)[-12:] == digest


def test_arguments_are_those_that_the_dockerfile_takes(stack: Stack) -> None:
    arguments = images.build_arguments(stack, "base", "abc")
    declared = [line.split()[1] for line in images.dockerfile(stack).read_text().splitlines() if line.startswith("ARG")]
    assert sorted({name.partition("=")[0] for name in declared}) == sorted(arguments)
    assert arguments["LOCK"] == stack.lock_sha256
    bare = dataclasses.replace(stack, requirements=None, image_folder=ROOT / "images" / "driver")
    assert "PYTHON_VERSION" not in images.build_arguments(bare, "base", "abc")


def test_context_is_a_reproducible_tar(stack: Stack, tmp_path: Path) -> None:
    stream = b"".join(images.build_context(stack, tmp_path / "wheels"))
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.getnames() == ["Dockerfile", "requirements.txt", f"wheelhouse/{FILE}"]
        wheel = archive.extractfile(f"wheelhouse/{FILE}")
        assert wheel is not None
        assert wheel.read() == (tmp_path / "wheels" / FILE).read_bytes()
        assert {(entry.mtime, entry.uid, entry.mode) for entry in archive} == {(0, 0, 0o644)}
    os.utime(tmp_path / "wheels" / FILE, (1, 1))
    assert b"".join(images.build_context(stack, tmp_path / "wheels")) == stream


def test_context_of_a_long_wheel_name(stack: Stack, tmp_path: Path) -> None:
    name = "x" * 150 + "-1.0-py3-none-any.whl"
    (tmp_path / "wheels" / name).write_bytes(b"")
    stream = b"".join(images.build_context(stack, tmp_path / "wheels"))
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert f"wheelhouse/{name}" in archive.getnames()


def test_missing_dockerfile(stack: Stack, tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"stack torch-tiny: .*Dockerfile is missing\. Write it"):
        images.build_context(dataclasses.replace(stack, image_folder=tmp_path), None)


@pytest.fixture
def engine() -> Iterator[docker.DockerClient]:
    if not os.environ.get(images.BASE_VARIABLE):
        pytest.skip(f"{images.BASE_VARIABLE} is not set")
    try:
        client = docker.from_env()
        client.ping()
    except DockerException as error:
        pytest.skip(f"no Docker engine: {error}")
    yield client
    client.close()


def build(engine: docker.DockerClient, stack: Stack, wheels: Path | None, arguments: dict[str, str]) -> str:
    """Build as the container platform does; return what the engine printed."""
    log: Iterator[dict[str, Any]] = engine.api.build(
        fileobj=images.build_context(stack, wheels),  # type: ignore[arg-type]  # requests sends any iterable of bytes
        custom_context=True,
        tag="overhead-matrix-test/images",
        buildargs=arguments,
        rm=True,
        forcerm=True,
        decode=True,
    )
    return "".join(str(line.get("stream") or line.get("error") or "") for line in log)


@pytest.mark.docker
def test_image_holds_the_locked_packages_and_no_pip(
    engine: docker.DockerClient, stack: Stack, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    arguments = images.build_arguments(stack, images.base_image(stack, os.environ), "abc")
    log = build(engine, stack, tmp_path / "wheels", arguments)
    assert "Successfully tagged" in log, log
    request.addfinalizer(lambda: engine.images.remove("overhead-matrix-test/images", force=True))

    code = "import tiny, importlib.util as u; print(tiny.answer, u.find_spec('pip'))"
    printed = engine.containers.run(
        "overhead-matrix-test/images", [images.PYTHON, "-c", code], remove=True, network_mode="none"
    )
    assert printed == b"42 None\n"
    assert engine.images.get("overhead-matrix-test/images").labels == {
        "org.opencontainers.image.title": "overhead-matrix/torch-tiny",
        "org.opencontainers.image.version": "ab" * 32,
        "org.opencontainers.image.revision": "abc",
        "org.overhead-matrix.stack": "torch-tiny",
        "org.overhead-matrix.lock": "ab" * 32,
    }
    assert "Running in" not in build(engine, stack, tmp_path / "wheels", arguments), "a second build runs nothing"


@pytest.mark.docker
def test_driver_image(engine: docker.DockerClient, stack: Stack, request: pytest.FixtureRequest) -> None:
    driver = dataclasses.replace(stack, name="driver", requirements=None, image_folder=ROOT / "images" / "driver")
    log = build(engine, driver, None, images.build_arguments(driver, images.base_image(driver, os.environ), ""))
    assert "Successfully tagged" in log, log
    assert "not consumed" not in log
    request.addfinalizer(lambda: engine.images.remove("overhead-matrix-test/images", force=True))


@pytest.mark.docker
def test_base_with_another_python_is_refused(engine: docker.DockerClient, stack: Stack, tmp_path: Path) -> None:
    other = dataclasses.replace(stack, python="3.99")
    log = build(
        engine,
        other,
        tmp_path / "wheels",
        images.build_arguments(other, images.base_image(other, os.environ), ""),
    )
    assert "The base image has Python 3." in log
    assert "this stack is locked for 3.99" in log
