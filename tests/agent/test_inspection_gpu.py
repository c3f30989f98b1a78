from __future__ import annotations

import json

import pytest

from harness.agent import own_process
from harness.agent.inspection import gpu
from tests.agent.systems import CRASH, CRASHED, not_on_windows


def child(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the child process run something else than NVML."""
    monkeypatch.setattr(own_process, "PROGRAM", program)


@not_on_windows("the tests have put a simulated driver into its system32")
def test_without_a_driver_the_list_is_empty_and_says_why() -> None:
    facts = gpu.inspect()
    if facts["devices"]["value"]:
        pytest.skip("this machine has an NVIDIA GPU")

    assert facts["devices"]["value"] == []
    assert facts["devices"]["error"]


def test_what_the_child_says_is_taken_over(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"devices": {"value": [{"name": "H200", "uuid": "GPU-1"}], "source": "NVML"}}
    child(f"import sys; sys.stdout.write({json.dumps(facts)!r})", monkeypatch)

    assert gpu.inspect() == facts


def test_a_library_that_crashes_ends_the_child_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    child(CRASH, monkeypatch)

    assert gpu.inspect() == {"devices": {"value": [], "source": "NVML", "error": f"NVML crashed ({CRASHED})"}}


def test_a_driver_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    child("import time; time.sleep(60)", monkeypatch)
    monkeypatch.setattr(gpu, "TIMEOUT", 0.5)

    assert "did not answer" in gpu.inspect()["devices"]["error"]


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("raise RuntimeError('broken install')", "NVML could not be asked: RuntimeError: broken install"),
        ("pass", "NVML could not be asked: exit status 0"),
    ],
)
def test_a_child_that_fails_is_an_error_in_one_line(program: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    child(program, monkeypatch)

    assert gpu.inspect()["devices"]["error"] == says
