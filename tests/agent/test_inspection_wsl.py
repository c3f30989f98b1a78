from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from harness.agent.inspection import wsl
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
