"""The parsers, with made-up answers: what a Windows says is tested where there is one."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.inspection import windows
from tests.agent.systems import not_on_windows
from tests.agent.trees import values

VALUES = {
    "CurrentBuild": "26200",
    "UBR": 6901,
    "DisplayVersion": "25H2",
    "EditionID": "Professional",
    "HwSchMode": 2,
    "ActivePowerScheme": "8C5E7FDA-E8BF-4A96-9A85-A6E23A8C635C",
    "NtfsDisableLastAccessUpdate": 0x80000002,
    "LongPathsEnabled": 1,
}
ANSWER = {
    "vbs": 2,
    "services": [1, 2],
    "hypervisor": True,
    "realtime": True,
    "defender": "Normal",
    "exclusions": 0,
    "volumes": [
        {"letter": "C", "filesystem": "NTFS", "devdrive": "This is not a developer volume."},
        {"letter": "D", "filesystem": "ReFS", "devdrive": "This is a trusted developer volume."},
        {"letter": "E", "filesystem": "ReFS", "devdrive": "Dies ist ein Entwicklervolume."},
    ],
}


def registry(**changes: object) -> Callable[[str, str], object]:
    def read(key: str, name: str) -> object:
        assert not key.startswith("\\")
        try:
            return {**VALUES, **changes}[name]
        except KeyError:
            raise FileNotFoundError(2, "The system cannot find the file specified") from None

    return read


def test_the_registry_is_read() -> None:
    found = values(windows.from_registry(registry()))

    assert (found["build"], found["build_revision"]) == ("26200", 6901)
    assert found["release"] == "25H2"
    assert found["gpu_scheduling"] == "on"
    assert found["power_scheme"] == "high performance"
    assert found["long_paths"] == 1


def test_a_value_that_was_never_set_is_the_default_and_not_off() -> None:
    def empty(key: str, name: str) -> NoReturn:
        raise FileNotFoundError(2, "not found")

    facts = windows.from_registry(empty)

    assert facts["gpu_scheduling"]["value"] == "default"
    assert facts["gpu_timeout_seconds"]["value"] == "default"
    assert facts["build"]["value"] is None
    assert facts["build"]["error"]


@pytest.mark.parametrize(("mode", "said"), [(1, "off"), (2, "on"), (3, "mode 3"), ("default", "default")])
def test_gpu_scheduling_has_names(mode: object, said: str) -> None:
    assert windows.scheduling(mode) == said


def test_a_power_scheme_of_ones_own_is_not_named() -> None:
    assert windows.scheme("{381b4222-f694-41f0-9685-ff5bb260df2e}") == "balanced"
    assert windows.scheme("12345678-0000-0000-0000-000000000000") == "custom"


def test_powershells_answer_is_read() -> None:
    found = values(windows.from_powershell(lambda: "\ufeff" + json.dumps(ANSWER)))

    assert found["virtualization_based_security"] == "running"
    assert found["memory_integrity"] is True
    assert found["hypervisor_present"] is True
    assert found["defender_realtime"] is True
    assert found["defender_mode"] == "Normal"
    assert found["defender_excluded_paths"] == 0
    assert found["volumes"] == [
        {"letter": "C", "filesystem": "NTFS", "dev_drive": "no"},
        {"letter": "D", "filesystem": "ReFS", "dev_drive": "trusted"},
        {"letter": "E", "filesystem": "ReFS", "dev_drive": None},
    ]


def test_what_powershell_could_not_get_is_missing_and_not_off() -> None:
    nothing: dict[str, object] = {
        "vbs": None,
        "services": None,
        "realtime": None,
        "defender": "",
        "exclusions": None,
        "volumes": [],
    }
    facts = windows.from_powershell(lambda: json.dumps(nothing))

    assert facts["volumes"]["value"] == []
    for name in set(facts) - {"volumes"}:
        assert facts[name]["value"] is None, name
        assert facts[name]["error"], name


@pytest.mark.parametrize("text", ["", "[]", "Get-Volume : Zugriff verweigert", "{", "null"])
def test_an_answer_of_another_form_is_an_error_of_every_question(text: str) -> None:
    facts = windows.from_powershell(lambda: text)

    assert set(facts) == set(windows.QUESTIONS)
    assert {fact["value"] for fact in facts.values()} == {None}
    assert all(fact["error"] for fact in facts.values())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.sampled_from([*ANSWER, "letter"]), each, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_whatever_powershell_answers_every_question_has_a_fact(answer: object) -> None:
    facts = windows.from_powershell(lambda: json.dumps(answer))

    assert set(facts) == set(windows.QUESTIONS)
    for fact in facts.values():
        assert fact["source"] == windows.SHELL


def test_without_powershell_it_says_so() -> None:
    def absent() -> NoReturn:
        raise FileNotFoundError(2, "The system cannot find the file specified")

    fact = windows.from_powershell(absent)["memory_integrity"]
    assert fact["error"] == "FileNotFoundError: The system cannot find the file specified"


def fake_powershell(code: str, seconds: float = 30.0) -> dict[str, object]:
    """The error of every fact, asked of a Python program that takes PowerShell's arguments."""
    facts = windows.from_powershell(lambda: windows._powershell((sys.executable, "-c", code), seconds))
    return {name: fact.get("error") for name, fact in facts.items()}


def test_a_powershell_that_answers_is_heard() -> None:
    answer = {"vbs": 2, "services": [2], "hypervisor": True, "realtime": True, "defender": "Normal", "exclusions": 1}
    said = fake_powershell(f"import json; print(json.dumps({answer | {'volumes': []}}))")
    assert said == dict.fromkeys(windows.QUESTIONS)


def test_a_powershell_that_is_not_there_is_told_by_every_fact() -> None:
    facts = windows.from_powershell(lambda: windows._powershell(("no-such-powershell.exe",)))
    assert {fact["value"] for fact in facts.values()} == {None}
    assert all(windows.NOT_STARTED in fact["error"] for fact in facts.values())
    assert facts.keys() == windows.QUESTIONS.keys()


def test_a_powershell_that_hangs_is_given_up() -> None:
    began = time.monotonic()
    said = fake_powershell("import time; time.sleep(60)", seconds=0.5)
    assert time.monotonic() - began < 20
    assert set(said.values()) == {"TimeoutError: PowerShell did not answer within 0.5 s"}


@pytest.mark.parametrize("code", ["pass", "print('scripts are disabled on this system')"])
def test_a_powershell_that_may_not_answer_is_told(code: str) -> None:
    assert all(windows.NOTHING in str(error) for error in fake_powershell(code).values())


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("This is a trusted developer volume.", "trusted"),
        ("This is an untrusted developer volume.", "untrusted"),
        ("This is not a developer volume.", "no"),
        ("Error 1: Incorrect function.", None),
        ("", None),
    ],
)
def test_dev_drives_are_told(line: str, said: str | None) -> None:
    assert windows.dev_drive(line) == said


@not_on_windows("this is it")
def test_elsewhere_there_is_nothing_to_say() -> None:
    assert windows.inspect() == {}
