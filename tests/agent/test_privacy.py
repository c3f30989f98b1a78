from __future__ import annotations

import getpass
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.privacy import without_person


@pytest.fixture(autouse=True)
def _alice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("USERPROFILE", "/home/alice")
    monkeypatch.setenv("LOGNAME", "alice")


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        ("cc: /home/alice/probe/x.cpp: no such file", "cc: ~/probe/x.cpp: no such file"),
        ("/scratch/alice/build and C:\\Users\\alice\\build", "/scratch/user/build and C:\\Users\\user\\build"),
        ("no space left in /scratch/alice", "no space left in /scratch/user"),
        (
            "alice in wonderland, /opt/alice-tools, /opt/malice, /home/alice2",
            "alice in wonderland, /opt/alice-tools, /opt/malice, /home/alice2",
        ),
    ],
)
def test_neither_home_nor_user_stays(printed: str, kept: str) -> None:
    assert without_person(printed) == kept


@pytest.mark.parametrize(
    ("printed", "kept"),
    [
        ("/root/x, file:///root/y, HOME=/root", "~/x, file://~/y, HOME=~"),
        ("/mnt/root/x, ./root/x, ~/root/x, /sysroot/root", "/mnt/root/x, ./root/x, ~/root/x, /sysroot/root"),
        ("cc -I/root/include -L/root/lib", "cc -I~/include -L~/lib"),
    ],
)
def test_a_home_is_no_part_of_another_path(monkeypatch: pytest.MonkeyPatch, printed: str, kept: str) -> None:
    monkeypatch.setenv("HOME", "/root")
    monkeypatch.setenv("USERPROFILE", "/root")
    monkeypatch.setenv("LOGNAME", "root")
    assert without_person(printed) == kept


@given(st.lists(st.sampled_from(["/home/alice", "alice", "/", "\\", "~", "x", " ", "-I", ".", ":"]), max_size=8))
def test_twice_is_as_once_and_no_home_stays_where_a_path_begins(parts: list[str]) -> None:
    once = without_person("".join(parts))
    assert without_person(once) == once
    assert re.search(r"(^|[ :])/home/alice(?![\w.-])", once) is None


@pytest.mark.parametrize("home", ["/", "~"])
def test_who_has_no_home_loses_no_text(monkeypatch: pytest.MonkeyPatch, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("USERPROFILE", home)
    assert without_person("/usr/lib ~") == "/usr/lib ~"


def test_root_is_nobodys_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "root")
    assert without_person("/sys/fs/root/x") == "/sys/fs/root/x"


def test_who_has_no_account_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert without_person("/home/alice/x, /scratch/alice/y") == "~/x, /scratch/alice/y"
