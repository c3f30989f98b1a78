from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.inspection import topology
from tests.agent.trees import tree, values

CPUS = "/sys/devices/system/cpu"


def machine(sockets: int, cores: int, threads: int) -> dict[str, str]:
    found = {}
    for number in range(sockets * cores * threads):
        folder = f"{CPUS}/cpu{number}/topology"
        found[f"{folder}/physical_package_id"] = f"{number // (cores * threads)}\n"
        found[f"{folder}/core_id"] = f"{number // threads % cores}\n"
    return found


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 2))
def test_sockets_cores_and_threads_are_counted(sockets: int, cores: int, threads: int) -> None:
    import tempfile  # noqa: PLC0415 - a fixture's folder would be shared by the examples

    with tempfile.TemporaryDirectory() as folder:
        found = values(topology.inspect(tree(Path(folder), machine(sockets, cores, threads))))

    assert found["sockets"] == sockets
    assert found["cores"] == sockets * cores
    assert found["threads"] == sockets * cores * threads


def test_cores_of_two_dies_are_not_taken_for_one(tmp_path: Path) -> None:
    contents = machine(1, 1, 1) | {f"{CPUS}/cpu1/topology/{name}": "0" for name in ("physical_package_id", "core_id")}
    contents |= {f"{CPUS}/cpu{number}/topology/die_id": f"{number}" for number in (0, 1)}

    assert values(topology.inspect(tree(tmp_path, contents)))["cores"] == 2


def test_caches_idle_states_and_isolation_are_read(tmp_path: Path) -> None:
    cache = f"{CPUS}/cpu0/cache"
    idle = f"{CPUS}/cpu0/cpuidle"
    contents = {
        f"{CPUS}/isolated": "2-3\n",
        f"{CPUS}/nohz_full": "(null)\n",
        f"{CPUS}/smt/control": "forceoff\n",
        f"{CPUS}/cpuidle/current_governor_ro": "menu\n",
        f"{idle}/state0/name": "POLL\n",
        f"{idle}/state0/disable": "0\n",
        f"{idle}/state1/name": "C6\n",
        f"{idle}/state1/disable": "1\n",
    }
    for index, (level, kind, size) in enumerate(
        [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("3", "Unified", "32M")]
    ):
        contents |= {
            f"{cache}/index{index}/level": level,
            f"{cache}/index{index}/type": kind,
            f"{cache}/index{index}/size": size,
            f"{cache}/index{index}/shared_cpu_list": "0-1",
        }
    found = values(topology.inspect(tree(tmp_path, contents)))

    assert found["isolated"] == "2-3"
    assert found["tickless"] == "none"
    assert found["smt_control"] == "forceoff"
    assert found["idle_governor"] == "menu"
    assert found["idle_states"] == ["POLL"]
    assert found["cache_bytes"] == {"L1d": 48 << 10, "L1i": 32 << 10, "L3": 32 << 20}
    assert found["cache_shared_by"] == {"L1d": "0-1", "L1i": "0-1", "L3": "0-1"}


@pytest.mark.parametrize(("text", "size"), [("48K", 49152), ("1M", 1 << 20), ("512", 512)])
def test_sizes_have_units(text: str, size: int) -> None:
    assert topology.size(text) == size


def test_a_machine_that_shows_nothing_gives_errors(tmp_path: Path) -> None:
    facts = topology.inspect(tree(tmp_path, {}))

    assert {fact["value"] for fact in facts.values()} == {None}
    assert all(fact["error"] for fact in facts.values())
