"""No file of a bundle names the user, the home folder, this host or a host of matrix.yaml."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from docker.context import ContextAPI

from harness.matrix.load import parse
from harness.runner.privacy import Privacy, privacy
from tests.program import MATRIX, bundle_of, command, environment, project

NAMES = ("annika", "planted-lab", "10.99.0.7")  # of the user and her home, of a host and its address
NODE = "planted-node"
RENAMED = ("unshare", "--uts", "sh", "-c", f'hostname {NODE} && exec "$0" "$@"')
PLANTED = (
    MATRIX.replace(
        "docker: {kind: container}",
        "docker: {kind: container, mounts: ['/srv/annika/x:/data']}\n"
        "  far: {kind: remote, host: annika@planted-lab.example.org, config: CONFIG, folder: /srv/annika/work}",
    )
    + "  far: {tasks: [control.delay], platforms: [native, docker, far], blocks: 1}\n"
)
CONFIG = """\
Host planted-lab.example.org
  HostName 10.99.0.7
  ProxyCommand sh -c 'echo "ssh: connect to host 10.99.0.7 port 22: No route to host" >&2; exit 1'
"""


def test_a_bundle_names_neither_user_nor_host(tmp_path: Path) -> None:
    home = tmp_path / "annika"
    bundle = _run(home, "--profile", "far")
    texts = {path: path.read_text("utf-8", "replace") for path in bundle.rglob("*") if path.is_file()}
    assert len(texts) > 4
    named = [(path.name, name) for path, text in texts.items() for name in (*NAMES, NODE) if name in text]
    assert named == []
    far = json.loads((bundle / "run.json").read_text("utf-8"))["matrix"]["definition"]["platforms"]["far"]
    assert far["host"] == "…"
    told = [json.loads(line) for line in (bundle / "journal.jsonl").read_text("utf-8").splitlines()]
    assert [line for line in told if "host" in line["reason"] and line["cell"].startswith("far/")]


@pytest.mark.skipif(shutil.which("ssh") is None, reason="no ssh client; `apt install openssh-client`")
def test_who_asks_for_identifiers_has_them(tmp_path: Path) -> None:
    bundle = _run(tmp_path / "annika", "--profile", "far", "--with-identifiers")
    manifest = json.loads((bundle / "run.json").read_text("utf-8"))
    assert manifest["matrix"]["definition"]["platforms"]["far"]["host"] == "annika@planted-lab.example.org"
    assert "planted-lab" in (bundle / "journal.jsonl").read_text("utf-8")


def _run(home: Path, *arguments: str) -> Path:
    """Run the planted matrix as the user annika, in her home, without an engine; return the bundle."""
    config = home / "ssh_config"
    project(home, PLANTED.replace("CONFIG", str(config)))
    config.write_text(CONFIG, encoding="utf-8")
    engine = f"unix://{home}/docker.sock"
    person: Mapping[str, str] = {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "LOGNAME": "annika",
        "DOCKER_HOST": engine,
    }
    begun = [*(RENAMED if _can_rename() else ()), *command("run", *arguments)]
    done = subprocess.run(
        begun, cwd=home, env=environment(person), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return bundle_of(home)


def _can_rename() -> bool:
    """Whether this host can be given another name for one process: its own may be part of any word."""
    return shutil.which("unshare") is not None and not subprocess.run([*RENAMED, "true"], check=False).returncode


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("far: ann@lab.example.org: Permission denied", "far: host: Permission denied"),
        ("no host named LAB.example.org.", "no host named host."),
        (
            "far has no lab.example.organic food, my-lab.example.org",
            "far has no lab.example.organic food, my-lab.example.org",
        ),
    ],
)
def test_a_host_is_a_whole_word(said: str, kept: str) -> None:
    assert Privacy(hosts=frozenset({"lab.example.org"})).message(said) == kept


def test_a_platform_may_be_called_as_its_host_is() -> None:
    found = privacy(parse(MATRIX.replace("docker: {kind: container}", "lab: {kind: remote, host: ann@lab}")))
    assert "lab" not in found.hosts
    assert found.message("lab: ann@LAB: Permission denied; ann@lab-2") == "lab: LAB: Permission denied; ann@lab-2"
    assert platform.node() in found.hosts


def test_ids_stay_what_the_journal_calls_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/annika")
    monkeypatch.setenv("USERPROFILE", "/home/annika")
    cell = {"id": "native/driver/x[file=/home/annika/y]", "params": {"file": "/home/annika/y"}, "seconds": 1.5}
    assert Privacy().record(cell) == {**cell, "params": {"file": "~/y"}}


def test_a_log_is_rewritten_and_one_that_is_not_there_stays_away(tmp_path: Path) -> None:
    private = Privacy(hosts=frozenset({"lab.example.org"}))
    log = tmp_path / "log"
    log.write_bytes(b"connected to lab.example.org\n\xff\n")
    private.log(log)
    assert log.read_text("utf-8") == "connected to host\n\N{REPLACEMENT CHARACTER}\n"
    private.log(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_a_log_that_can_neither_be_rewritten_nor_removed_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_arguments: object, **_named: object) -> None:
        raise PermissionError(13, "The process cannot access the file")

    log = tmp_path / "log"
    log.write_text("connected to lab.example.org", encoding="utf-8")
    monkeypatch.setattr(Path, "write_bytes", held)
    monkeypatch.setattr(Path, "unlink", held)
    Privacy(hosts=frozenset({"lab.example.org"})).log(log)
    monkeypatch.undo()
    assert log.exists()


def test_a_log_that_is_held_for_a_moment_is_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    log.write_text("connected to lab.example.org", encoding="utf-8")

    def let_go(_seconds: float) -> None:
        monkeypatch.undo()

    def held(*_arguments: object) -> None:
        raise PermissionError(13, "The process cannot access the file")

    monkeypatch.setattr(Path, "write_bytes", held)
    monkeypatch.setattr(time, "sleep", let_go)
    Privacy(hosts=frozenset({"lab.example.org"})).log(log)
    assert log.read_text("utf-8") == "connected to host"


def test_the_engine_of_a_docker_context_is_a_host_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    context = SimpleNamespace(Host="ssh://ann@engine.example:22")
    monkeypatch.setattr(ContextAPI, "get_context", lambda _name: context)
    assert "engine.example" in privacy(parse(MATRIX)).hosts

    def damaged(_name: object) -> None:
        raise RuntimeError("Corrupted context metadata")

    monkeypatch.setattr(ContextAPI, "get_context", damaged)
    assert platform.node() in privacy(parse(MATRIX)).hosts
