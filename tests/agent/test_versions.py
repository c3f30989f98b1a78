from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import pytest

from harness.agent import versions
from tests.agent.systems import not_on_windows


def test_what_runs_the_cell_is_named() -> None:
    found = versions.collect()

    assert found["python"] == platform.python_version()
    assert found["python.implementation"] == platform.python_implementation()
    assert all(found.values())


def test_a_source_tree_has_no_archive_to_digest() -> None:
    assert versions.agent_sha256() == ""
    assert "agent" not in versions.collect()


def test_a_file_is_digested_whole(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    (tmp_path / "file").write_bytes(content)

    assert versions.sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_helper_that_does_not_load_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> object:
        raise ImportError

    monkeypatch.setattr(versions, "import_module", missing)

    assert "native_helper" not in versions.collect()


@not_on_windows("it has no confstr")
def test_a_libc_that_does_not_tell_has_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_name: str) -> str:
        raise ValueError("unrecognized configuration name")  # as musl has it

    monkeypatch.setattr(os, "confstr", unknown)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))

    assert versions.libc() in {"", "musl"}
