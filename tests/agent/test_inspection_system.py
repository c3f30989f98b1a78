from __future__ import annotations

from pathlib import Path

import pytest

from harness.agent.inspection import system
from tests.agent.trees import tree, values

MACHINE = {
    "/etc/os-release": 'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n# comment\n',
    "/proc/meminfo": "MemTotal:       1024 kB\nMemFree: 1 kB\n",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
    "/proc/sys/vm/swappiness": "60\n",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc\n",
    "/sys/devices/system/cpu/vulnerabilities/meltdown": "Not affected\n",
    "/sys/devices/system/cpu/vulnerabilities/spectre_v2": "Mitigation: Retpolines\n",
    "/proc/self/status": "Name:\tpython\nSeccomp:\t2\nSpeculation_Store_Bypass:\tthread vulnerable\n",
    "/proc/pressure/cpu": "some avg10=0.00 total=0\n",
    "/proc/sys/kernel/random/boot_id": "d50635a9-1c57-49a7-941c-3554560187bb\n",
}


def test_a_machine_is_read(tmp_path: Path) -> None:
    found = values(system.inspect(tree(tmp_path, MACHINE)))

    assert found["release"] == "Debian GNU/Linux 12 (bookworm)"
    assert found["memory_bytes"] == 1024 * 1024
    assert found["transparent_huge_pages"] == "madvise"
    assert found["swappiness"] == 60
    assert found["clock_source"] == "tsc"
    assert found["mitigations"] == {"meltdown": "Not affected", "spectre_v2": "Mitigation: Retpolines"}
    assert found["seccomp"] == "filter"
    assert found["speculative_store_bypass"] == "thread vulnerable"
    assert found["pressure_stall_information"] is True
    assert found["boot_id"] == "d50635a9-1c57-49a7-941c-3554560187bb"


def test_a_machine_that_shows_nothing_gives_errors_and_no_exception(tmp_path: Path) -> None:
    facts = system.inspect(tree(tmp_path, {}))

    assert facts["swappiness"]["value"] is None
    assert facts["swappiness"]["error"] == "FileNotFoundError: No such file or directory"
    assert facts["pressure_stall_information"] == {"value": False, "source": "/proc/pressure"}
    assert facts["release"]["value"]  # the platform module's word


@pytest.mark.parametrize(
    ("path", "content", "name"),
    [
        ("/proc/meminfo", "MemTotal: 5 GB", "memory_bytes"),
        ("/proc/meminfo", "", "memory_bytes"),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "never", "transparent_huge_pages"),
        ("/proc/sys/vm/swappiness", "sixty", "swappiness"),
        ("/proc/self/status", "Seccomp: 9", "seccomp"),
        ("/etc/os-release", "NAME=x", "release"),
    ],
)
def test_a_form_that_is_not_known_is_an_error(tmp_path: Path, path: str, content: str, name: str) -> None:
    fact = system.inspect(tree(tmp_path, {**MACHINE, path: content}))[name]

    assert fact["value"] is None
    assert fact["error"]


def test_the_other_place_of_os_release_will_do(tmp_path: Path) -> None:
    files = tree(tmp_path, {"/usr/lib/os-release": "PRETTY_NAME='Clear Linux'\n"})

    assert system.inspect(files)["release"] == {"value": "Clear Linux", "source": "/usr/lib/os-release"}
