from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import pytest

from harness import native
from harness.agent import helper
from harness.agent.loops import PythonLoops
from harness.pack import agent_archive
from tests.agent.interpreters import PROMISED, find
from tests.agent.native_helper import built
from tests.agent.systems import not_on_windows

pytestmark = pytest.mark.measures

REPORT = """
import json, sys
from harness.agent.helper import load, loops
helper = load()
print(json.dumps({
    "loop": loops().name,
    "sha256": helper and helper.sha256,
    "spin": helper and helper.spin(20, 100_000),
    "origin": sys.modules["harness.agent.helper"].__file__,
}))
"""


WINDOWS_LACKS = {"fork", "vfork", "switch_processes"}
WINDOWS_ALONE = {"files_read_unbuffered"}


@pytest.fixture
def loaded() -> helper.NativeHelper:
    return built()


@pytest.fixture
def content(loaded: helper.NativeHelper) -> bytes:
    return (native.LIB / helper.LIBRARIES[sysconfig.get_platform()]).read_bytes()


@pytest.fixture
def forget() -> Iterator[None]:
    """Let `load` look again, in the test and after it."""
    helper.load.cache_clear()
    yield
    helper.load.cache_clear()


@pytest.fixture
def no_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for temporary files, to see what is left there."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_the_digest_is_that_of_the_file(loaded: helper.NativeHelper, content: bytes) -> None:
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()
    assert loaded.versions == {"native_helper": loaded.sha256}


def test_the_abi_is_that_of_the_header(loaded: helper.NativeHelper) -> None:
    assert f"#define PROBE_ABI {helper.ABI}\n" in (native.SOURCES / "overhead_probe.h").read_text()
    assert loaded.abi == helper.ABI


def test_every_function_of_the_header_has_its_types(loaded: helper.NativeHelper) -> None:
    header = (native.SOURCES / "overhead_probe.h").read_text()
    declared = {line.split("probe_")[1].split("(")[0] for line in header.splitlines() if line.startswith("PROBE_EXP")}
    assert declared - {"abi", "fused"} == helper._SIGNATURES.keys()
    elsewhere = WINDOWS_LACKS if sys.platform == "win32" else WINDOWS_ALONE
    assert {name for name in declared if not loaded.offers(name)} == elsewhere


def test_the_chain_takes_time_in_proportion_to_its_length(loaded: helper.NativeHelper) -> None:
    """Interleaved, so that a change of clock frequency meets both."""
    pairs = [(loaded.fma(1, 1_000_000)[0], loaded.fma(1, 2_000_000)[0]) for _ in range(100)]
    assert min(twice for _, twice in pairs) / min(once for once, _ in pairs) == pytest.approx(2, rel=0.1)


def test_a_second_is_a_second(loaded: helper.NativeHelper) -> None:
    """What the loop says about a spin against Python's clock around the call."""
    outside = []
    for _ in range(50):
        start = time.perf_counter()
        loaded.spin(1, 2_000_000)
        outside.append(time.perf_counter() - start)
    assert min(outside) == pytest.approx(2e-3, rel=0.02)


@pytest.mark.parametrize("loop", ["clock", "empty_call", "syscall"])
def test_cheap_loops_cost_nanoseconds(loaded: helper.NativeHelper, loop: str) -> None:
    seconds = getattr(loaded, loop)(20, 1000)
    assert len(seconds) == 20
    assert 1e-10 < median(seconds) < 2e-5


def test_nothing_to_measure_is_an_error(loaded: helper.NativeHelper) -> None:
    for loop, samples, calls in ((loaded.clock, 0, 1), (loaded.clock, 1, 0), (loaded.syscall, 1, -1)):
        with pytest.raises(OSError, match="Errno 22"):
            loop(samples, calls)


def test_what_the_system_refuses_has_its_errno(loaded: helper.NativeHelper, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        loaded.files("create", str(tmp_path / "gone"), 1, 1)
    (tmp_path / "file").touch()
    with pytest.raises(OSError if sys.platform == "win32" else NotADirectoryError):  # Wine has another number
        loaded.list_files(str(tmp_path / "file"), 1)


@pytest.mark.parametrize(
    "extract",
    [pytest.param(helper._in_memory, marks=not_on_windows("it has no files in memory")), helper._in_temporary_file],
)
def test_either_way_out_of_an_archive_loads(
    extract: object, content: bytes, no_temporary_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "_in_memory" if extract is helper._in_temporary_file else "_in_temporary_file"

    def broken(content: bytes, suffix: str) -> Iterator[str]:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(helper, name, contextmanager(broken))
    extracted = helper._open_extracted(content, ".so")
    assert extracted is not None
    assert extracted.fma(1, 100)[0] > 0
    if sys.platform != "win32":  # there at the end of the process, as another test sees
        assert list(no_temporary_files.iterdir()) == []


@pytest.mark.parametrize("spoiled", [b"", b"no library", b"\x7fELF"])
def test_what_is_no_library_is_not_loaded(spoiled: bytes, no_temporary_files: Path) -> None:
    assert helper._open_extracted(spoiled, ".so") is None
    assert list(no_temporary_files.iterdir()) == []


def test_another_library_is_not_loaded() -> None:
    other = Path(ctypes.__file__)
    assert helper._open(other, b"") is None
    assert helper._open("libc.so.6", b"") is None


def test_another_abi_is_not_loaded(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper, "ABI", helper.ABI + 1)
    assert helper._open_extracted(content, ".so") is None


@pytest.mark.parametrize("platform", ["linux-riscv64", "win-amd64", "linux-aarch64"])
def test_another_machine_gets_the_python_loops(forget: None, monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    if platform == sysconfig.get_platform():
        pytest.skip("this is that machine: needs Windows or another processor")
    monkeypatch.setattr(sysconfig, "get_platform", lambda: platform)
    assert helper.load() is None
    assert isinstance(helper.loops("fma"), PythonLoops)


def test_a_missing_loop_is_done_in_python(loaded: helper.NativeHelper) -> None:
    assert helper.loops("fma", "spin") is loaded
    assert isinstance(helper.loops("fma", "no_such_loop"), PythonLoops)


def pythons() -> list[str]:
    """This interpreter and every other of the agent's range that this machine has."""
    return [sys.executable, *(str(found) for version in PROMISED if (found := find(version)))]


def test_it_loads_from_the_zipapp_in_every_python(loaded: helper.NativeHelper, tmp_path: Path) -> None:
    archive = agent_archive(cache=tmp_path)
    folder = tmp_path / "tmp"
    folder.mkdir()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(archive), "TMPDIR": str(folder)}
    for python in pythons():
        done = subprocess.run(
            [python, "-W", "error", "-c", REPORT],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            cwd=folder,
        )
        report = json.loads(done.stdout)
        assert report["origin"].startswith(str(archive))
        assert (report["loop"], report["sha256"]) == ("native", loaded.sha256)
        assert min(report["spin"]) == pytest.approx(1e-4, rel=0.2)
        assert list(folder.iterdir()) == []
