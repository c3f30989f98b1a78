"""Locks, wheelhouses and environments: the real pip and venv on a tiny wheel; the real torch under `-m stack`."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import interpreters, packages, stacks
from harness.errors import StackError
from harness.matrix.model import StackConfig
from harness.stacks import Stack
from tests.wheels import FILE, build_wheel, write_lock

ROOT = Path(__file__).parent.parent
RUNNING = f"{sys.version_info.major}.{sys.version_info.minor}"
LOCKS = sorted(ROOT.glob("images/*/requirements*.txt"))


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A cache of its own and no index but the test's folder; stack tests use the user's."""
    if request.node.get_closest_marker("stack") is None:
        monkeypatch.setenv("OVERHEAD_MATRIX_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "links"))
        monkeypatch.setenv("PIP_NO_INDEX", "1")


@pytest.mark.parametrize(
    "output",
    [
        "HINT: This error might have occurred since this system does not have Windows Long Path support enabled.",
        "error: failed to create file `C:\\deep`: The filename or extension is too long. (os error 206)",
    ],
)
def test_a_path_that_is_too_long_for_windows_is_told_with_its_remedy(output: str) -> None:
    error = packages.failure("torch", output)
    assert "too long for Windows" in error.problem
    assert "LongPathsEnabled" in error.remedy
    assert "OVERHEAD_MATRIX_CACHE" in error.remedy


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def tiny(tmp_path: Path) -> Stack:
    write_lock(tmp_path / "requirements.txt", build_wheel(tmp_path / "links"))
    return resolve_tiny(tmp_path)


def resolve_tiny(root: Path, *, name: str = "driver-tiny", python: str = RUNNING) -> Stack:
    settings = config(requirements="requirements.txt", python=python)
    return stacks.resolve(name, settings, root=root, gpu=True)


def config(**values: str) -> StackConfig:
    return StackConfig.model_validate(values)


def answer(python: Path) -> str:
    code = "import tiny, sys; print(tiny.answer, tiny.__cached__ and open(tiny.__cached__, 'rb').read(1) != b'')"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_a_host_without_gpu_gets_the_cpu_lock(tmp_path: Path) -> None:
    (tmp_path / "cuda.txt").write_text("a")
    (tmp_path / "cpu.txt").write_text("b")
    settings = config(requirements="cuda.txt", cpu_requirements="cpu.txt")

    with_gpu = stacks.resolve("torch", settings, root=tmp_path, gpu=True)
    without = stacks.resolve("torch", settings, root=tmp_path, gpu=False)

    assert (with_gpu.variant, with_gpu.requirements) == ("cuda", tmp_path / "cuda.txt")
    assert (without.variant, without.requirements) == ("cpu", tmp_path / "cpu.txt")
    assert without.lock_sha256 == hashlib.sha256(b"b").hexdigest()
    assert without.framework == "torch"


def test_one_lock_serves_every_host(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text("a")
    settings = config(requirements="lock.txt")
    assert stacks.resolve("torch", settings, root=tmp_path, gpu=False).variant == "cuda"


def test_line_ends_do_not_change_the_lock(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_bytes(b"a==1\nb==2\n")
    unix = resolve_tiny(tmp_path)
    lock.write_bytes(b"a==1\r\nb==2\r\n")
    assert resolve_tiny(tmp_path).lock_sha256 == unix.lock_sha256


def test_missing_lock_file(tmp_path: Path) -> None:
    with pytest.raises(
        StackError, match=r"stack torch: lock file .*none\.txt can't be read: No such file.*matrix\.yaml"
    ):
        stacks.resolve("torch", config(requirements="none.txt"), root=tmp_path, gpu=True)


def test_images_of_another_matrix_come_from_the_project(tmp_path: Path) -> None:
    driver = stacks.resolve("driver", config(), root=tmp_path, gpu=False)
    assert driver.image_folder == ROOT / "images" / "driver"
    (tmp_path / "images/driver").mkdir(parents=True)
    (tmp_path / "images/driver/Dockerfile").write_text("FROM scratch\n")
    own = stacks.resolve("driver", config(), root=tmp_path, gpu=False)
    assert own.image_folder == tmp_path / "images" / "driver"


def test_driver_needs_nothing_installed(tmp_path: Path, said: list[str]) -> None:
    driver = stacks.resolve("driver", config(python="3.99"), root=tmp_path, gpu=False)
    assert stacks.ready(driver)
    assert stacks.environment(driver, said.append) == interpreters.base()
    assert stacks.wheels_digest(driver) == ""
    assert said == []
    with pytest.raises(StackError, match="no lock file, so it has no wheels"):
        stacks.wheelhouse(driver, said.append)


@pytest.mark.parametrize("with_uv", [True, False])
def test_install_once(tiny: Stack, said: list[str], monkeypatch: pytest.MonkeyPatch, *, with_uv: bool) -> None:
    if not with_uv:
        monkeypatch.setattr(interpreters, "uv", lambda: None)
    assert not stacks.ready(tiny)
    assert stacks.wheels_digest(tiny) == ""

    python = stacks.environment(tiny, said.append)

    assert answer(python) == "42 True"
    assert stacks.ready(tiny)
    wheel_digest = hashlib.sha256((stacks.wheelhouse(tiny, said.append) / FILE).read_bytes()).hexdigest()
    assert stacks.wheels_digest(tiny) == hashlib.sha256(f"{FILE} {wheel_digest}\n".encode()).hexdigest()
    steps = len(said)
    assert stacks.environment(tiny, said.append) == python
    assert len(said) == steps, "a second call has nothing to do"
    digest = stacks.wheels_digest(tiny)
    shutil.rmtree(stacks.wheelhouse(tiny, said.append))
    assert stacks.wheels_digest(tiny) == digest, "the environment remembers"


def test_environment_is_isolated_from_the_network_and_pip_settings(
    tiny: Stack, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks.wheelhouse(tiny, said.append)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_REQUIRE_VIRTUALENV", "1")
    monkeypatch.setenv("PIP_USER", "1")
    monkeypatch.setattr(interpreters, "uv", lambda: None)
    assert answer(stacks.environment(tiny, said.append)) == "42 True"


def test_two_at_once_install_once(tiny: Stack, said: list[str]) -> None:
    threads = [threading.Thread(target=stacks.environment, args=(tiny, said.append)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stacks.ready(tiny)
    assert sum("downloading the wheels" in line for line in said) == 1
    assert sum("installing an environment" in line for line in said) == 1


def test_what_a_killed_run_left_is_repaired(tiny: Stack, said: list[str]) -> None:
    cut = stacks.wheelhouse(tiny, said.append) / FILE
    whole = cut.read_bytes()
    (cut.parent / "complete.json").unlink()
    cut.write_bytes(whole[:100])
    (cut.parent / "scratch").mkdir()

    assert stacks.wheelhouse(tiny, said.append) == cut.parent
    assert cut.read_bytes() == whole
    assert not (cut.parent / "scratch").exists()


def test_an_environment_without_its_interpreter_is_made_anew(tiny: Stack, said: list[str]) -> None:
    python = stacks.environment(tiny, said.append)
    python.unlink()
    python.symlink_to(python.parent / "gone")
    assert not stacks.ready(tiny)
    assert answer(stacks.environment(tiny, said.append)) == "42 True"


def test_a_wheel_that_vanished_is_fetched_again(tiny: Stack, said: list[str]) -> None:
    wheel = stacks.wheelhouse(tiny, said.append) / FILE
    wheel.unlink()
    assert (stacks.wheelhouse(tiny, said.append) / FILE).is_file()


def test_missing_wheel(tiny: Stack, said: list[str], tmp_path: Path) -> None:
    (tmp_path / "links" / FILE).unlink()
    with pytest.raises(StackError, match=r"stack driver-tiny: a wheel is missing \(.*tiny==1\.0.*PIP_FIND_LINKS"):
        stacks.wheelhouse(tiny, said.append)
    assert not stacks.ready(tiny)


def test_source_distributions_are_refused(tiny: Stack, said: list[str], tmp_path: Path) -> None:
    (tmp_path / "links" / FILE).rename(tmp_path / "links" / "tiny-1.0.tar.gz")
    with pytest.raises(StackError, match="a wheel is missing"):
        stacks.wheelhouse(tiny, said.append)


def test_altered_wheel(tiny: Stack, said: list[str], tmp_path: Path) -> None:
    build_wheel(tmp_path / "links", padding=b"other")
    with pytest.raises(StackError, match=r"not the one that was locked \(.*tiny.*lock anew") as caught:
        stacks.wheelhouse(tiny, said.append)
    assert "\n" not in str(caught.value)


def test_lock_without_hashes(said: list[str], tmp_path: Path) -> None:
    build_wheel(tmp_path / "links")
    (tmp_path / "requirements.txt").write_text("tiny==1.0\n")
    with pytest.raises(StackError, match=r"no hashes .*--generate-hashes"):
        stacks.wheelhouse(resolve_tiny(tmp_path), said.append)


def test_unreachable_index(tiny: Stack, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(StackError, match=r"index can't be reached \(.*proxy"):
        stacks.wheelhouse(tiny, said.append)


def test_lock_that_leaves_the_framework_out_here(said: list[str], tmp_path: Path) -> None:
    write_lock(tmp_path / "requirements.txt", build_wheel(tmp_path / "links"))
    with pytest.raises(StackError, match="locks no torch for this system"):
        stacks.wheelhouse(resolve_tiny(tmp_path, name="torch"), said.append)


@pytest.mark.parametrize("padding", [2_000_000, 150_000], ids=["download", "environment"])
def test_full_disk(
    small_disk: Callable[[int], Path], said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, padding: int
) -> None:
    monkeypatch.setenv("OVERHEAD_MATRIX_CACHE", str(small_disk(256)))
    write_lock(tmp_path / "requirements.txt", build_wheel(tmp_path / "links", padding=os.urandom(padding)))
    with pytest.raises(StackError, match=r"(No space left on device|disk is full).*OVERHEAD_MATRIX_CACHE") as caught:
        stacks.environment(resolve_tiny(tmp_path), said.append)
    assert "\n" not in str(caught.value)
    assert not stacks.ready(resolve_tiny(tmp_path))


def test_pip_of_the_interpreter_behind_an_environment_without_pip(
    tiny: Stack, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(interpreters, "base", lambda: Path(sys.executable))
    assert (stacks.wheelhouse(tiny, said.append) / FILE).is_file()


def test_no_pip_anywhere(tiny: Stack, said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setattr(interpreters, "base", lambda: interpreters.python_in(tmp_path / "bare"))
    with pytest.raises(StackError, match=r"has no pip\. Add it: `python -m ensurepip`"):
        stacks.wheelhouse(tiny, said.append)


def test_missing_interpreter(said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "uv", lambda: None)
    write_lock(tmp_path / "requirements.txt", build_wheel(tmp_path / "links"))
    stack = resolve_tiny(tmp_path, python="3.99")
    assert stacks.interpreter(stack) is None
    with pytest.raises(StackError, match=r"no Python 3\.99 on this host\. Install Python 3\.99 \(`apt install"):
        stacks.environment(stack, said.append)


def test_uv_that_cannot_fetch_the_interpreter(said: list[str], tmp_path: Path) -> None:
    if interpreters.uv() is None:
        pytest.skip("needs uv")
    write_lock(tmp_path / "requirements.txt", build_wheel(tmp_path / "links"))
    with pytest.raises(StackError, match=r"no Python 3\.99 on this host, and uv can't fetch one"):
        stacks.environment(resolve_tiny(tmp_path, python="3.99"), said.append)


def test_installed_interpreter_is_found_by_name_or_path(said: list[str], tmp_path: Path) -> None:
    by_path = config(interpreter=sys.executable)
    stack = stacks.resolve("driver", by_path, root=tmp_path, gpu=False)
    assert stack.variant == "installed"
    assert stacks.environment(stack, said.append) == Path(sys.executable)

    missing = stacks.resolve("driver", config(interpreter="no-such-python"), root=tmp_path, gpu=False)
    assert not stacks.ready(missing)
    with pytest.raises(StackError, match="there is no interpreter no-such-python"):
        stacks.environment(missing, said.append)


def test_installed_interpreter_without_the_framework(said: list[str], tmp_path: Path) -> None:
    stack = stacks.resolve("tensorflow", config(interpreter=sys.executable), root=tmp_path, gpu=False)
    with pytest.raises(StackError, match=r"can't run it: ModuleNotFoundError.*Install tensorflow there"):
        stacks.environment(stack, said.append)


def test_the_controllers_own_environment_and_shims_are_looked_past(tmp_path: Path) -> None:
    shim = tmp_path / "shims" / "python3.98"
    real = tmp_path / "bin" / "python3.98"
    for program in (shim, real):
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    path = os.pathsep.join(map(str, (shim.parent, Path(sys.executable).parent, real.parent)))
    environ = {"PATH": path, "HOME": str(tmp_path)}
    assert interpreters.of_version("3.98", environ) == real
    assert interpreters.named(Path(sys.executable).name, {"PATH": str(Path(sys.executable).parent)}) is None


def test_newest_patch_level_of_pyenv_and_uv(tmp_path: Path) -> None:
    for name in ("3.98.2", "3.98.11"):
        python = tmp_path / "pyenv/versions" / name / "bin/python3.98"
        python.parent.mkdir(parents=True)
        python.touch()
    environ = {"PATH": "", "HOME": str(tmp_path), "PYENV_ROOT": str(tmp_path / "pyenv")}
    found = interpreters.of_version("3.98", environ)
    assert found == tmp_path / "pyenv/versions/3.98.11/bin/python3.98"


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}/{lock.name}")
def test_committed_locks_pin_every_package_by_hash(lock: Path) -> None:
    text = re.sub(r"^ *#.*\n", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", "").splitlines() if line.strip()]
    assert lines
    for line in lines:
        assert re.fullmatch(r"--extra-index-url https://\S+|[\w.-]+==\S+ ;[^#]*?( +--hash=sha256:[0-9a-f]{64})+", line)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: f"{lock.parent.name}/{lock.name}")
def test_committed_locks_do_not_depend_on_the_python_that_downloads(lock: Path) -> None:
    """pip reads markers with its own Python, not with the stack's."""
    bounds = re.findall(r"python_(?:full_)?version (\S+) '3\.(\d+)", lock.read_text(encoding="utf-8"))
    assert all(operator == "<" and int(minor) >= 15 for operator, minor in bounds)


@pytest.mark.stack
def test_real_torch(said: list[str]) -> None:
    settings = config(
        requirements="images/torch/requirements.txt", cpu_requirements="images/torch/requirements-cpu.txt"
    )
    stack = stacks.resolve("torch", settings, root=ROOT, gpu=False)
    if stacks.interpreter(stack) is None:
        pytest.skip("no Python 3.11 on this machine")
    python = stacks.environment(stack, said.append)
    code = "import torch; print(torch.__version__, torch.ones(2, 2).sum().item())"
    printed = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout
    assert printed.split() == ["2.13.0+cpu", "4.0"]
