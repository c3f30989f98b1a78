"""The program that serves the controller inside a Linux: sent as text, on any Python from 3.10 on."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.platforms import linux_host
from harness.platforms.linux_host import BOOTSTRAP, MARK, PROGRAM, digest_of, read_answer
from tests.agent.interpreters import PROMISED, interpreter

SOURCE = Path(linux_host.__file__).with_name("linux_inside.py")
Ask = Callable[..., Any]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Return a function that asks the program here, with a home of its own."""

    def asked(verb: str, payload: bytes = b"", python: Path = Path(sys.executable), **values: object) -> Any:  # noqa: ANN401 - JSON
        line = json.dumps({"verb": verb, "mark": MARK, **values}).encode()
        done = subprocess.run(
            [python, *BOOTSTRAP[1:]],
            input=PROGRAM + line + b"\n" + payload,
            capture_output=True,
            check=False,
            env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": ""},
        )
        answer = read_answer(done.stdout.decode().splitlines())
        return done.stderr.decode() if answer is None else answer

    return asked


def test_it_needs_the_standard_library_alone() -> None:
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"), feature_version=(3, 10))
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert "subprocess" in names
    assert {name.partition(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize("version", PROMISED)
def test_it_runs_on_every_promised_python(ask: Ask, version: str, tmp_path: Path) -> None:
    found = ask("greet", python=interpreter(version))
    assert (found["python"], found["cache"]) == (version, str(tmp_path / ".cache/overhead-matrix"))
    place = {"run": "r", "platform": "p"}
    argv = [
        sys.executable,
        "-c",
        "import os, sys; os.write(1, b'x'); open('result.json', 'w').write('{}'); sys.exit(3)",
    ]
    ask("claim", python=interpreter(version), owner={}, outside={}, **place)
    job = {"job": "j", "argv": argv, "kept": ["PATH"], "set": {}, "spec": "{}", **place}
    assert ask("launch", python=interpreter(version), **job) == ""
    ended = ask("collect", python=interpreter(version), job="j", **place)
    assert (ended["state"], ended["status"], ended["oom"], ended["result"]) == ("ended", 3, False, "{}")
    assert ask("collect", python=interpreter(version), job="j", **place) == {"state": "absent"}
    assert ask("release", python=interpreter(version), **place) == {}
    assert list((tmp_path / ".cache/overhead-matrix/scratch").iterdir()) == []


def test_a_file_counts_only_when_all_of_it_has_arrived(ask: Ask, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"content")
    kept = tmp_path / ".cache/overhead-matrix/a/b"
    assert ask("missing", files={"a/b": 7}) == {"missing": ["a/b"]}
    assert ask("put", b"conten", path="a/b", sha256=digest_of(source)) == {"error": "what arrived is not what was sent"}
    assert list(kept.parent.iterdir()) == []
    assert ask("put", b"content", path="a/b", sha256=digest_of(source)) == {}
    assert kept.read_bytes() == b"content"
    dead = subprocess.Popen(["true"])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        kept.with_name(f"b.{pid}.part").touch()
    assert ask("put", b"content", path="a/b", sha256=digest_of(source)) == {}
    assert {path.name for path in kept.parent.iterdir()} == {"b", f"b.{os.getpid()}.part"}
    assert ask("missing", files={"a/b": 7, "a/c": 1, "a": None}) == {"missing": ["a/c"]}


def test_a_tree_is_there_whole_or_not_at_all(ask: Ask, tmp_path: Path) -> None:
    """Two runs may send it at once."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("empty"), io.BytesIO())
    tar = tmp_path / "tar"
    tar.write_bytes(buffer.getvalue())
    for _ in range(2):
        assert ask("put", buffer.getvalue(), path="tree.tar", sha256=digest_of(tar)) == {}
        assert ask("unpack", path="tree.tar", to="tree") == {}
    assert [path.name for path in (tmp_path / ".cache/overhead-matrix").iterdir()] == ["tree"]
    assert ask("unpack", path="nothing.tar", to="other")["full"] is False


def test_a_launch_that_was_ended_before_it_could_be_known_does_not_run_on(ask: Ask, tmp_path: Path) -> None:
    """Ctrl-C may come between the start of the way in and the start of the program."""
    place = {"run": "r", "platform": "p", "job": "j"}
    folder = tmp_path / ".cache/overhead-matrix/scratch/r/p/jobs/j"
    line = {"verb": "launch", "mark": MARK, "argv": ["sleep", "60"], "kept": [], "set": {}, "spec": "", **place}
    stopping = f"import pathlib; (pathlib.Path({str(folder)!r}) / 'stop').touch()"
    source = SOURCE.read_text(encoding="utf-8").replace(
        "    child = subprocess.Popen(", f"    {stopping}\n    child = subprocess.Popen(", 1
    )
    began = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", source],
        input=json.dumps(line).encode() + b"\n",
        check=True,
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
    )
    assert time.monotonic() - began < 30
    assert ask("collect", **place)["status"] == -9


def test_what_is_set_comes_before_what_is_kept(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", "/kept")
    monkeypatch.setenv("OTHER", "1")
    place = {"run": "r", "platform": "p", "job": "j"}
    code = "import json, os; json.dump(dict(os.environ), open('result.json', 'w'))"
    argv = [sys.executable, "-I", "-c", code]
    ask("launch", argv=argv, kept=["LD_LIBRARY_PATH"], set={"LD_LIBRARY_PATH": "/set"}, spec="", **place)
    found = json.loads(ask("collect", **place)["result"])
    assert found["LD_LIBRARY_PATH"] == "/set:/kept"
    assert "OTHER" not in found


def test_what_fails_is_told_in_words(ask: Ask) -> None:
    place = {"run": "r", "platform": "p", "job": "j"}
    told = ask("launch", argv=["/nowhere"], kept=[], set={}, spec="", **place)
    assert told == {"error": "/nowhere: No such file or directory", "full": False}
    assert ask("end", **place) == {}
    assert ask("end", run="r", platform="p", job="unknown") == {}


def test_an_answer_is_found_among_other_lines() -> None:
    assert read_answer(["Welcome", f'{MARK}{{"a": 1}}', "Bye"]) == {"a": 1}
    assert read_answer(["Welcome"]) is None
    assert read_answer([f"{MARK}{{cut"]) is None
