from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.inspection import wsl
from harness.agent.inspection.facts import Files
from tests.agent.trees import tree, values

RELEASE = {"/proc/sys/kernel/osrelease": "6.6.87.2-microsoft-standard-WSL2\n"}
CONFIG = """
[boot]
systemd = true
command = /home/alice/start.sh
[network]
hostname = alices-laptop
[automount]
options = "metadata,umask=22"
[user]
default = alice
"""


def test_a_distribution_is_read_and_nobody_named(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            **RELEASE,
            "/etc/wsl.conf": CONFIG,
            "/proc/sys/fs/binfmt_misc/WSLInterop": "enabled\ninterpreter /init\n",
            "/mnt/wslg/versions.txt": 'WSLg ( x86_64 ): 1.0.66+Branch.main\nMariner: VERSION="2.0"\nFreeRDP: f8a7\n',
            "/usr/lib/wsl/lib/libcuda.so.1": "",
            "/usr/lib/wsl/lib/libnvidia-ml.so.1": "",
            "/proc/swaps": "Filename Type Size\n/dev/sdb partition 8388608 0 -2\n",
        },
    )
    facts = wsl.inspect(files)
    found = values(facts)

    assert found["kernel"] == "6.6.87.2-microsoft-standard-WSL2"
    assert found["interop"] == "enabled"
    assert found["graphics"] == {"WSLg ( x86_64 )": "1.0.66+Branch.main", "Mariner": 'VERSION="2.0"', "FreeRDP": "f8a7"}
    assert found["cuda_libraries"] == ["libcuda.so.1", "libnvidia-ml.so.1"]
    assert found["swap"] is True
    assert found["config"] == {"boot.systemd": "true", "automount.options": '"metadata,umask=22"'}
    assert "alice" not in str(facts)


def test_elsewhere_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert wsl.inspect(tree(tmp_path, {"/proc/sys/kernel/osrelease": "6.1.0-28-amd64\n"})) == {}
    assert wsl.inspect(tree(tmp_path / "empty", {})) == {}


def test_a_distribution_without_extras_says_what_is_missing(tmp_path: Path) -> None:
    facts = wsl.inspect(tree(tmp_path, RELEASE))

    for name in ("interop", "graphics", "config", "cuda_libraries"):
        assert facts[name]["value"] is None
        assert facts[name]["error"]
    assert facts["dxg"]["value"] is False


@given(st.text(max_size=200))
def test_a_configuration_of_another_form_is_a_value_error_at_worst(text: str) -> None:
    with suppress(ValueError):
        for name in wsl.telling(text):
            section, _, key = name.partition(".")
            assert key in wsl.TELLING[section]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("2.5.9\n", "2.5.9"),
        ("WSL version: 2.5.9.0\nKernel version: 6.6.87.2-1\n", "2.5.9.0"),
        ("WSL-Version: 2.0.1.0\n", "2.0.1.0"),
    ],
)
def test_the_version_as_either_program_says_it(said: str, found: str) -> None:
    assert wsl.version(said) == found
    with pytest.raises(ValueError, match="no version"):
        wsl.version("Usage: wslinfo [OPTION]")


@pytest.mark.skipif(
    sys.platform == "win32", reason="not on Windows: a program of the distribution is planted by a shell script"
)
def test_the_version_is_asked_of_the_distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "wsl.exe"
    program.write_text("#!/bin/sh\nprintf 'W\\000S\\000L\\000 2.5.9.0\\n$WSL_UTF8 $WSLENV'\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert wsl._version(Files()) == "2.5.9.0"
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(LookupError, match="neither wslinfo nor"):
        wsl._version(Files())
