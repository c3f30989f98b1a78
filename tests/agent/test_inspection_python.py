from __future__ import annotations

import hashlib
import platform
import sys
import sysconfig
from pathlib import Path

import pytest

from harness.agent.inspection import python
from harness.agent.inspection.facts import Files
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree

CONFIGURED = {
    "CONFIG_ARGS": "'--prefix=/home/alice/python' '--enable-optimizations' '--with-lto=thin' '--disable-gil' 'CC=x'",
    "CFLAGS": "-fno-strict-overflow -Wsign-compare -DNDEBUG -g -O3 -ffile-prefix-map=/home/alice=. -O2 -march=native",
}


def test_this_interpreter_is_read() -> None:
    facts = python.inspect(Files())

    assert facts["version"]["value"] == platform.python_version()
    assert facts["executable_sha256"]["value"] == hashlib.sha256(Path(sys.executable).read_bytes()).hexdigest()
    assert all(set(each) >= {"value", "source"} for each in facts.values())


def test_only_what_changes_speed_is_kept_of_a_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", CONFIGURED.get)
    facts = python.inspect(Files())

    assert facts["options"]["value"] == ["--disable-gil", "--enable-optimizations", "--with-lto=thin"]
    assert facts["flags"]["value"] == ["-DNDEBUG", "-O3", "-O2", "-march=native"]
    assert "alice" not in str(facts)


def test_a_build_without_a_configuration_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sysconfig, "get_config_var", lambda _name: None)
    facts = python.inspect(Files())

    assert (facts["options"]["value"], facts["flags"]["value"]) == ([], [])


@not_on_windows("it has no /proc/self/maps")
@pytest.mark.parametrize(("mapped", "digested"), [("libpython3.13t.so.1.0", True), ("libpython-helper.txt", False)])
def test_the_library_that_is_loaded_is_digested(tmp_path: Path, mapped: str, digested: bool) -> None:
    library = tmp_path / "lib dir" / mapped
    library.parent.mkdir()
    library.write_bytes(b"library")
    files = tree(
        tmp_path, {"/proc/self/maps": f"7f00-7f01 r-xp 00000000 08:02 1    {library}\n7f02-7f03 rw-p 0 0 0 [heap]\n"}
    )
    expected = hashlib.sha256(b"library").hexdigest() if digested else None

    assert python.inspect(files)["library_sha256"] == {"value": expected, "source": "/proc/self/maps"}
