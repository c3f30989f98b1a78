from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness import sources
from harness.errors import StackError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


def git(*arguments: str | Path, cwd: Path) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgsign=false"]
    argv = ["git", *identity, *map(str, arguments)]
    return subprocess.run(argv, cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a small repository whose first commit of two is the pinned one."""
    folder = tmp_path / "up stream"
    folder.mkdir()
    git("init", "--quiet", cwd=folder)
    program = folder / "scripts" / "tf_cnn_benchmarks" / "tf_cnn_benchmarks.py"
    program.parent.mkdir(parents=True)
    program.write_text("pinned\n", encoding="utf-8")
    git("add", ".", cwd=folder)
    git("commit", "--quiet", "-m", "pinned", cwd=folder)
    monkeypatch.setattr(sources, "UPSTREAM_COMMIT", git("rev-parse", "HEAD", cwd=folder))
    program.write_text("later\n", encoding="utf-8")
    git("commit", "--quiet", "-am", "later", cwd=folder)
    return folder


def environment(source: Path | str) -> dict[str, str]:
    return {**os.environ, "TF_BENCHMARKS": str(source)}


def obtain(environ: Mapping[str, str], cache: Path) -> tuple[Path, list[str]]:
    told: list[str] = []
    return sources.tf_benchmarks(environ=environ, cache=cache, progress=told.append), told


def program(checkout: Path) -> str:
    return (checkout / "scripts" / "tf_cnn_benchmarks" / "tf_cnn_benchmarks.py").read_text(encoding="utf-8")


def test_the_pinned_commit_is_checked_out_from_a_folder(upstream: Path, tmp_path: Path) -> None:
    checkout, told = obtain(environment(upstream), tmp_path / "cache")
    assert program(checkout) == "pinned\n"
    assert git("rev-parse", "HEAD", cwd=checkout) == git("rev-parse", "HEAD~", cwd=upstream)
    assert len(told) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [checkout.name]


def test_the_source_may_be_bare(upstream: Path, tmp_path: Path) -> None:
    git("clone", "--quiet", "--bare", upstream, tmp_path / "bare.git", cwd=tmp_path)
    assert program(obtain(environment(tmp_path / "bare.git"), tmp_path / "cache")[0]) == "pinned\n"


def test_the_source_may_be_a_url(upstream: Path, tmp_path: Path) -> None:
    assert program(obtain(environment(upstream.as_uri()), tmp_path / "cache")[0]) == "pinned\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to give a folder away")
def test_the_source_may_belong_to_another_user(upstream: Path, tmp_path: Path) -> None:
    for path in [upstream, *upstream.rglob("*")]:
        os.chown(path, 12345, 12345)
    assert program(obtain(environment(upstream), tmp_path / "cache")[0]) == "pinned\n"


def test_a_checkout_is_used_again_without_its_source(upstream: Path, tmp_path: Path) -> None:
    first, _ = obtain(environment(upstream), tmp_path / "cache")
    again, told = obtain(environment(tmp_path / "gone"), tmp_path / "cache")
    assert (again, told) == (first, [])


def test_a_checkout_that_was_changed_is_made_anew(upstream: Path, tmp_path: Path) -> None:
    checkout, _ = obtain(environment(upstream), tmp_path / "cache")
    changed = checkout / "scripts" / "tf_cnn_benchmarks" / "tf_cnn_benchmarks.py"
    changed.chmod(0o644)
    changed.write_text("changed\n", encoding="utf-8")
    (checkout / "stray.py").touch()
    assert program(obtain(environment(upstream), tmp_path / "cache")[0]) == "pinned\n"
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [checkout.name]


def test_a_checkout_is_readable_by_others(upstream: Path, tmp_path: Path) -> None:
    checkout, _ = obtain(environment(upstream), tmp_path / "cache")
    plain = tmp_path / "plain"
    plain.mkdir()
    assert checkout.stat().st_mode == plain.stat().st_mode


def test_no_file_of_a_checkout_may_be_written_and_it_is_still_clean(upstream: Path, tmp_path: Path) -> None:
    checkout, _ = obtain(environment(upstream), tmp_path / "cache")
    assert not [path for path in checkout.rglob("*") if path.is_file() and path.stat().st_mode & 0o222]
    assert git("status", "--porcelain", cwd=checkout) == ""


def test_a_source_without_the_commit_is_told(upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "UPSTREAM_COMMIT", "12" * 20)
    with pytest.raises(StackError, match=f"does not hold commit {'12' * 20}") as told:
        obtain(environment(upstream), tmp_path / "cache")
    assert "\n" not in str(told.value)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("source", ["nowhere", "https://127.0.0.1:1/benchmarks", "file:///nowhere/at/all"])
def test_a_source_that_cannot_be_cloned_is_told(source: str, upstream: Path, tmp_path: Path) -> None:
    with pytest.raises(StackError, match="can't be cloned from") as told:
        obtain(environment(source), tmp_path / "cache")
    assert "\n" not in str(told.value)
    assert str(told.value).endswith("Set TF_BENCHMARKS to a path or URL of a clone of tensorflow/benchmarks.")


def test_a_source_that_never_answers_is_given_up(
    upstream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "LIMIT", 1.0)
    fake_git = tmp_path / "bin" / "git"
    fake_git.parent.mkdir()
    fake_git.write_text("#!/bin/sh\nsleep 60\n", encoding="utf-8")
    fake_git.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake_git.parent}{os.pathsep}{os.environ['PATH']}")
    started = time.monotonic()
    with pytest.raises(StackError, match="did not answer within 1 s"):
        obtain(environment(upstream), tmp_path / "cache")
    assert time.monotonic() - started < 10


def test_without_git(upstream: Path, tmp_path: Path) -> None:
    nowhere = {**environment(upstream), "PATH": str(tmp_path)}
    assert sources.quick_check(nowhere, tmp_path / "cache").endswith("Install git.")
    with pytest.raises(StackError, match="Install git"):
        obtain(nowhere, tmp_path / "cache")


def test_quick_check_of_what_is_there_or_may_be(upstream: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert sources.quick_check(environment(upstream), cache) == ""
    assert sources.quick_check(environment("https://example.org/benchmarks"), cache) == ""
    assert sources.quick_check(environment("git@example.org:benchmarks"), cache) == ""
    assert sources.quick_check(environment(""), cache) == ""


def test_quick_check_of_a_folder_that_is_not_there(upstream: Path, tmp_path: Path) -> None:
    gone = environment(tmp_path / "gone")
    assert f"TF_BENCHMARKS names {tmp_path / 'gone'}" in sources.quick_check(gone, tmp_path / "cache")
    obtain(environment(upstream), tmp_path / "cache")
    assert sources.quick_check(gone, tmp_path / "cache") == ""
