from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from harness import native
from harness.agent.helper import LIBRARIES
from harness.errors import StackError
from tests.agent.native_helper import built


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the sources that a test may spoil."""
    copy = tmp_path / "sources"
    shutil.copytree(native.SOURCES, copy, ignore=shutil.ignore_patterns("lib"))
    monkeypatch.setattr(native, "SOURCES", copy)
    return copy


@pytest.fixture
def compiler() -> None:
    """A compiler and a machine that there is a target for, or a skip."""
    built()
    try:
        native.compiler()
    except StackError as error:
        pytest.skip(str(error))


def test_targets_and_libraries_belong_together() -> None:
    assert native.TARGETS.keys() == LIBRARIES.keys()


@pytest.mark.slow
def test_the_same_sources_give_the_same_bytes(
    compiler: None, sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first,) = native.build(out=tmp_path / "one")
    moved = tmp_path / "elsewhere" / "moved"
    shutil.copytree(sources, moved)
    monkeypatch.setattr(native, "SOURCES", moved)
    (second,) = native.build(out=tmp_path / "elsewhere" / "two")
    assert first.read_bytes() == second.read_bytes()
    assert str(tmp_path).encode() not in first.read_bytes()


@pytest.mark.slow
def test_the_manifest_names_what_was_built(compiler: None, tmp_path: Path) -> None:
    (library,) = native.build(out=tmp_path)
    manifest = json.loads((tmp_path / native.MANIFEST).read_text())
    assert manifest.keys() == {"source_sha256", "compiler", "files"}
    assert manifest["source_sha256"] == native.source_sha256()
    assert manifest["compiler"].startswith("ziglang ")
    assert manifest["files"] == {library.name: native._digest(library)}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([library.name, native.MANIFEST])


@pytest.mark.slow
def test_what_changed_is_stale(compiler: None, sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "lib"
    assert not native.is_current(out=out)
    (library,) = native.build(out=out)
    assert native.is_current(out=out)
    source = sources / "loops.c"
    source.write_text(source.read_text() + "\n/* changed */\n")
    assert not native.is_current(out=out)
    native.build(out=out)
    assert native.is_current(out=out)
    library.write_bytes(b"cut")
    assert not native.is_current(out=out)


@pytest.mark.slow
def test_libraries_of_other_sources_are_removed(compiler: None, sources: Path, tmp_path: Path) -> None:
    out = tmp_path / "lib"
    other = next(name for name in native.TARGETS if name.startswith("linux") and name != native.host_target())
    native.build([other], out)
    native.build(out=out)
    assert native.is_current(other, out)
    assert native.is_current(out=out)
    (sources / "clock.h").write_text((sources / "clock.h").read_text() + "\n")
    native.build(out=out)
    assert not (out / LIBRARIES[other]).exists()


@pytest.mark.slow
def test_a_compile_error_is_told_in_one_line(compiler: None, sources: Path, tmp_path: Path) -> None:
    (sources / "loops.c").write_text("int broken(void) { return }\n")
    with pytest.raises(StackError, match=r"native helper: the compiler failed: .*loops\.c:1:") as error:
        native.build(out=tmp_path / "lib")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "lib" / native.MANIFEST).exists()


def test_a_missing_compiler_is_told_with_its_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(native, "find_spec", lambda name: None)
    with pytest.raises(StackError, match=r"ziglang, is not installed.*nox -s native"):
        native.build(out=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_target_is_told_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"no target 'solaris-sparc'\. There are linux-x86_64, "):
        native.build(["solaris-sparc"], tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3}', "{cut"])
def test_a_spoiled_manifest_means_stale(tmp_path: Path, text: str) -> None:
    (tmp_path / native.MANIFEST).write_text(text)
    assert not native.is_current("linux-x86_64", tmp_path)


def test_a_machine_without_a_target_needs_no_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sysconfig, "get_platform", lambda: "linux-riscv64")
    assert native.host_target() is None
    assert native.is_current(out=tmp_path)
    assert native.main([]) == 0


def test_the_command_builds_only_what_is_stale() -> None:
    built()
    done = subprocess.run([sys.executable, "-m", "harness.native"], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_command_checks_without_building(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "is_current", lambda target: target == "linux-x86_64")
    assert native.main(["--target", "linux-x86_64", "--check"]) == 0
    assert native.main(["--all", "--check"]) == 1


def test_this_machines_library_is_built_before_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def build(targets: list[str]) -> list[Path]:
        if targets != ["win-amd64"]:
            raise StackError(f"{targets[0]} fails")
        return [tmp_path / LIBRARIES["win-amd64"]]

    monkeypatch.setattr(native, "is_current", lambda target: False)
    monkeypatch.setattr(native, "host_target", lambda: "win-amd64")
    monkeypatch.setattr(native, "build", build)
    assert native.main(["--all"]) == 1
    assert "probe-windows-x86_64.dll" in capsys.readouterr().out


def test_the_command_fails_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(native, "find_spec", lambda name: None)
    monkeypatch.setattr(native, "is_current", lambda target: False)
    assert native.main(["--target", "linux-x86_64"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_told(compiler: None, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match=r"native helper: .*file.*: File exists"):
        native.build(out=tmp_path / "file")
