from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.agent.inspection import memory
from tests.agent.trees import tree, values

NODES = "/sys/devices/system/node"
PAGES = "/sys/kernel/mm/hugepages"


def test_a_machine_of_two_nodes_is_read(tmp_path: Path) -> None:
    files = tree(
        tmp_path,
        {
            "/proc/meminfo": "MemTotal: 1 kB\nSwapTotal:       2048 kB\n",
            "/proc/sys/vm/overcommit_memory": "1\n",
            "/proc/sys/kernel/numa_balancing": "1\n",
            "/sys/kernel/mm/ksm/run": "0\n",
            "/sys/kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never\n",
            f"{PAGES}/hugepages-2048kB/nr_hugepages": "16\n",
            f"{PAGES}/hugepages-1048576kB/nr_hugepages": "0\n",
            f"{NODES}/node0/cpulist": "0-3\n",
            f"{NODES}/node0/meminfo": "Node 0 MemTotal:       1024 kB\nNode 0 MemFree: 1 kB\n",
            f"{NODES}/node0/distance": "10 21\n",
            f"{NODES}/node1/cpulist": "\n",
        },
    )
    found = values(memory.inspect(files))

    assert found["swap_bytes"] == 2 << 20
    assert found["overcommit"] == "always"
    assert found["numa_balancing"] == "on"
    assert found["samepage_merging"] is False
    assert found["transparent_defrag"] == "madvise"
    assert found["huge_pages"] == {"2048kB": 16, "1048576kB": 0}
    assert found["nodes"] == {
        "0": {"cpus": "0-3", "memory_bytes": 1 << 20, "distances": "10 21"},
        "1": {"cpus": ""},  # memory alone: CXL, a GPU's
    }


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    facts = memory.inspect(tree(tmp_path, {"/proc/sys/vm/overcommit_memory": "7\n", "/proc/meminfo": "SwapTotal: 1\n"}))

    for name in facts:
        assert facts[name]["value"] is None
        assert facts[name]["error"]


@given(st.integers(0, 2**50))
def test_kibibytes_are_bytes(amount: int) -> None:
    assert memory.kibibytes(f"{amount} kB") == amount * 1024


@given(st.text(max_size=30))
def test_other_texts_are_a_value_error_at_worst(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(memory.kibibytes(text), int)
    with suppress(ValueError):
        assert f"[{memory.chosen(text)}]" in text


@pytest.mark.parametrize("text", ["always defer+madvise [defer+madvise]", "[defer+madvise]"])
def test_a_word_with_a_plus_is_a_word(text: str) -> None:
    assert memory.chosen(text) == "defer+madvise"
