from __future__ import annotations

import getpass

import pytest

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
