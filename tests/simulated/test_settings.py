"""The settings: the same in Python, in C and in the README; what is not understood is refused aloud."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tests.simulated.build import libraries
from tests.simulated.driver import CUDA, NVML, SimulatedDriver, load

pytestmark = pytest.mark.answers

README = (Path(__file__).parent / "README.md").read_text(encoding="utf-8")
LIBRARIES = (CUDA, NVML)


def settings_of(library: ctypes.CDLL) -> dict[str, str]:
    text = ctypes.create_string_buffer(8192)
    library.simulated_settings(text, ctypes.c_size_t(len(text)))
    return dict(entry.split("=", 1) for entry in text.value.decode().split(","))


@pytest.mark.parametrize("name", LIBRARIES)
def test_python_and_c_agree_on_names_and_defaults(name: str) -> None:
    library = load(libraries() / name)
    assert library.simulated_configure(b"") == 0
    assert settings_of(library) == dict(entry.split("=", 1) for entry in SimulatedDriver().settings().split(","))


def test_what_is_planted_is_there() -> None:
    driver = SimulatedDriver(launch_ns=1.5, name="Simulated Thing", fail=("cuInit:3", "cuMemAlloc_v2:2:5"))
    found = settings_of(driver.plant())
    assert found["launch_ns"] == "1.5"
    assert found["name"] == "Simulated Thing"
    assert found["fail"] == "cuInit:3|cuMemAlloc_v2:2:5"


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_planted_library_does_not_answer_to_the_driver_s_name_in_this_process(name: str) -> None:
    load(libraries() / name)
    try:
        found = ctypes.CDLL(name)  # there may be a real one
    except OSError:
        return
    assert not hasattr(found, "simulated_settings")


@pytest.mark.parametrize("each", fields(SimulatedDriver), ids=lambda each: each.name)
def test_the_readme_names_every_setting(each: object) -> None:
    assert f"`{each.name}`" in README  # type: ignore[attr-defined]


REFUSED = {
    "lunch_ns=3": "no such setting: lunch_ns",
    "launch_ns": "not of the form key=value: launch_ns",
    "launch_ns=fast": "launch_ns takes a number from 0 to 1e+12, not 'fast'",
    "launch_ns=nan": "launch_ns takes a number from 0 to 1e+12, not 'nan'",
    "launch_ns=-1": "launch_ns takes a number from 0 to 1e+12, not '-1'",
    "overlap=2": "overlap takes a number from 0 to 1, not '2'",
    "fail=cuInit": "fail takes <function>:<error number>",
    "fail=cuInit:none": "no error number",
    "fail=cuInit:0": "no error number",
    "fail=cuNoSuch:3": "no such function in the simulated library: cuNoSuch",
    "not_supported=cuInit": "no function of NVML: cuInit",
    "crash=printf": "no function of the driver: printf",
    f"name={'x' * 300}": "too long",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_understood_is_refused_and_changes_nothing(text: str, capfd: pytest.CaptureFixture[str]) -> None:
    library = SimulatedDriver(launch_ns=77, fail=("cuInit:999",)).plant()
    before = settings_of(library)
    assert library.simulated_configure(text.encode()) == 1
    assert REFUSED[text] in capfd.readouterr().err
    assert settings_of(library) == before
    assert library.cuInit(0) == 999


def test_a_process_with_settings_that_are_not_understood_ends() -> None:
    environment = {**SimulatedDriver().environment(), "SIMULATED_GPU": "lunch_ns=3"}
    done = init(environment)
    assert done.returncode == -6
    assert done.stderr.startswith("simulated driver: no such setting: lunch_ns")


def test_without_the_variable_the_settings_lie_beside_the_library(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "SIMULATED_GPU"}
    assert init(SimulatedDriver(fail=("cuInit:304",)).install(tmp_path, environment)).stdout == "304\n"
    assert init(SimulatedDriver(fail=("cuInit:999",)).install(tmp_path, environment)).stdout == "999\n"
    assert init({**environment, "LD_LIBRARY_PATH": str(libraries())}).stdout == "0\n"


def init(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    code = f"import ctypes; print(ctypes.CDLL('{CUDA}').cuInit(0))"
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
