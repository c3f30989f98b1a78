from __future__ import annotations

from pathlib import Path

import pytest

from harness.agent.inspection import cpu
from tests.agent.trees import offline_processors, tree, values

CPUS = "/sys/devices/system/cpu"
CPUINFO = (
    "processor\t: 0\nmodel name\t: Some CPU @ 2.00GHz\nmicrocode\t: 0x1\n"
    "flags\t\t: fpu hypervisor avx2 fma avx512f\n\nprocessor\t: 1\n"
)


def test_a_machine_is_read(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "/proc/cpuinfo": CPUINFO,
            f"{CPUS}/smt/active": "1\n",
            f"{CPUS}/cpu0/cpufreq/scaling_governor": "powersave\n",
            f"{CPUS}/cpu1/cpufreq/scaling_governor": "performance\n",
            f"{CPUS}/cpu0/cpufreq/scaling_driver": "intel_pstate\n",
            f"{CPUS}/cpu0/cpufreq/cpuinfo_min_freq": "800000\n",
            f"{CPUS}/cpu0/cpufreq/cpuinfo_max_freq": "4700000\n",
            f"{CPUS}/cpu0/cpufreq/scaling_min_freq": "1000000\n",
            f"{CPUS}/cpu0/cpufreq/scaling_max_freq": "2000000\n",
            f"{CPUS}/cpu0/cpufreq/energy_performance_preference": "balance_power\n",
            f"{CPUS}/cpufreq/boost": "0\n",
            "/sys/devices/system/node/node0/cpulist": "0\n",
            "/sys/devices/system/node/node1/cpulist": "1\n",
        },
    )
    found = values(cpu.inspect(files))

    assert found["model"] == "Some CPU @ 2.00GHz"
    assert found["smt"] is True
    assert found["governor"] == "performance, powersave"
    assert found["frequency_driver"] == "intel_pstate"
    assert found["min_frequency_hz"] == 8e8
    assert found["max_frequency_hz"] == 4.7e9
    assert (found["min_scaling_hz"], found["max_scaling_hz"]) == (1e9, 2e9)
    assert found["energy_preference"] == "balance_power"
    assert found["microcode"] == "0x1"
    assert found["vector_extensions"] == "avx2 avx512f fma"
    assert found["boost"] is False
    assert found["numa_nodes"] == 2
    assert isinstance(found["logical"], int)
    assert isinstance(found["affinity"], int)


def test_intels_driver_states_the_opposite(tmp_path: Path) -> None:
    files = tree(tmp_path, {f"{CPUS}/intel_pstate/no_turbo": "0\n", f"{CPUS}/cpufreq/boost": "0\n"})

    assert cpu.inspect(files)["boost"] == {"value": True, "source": f"{CPUS}/intel_pstate/no_turbo"}


def test_an_arm_machine_has_numbers_for_a_name(tmp_path: Path) -> None:
    files = tree(tmp_path, {"/proc/cpuinfo": "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"})

    assert cpu.inspect(files)["model"]["value"] == "implementer 0x41 part 0xd0c"


def test_a_guest_without_frequencies_says_so(tmp_path: Path) -> None:
    facts = cpu.inspect(tree(tmp_path, {"/proc/cpuinfo": "processor : 0\n"}))

    for name in ("model", "governor", "max_frequency_hz", "boost", "smt", "numa_nodes"):
        assert facts[name]["value"] is None
        assert facts[name]["error"]


def test_processors_that_are_offline_are_left_out_unless_all_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = tree(tmp_path, {f"{CPUS}/cpu{number}/cpufreq/scaling_governor": "powersave\n" for number in (0, 1)})
    with monkeypatch.context() as patch:
        offline_processors(patch, f"{CPUS}/cpu1/")
        assert cpu.inspect(files)["governor"]["value"] == "powersave"
    offline_processors(monkeypatch, f"{CPUS}/cpu0/", f"{CPUS}/cpu1/")
    assert cpu.inspect(files)["governor"]["error"] == "OSError: Device or resource busy"
