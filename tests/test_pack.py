from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from harness import native, pack
from harness.agent.helper import LIBRARIES
from harness.agent.messages import CellResult, CellSpec, Location, read_json, to_json, write_json
from harness.agent.task import find
from harness.errors import HarnessError, ResultsError
from harness.matrix.tasks import declared
from tests.agent.interpreters import PROMISED, interpreter

ROOT = Path(__file__).parents[1]
SPEC = CellSpec(
    cell="native/driver/control.delay",
    platform="native",
    stack="driver",
    task="control.delay",
    entry="control.delay",
    params={"samples": 3, "warmup": 1, "microseconds": 100},
    device="cpu",
    block=1,
    attempt=1,
    seed=0,
)


SHORT = {"samples": 3, "warmup": 1, "rounds": 1, "saves": 1, "files": 20, "loads": 1000, "sample_seconds": 0.01}
SMALL = {"bytes": 2**22, "array_bytes": 2**24, "max_bytes": 2**24}


def is_bare(entry: str) -> bool:
    """Whether it is a probe of the CPU that no framework, pip or compiler is needed for."""
    task = find(entry)
    families = ("control.", "driver.", "memory.", "storage.")
    return task is not None and "cpu" in task.devices and "none" in task.frameworks and entry.startswith(families)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack.agent_archive(cache=tmp_path_factory.mktemp("agent"))


def run_bare(python: Path, agent: Path, verb: str, spec: CellSpec, folder: Path) -> Path:
    """Run the agent without site packages, environment variables or the project anywhere near."""
    write_json(folder / "spec.json", to_json(spec))
    ended = subprocess.run(
        [python, "-I", "-S", "-E", str(agent), verb, "spec.json", "result.json"],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return folder / "result.json"


@pytest.mark.parametrize("version", PROMISED)
def test_it_runs_on_a_bare_python(version: str, agent: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    result = CellResult.from_json(read_json(run_bare(python, agent, "run", SPEC, tmp_path)))

    assert (result.status, result.reason) == ("ok", "")
    assert result.versions["python"].startswith(version)
    assert result.versions["agent"] == pack.agent_digest(agent)
    delay = next(metric for metric in result.metrics if metric.name == "delay_seconds")
    assert min(delay.samples) >= 100e-6


@pytest.mark.parametrize("entry", [name for name in declared() if is_bare(name)])
def test_its_probes_run_on_the_oldest_python(entry: str, agent: Path, tmp_path: Path) -> None:
    """The shortest run of each that needs no framework: a name or a grammar that came later would end it."""
    task = find(entry)
    assert task is not None
    params = {**task.params, **{name: value for name, value in (SHORT | SMALL).items() if name in task.params}}
    places = (Location(name="scratch", path=str(tmp_path)),)
    spec = CellSpec(**{**vars(SPEC), "task": entry, "entry": entry, "params": params, "locations": places})
    result = CellResult.from_json(read_json(run_bare(interpreter(PROMISED[0]), agent, "run", spec, tmp_path)))
    assert (result.status, result.reason) == ("ok", "")


@pytest.mark.parametrize("version", PROMISED)
def test_it_inspects_with_a_bare_python(version: str, agent: Path, tmp_path: Path) -> None:
    python = interpreter(version)
    spec = CellSpec(**{**vars(SPEC), "locations": (Location(name="scratch", path=str(tmp_path)),)})
    record = read_json(run_bare(python, agent, "inspect", spec, tmp_path))

    assert record["python.version"]["value"].startswith(version)
    assert record["storage.scratch.free_bytes"]["value"] > 0
    assert isinstance(record["gpu.devices"]["value"], list)
    assert "nvidia-ml-py is not there" not in json.dumps(record["gpu.devices"])


def test_the_same_sources_give_the_same_bytes_whatever_their_times(tmp_path: Path) -> None:
    first = pack.agent_archive(cache=tmp_path / "one")
    second = pack.agent_archive(cache=tmp_path / "two")

    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    entries = zipfile.ZipFile(first).infolist()
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {entry.external_attr >> 16 for entry in entries} == {0o644}
    assert {entry.create_system for entry in entries} == {3}
    assert [entry.filename for entry in entries] == sorted(entry.filename for entry in entries)


def test_the_pack_does_not_depend_on_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `nox -s matrix` builds is packed whole, on whatever system. `nox -s wine` packs the real one there, too."""
    source = tmp_path / "agent"
    (source / "native" / "lib").mkdir(parents=True)
    (source / "__main__.py").write_bytes(b"pass\n")
    for name in LIBRARIES.values():
        (source / "native" / "lib" / name).write_bytes(name.encode())
    monkeypatch.setattr(pack, "AGENT", source)
    packed = set()
    for host in native.TARGETS:
        monkeypatch.setattr(sysconfig, "get_platform", lambda host=host: host)
        packed.add(pack.agent_archive(cache=tmp_path))

    (agent,) = packed
    libraries = {name for name in zipfile.ZipFile(agent).namelist() if "/native/" in name}
    assert libraries == {f"harness/agent/native/lib/{name}" for name in LIBRARIES.values()}


def test_git_for_windows_leaves_every_line_end_as_it_is() -> None:
    """It writes CRLF unless told otherwise: other bytes, another digest of the agent, the helper and the lock files."""
    rules = (ROOT / ".gitattributes").read_text(encoding="ascii").splitlines()
    assert "* text=auto eol=lf" in rules
    digested = [*pack.AGENT.rglob("*.py"), *pack.AGENT.rglob("*.[ch]"), *(ROOT / "images").rglob("*.txt")]
    assert not [path for path in digested if b"\r" in path.read_bytes()]


def test_it_is_named_after_its_digest(agent: Path) -> None:
    digest = hashlib.sha256(agent.read_bytes()).hexdigest()

    assert agent.name == f"agent-{digest[:12]}.pyz"
    assert pack.agent_digest(agent) == digest


def test_it_holds_the_agent_and_nothing_else_of_the_project(agent: Path) -> None:
    names = set(zipfile.ZipFile(agent).namelist())

    assert {"__main__.py", "harness/__init__.py", "harness/agent/main.py", "harness/agent/pynvml.py"} <= names
    assert {name for name in names if not name.startswith("harness/agent/")} == {"__main__.py", "harness/__init__.py"}
    assert not [name for name in names if "__pycache__" in name or name.endswith((".c", ".h"))]


def test_another_source_gives_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = pack.agent_archive(cache=tmp_path)
    monkeypatch.setattr(pack, "PACKAGE", b"# changed\n")
    after = pack.agent_archive(cache=tmp_path)

    assert before != after
    assert before.exists()


def test_native_libraries_go_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "agent"
    (source / "native" / "lib").mkdir(parents=True)
    (source / "__main__.py").write_text("")
    for name in ("probe-linux-x86_64.so", "probe-linux-x86_64.so.partial", "manifest.json"):
        (source / "native" / "lib" / name).write_bytes(b"\x7fELF")
    monkeypatch.setattr(pack, "AGENT", source)
    names = zipfile.ZipFile(pack.agent_archive(cache=tmp_path)).namelist()

    assert [name for name in names if "native" in name] == ["harness/agent/native/lib/probe-linux-x86_64.so"]


def test_a_packed_agent_is_used_again_and_a_damaged_one_mended(tmp_path: Path) -> None:
    path = pack.agent_archive(cache=tmp_path)
    content, written = path.read_bytes(), path.stat().st_mtime_ns
    assert pack.agent_archive(cache=tmp_path).stat().st_mtime_ns == written

    path.write_bytes(content[:-1])
    assert pack.agent_archive(cache=tmp_path).read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX permissions")
def test_every_user_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        path = pack.agent_archive(cache=tmp_path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_the_users_cache_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OVERHEAD_MATRIX_CACHE", str(tmp_path))

    assert pack.agent_archive().parent == tmp_path


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ResultsError, match="OVERHEAD_MATRIX_CACHE"):
        pack.agent_archive(cache=tmp_path / "file" / "cache")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _mode: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "chmod", full)
    with pytest.raises(ResultsError, match="No space left on device"):
        pack.agent_archive(cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_nvidia_ml_py_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pack, "NVML_DISTRIBUTION", "no-such-distribution")

    with pytest.raises(HarnessError, match="pip install no-such-distribution"):
        pack.agent_archive(cache=tmp_path)
