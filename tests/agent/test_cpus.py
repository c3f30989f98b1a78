from __future__ import annotations

from pathlib import Path

import pytest

from harness.agent.cpus import NodePair, cpu_to_pin, node_pairs, not_bound, number_list, on_cpus, usable_cpus
from tests.agent.trees import tree

NODES = "/sys/devices/system/node"
TWO_NODES = {
    f"{NODES}/online": "0-1\n",
    f"{NODES}/has_memory": "0-1\n",
    f"{NODES}/node0/cpulist": "0-3,8-11\n",
    f"{NODES}/node1/cpulist": "4-7,12-15\n",
    "/proc/self/status": "Name:\tagent\nMems_allowed_list:\t0-1\n",
}


def nodes(root: Path, changes: dict[str, str], usable: range = range(16)) -> list[tuple[int, int]]:
    pairs = node_pairs(tree(root, {**TWO_NODES, **changes}), usable)
    return [(pair.cpu_node, pair.memory_node) for pair in pairs]


@pytest.mark.parametrize(
    ("text", "numbers"), [("", []), ("\n", []), ("0", [0]), ("0-3\n", [0, 1, 2, 3]), ("8-9,0,2-2", [0, 2, 8, 9])]
)
def test_lists_as_the_kernel_writes_them(text: str, numbers: list[int]) -> None:
    assert number_list(text) == numbers


@pytest.mark.parametrize("text", ["x", "1-", "-1", "1-x"])
def test_what_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        number_list(text)


def test_every_node_meets_the_memory_of_every_node(tmp_path: Path) -> None:
    pairs = node_pairs(tree(tmp_path, TWO_NODES), range(6))
    assert pairs == [
        NodePair(cpu_node=0, cpus=(0, 1, 2, 3), memory_node=0),
        NodePair(cpu_node=0, cpus=(0, 1, 2, 3), memory_node=1),
        NodePair(cpu_node=1, cpus=(4, 5), memory_node=0),
        NodePair(cpu_node=1, cpus=(4, 5), memory_node=1),
    ]
    assert [pair.dims["access"] for pair in pairs] == ["local", "remote", "remote", "local"]


def test_one_node_has_no_pairs(tmp_path: Path) -> None:
    assert nodes(tmp_path, {f"{NODES}/online": "0"}) == []
    assert node_pairs(tree(tmp_path / "no sysfs", {}), range(4)) == []


def test_a_node_of_memory_alone_and_one_of_cpus_alone(tmp_path: Path) -> None:
    assert nodes(tmp_path, {f"{NODES}/node1/cpulist": "\n"}) == [(0, 0), (0, 1)]
    assert nodes(tmp_path, {f"{NODES}/has_memory": "0\n"}) == [(0, 0), (1, 0)]


def test_nodes_that_a_cpuset_forbids_are_left_out(tmp_path: Path) -> None:
    assert nodes(tmp_path, {}, range(4)) == [(0, 0), (0, 1)]
    assert nodes(tmp_path, {"/proc/self/status": "Mems_allowed_list:\t1\n"}) == [(0, 1), (1, 1)]


def test_a_refusal_says_what_grants_it() -> None:
    pair = NodePair(cpu_node=0, cpus=(0,), memory_node=1)
    assert "--cap-add SYS_NICE" in not_bound("memory.latency", pair, PermissionError(1, "Operation not permitted"))
    assert "--cap-add" not in not_bound("memory.latency", pair, OSError(22, "Invalid argument"))


def test_a_thread_is_bound_for_a_while() -> None:
    before = usable_cpus()
    with on_cpus({cpu_to_pin()}):
        assert usable_cpus() == [cpu_to_pin()]
    assert usable_cpus() == before
    with pytest.raises(ZeroDivisionError), on_cpus({cpu_to_pin()}):
        raise ZeroDivisionError
    assert usable_cpus() == before
