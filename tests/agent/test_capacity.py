from __future__ import annotations

from pathlib import Path

import pytest

from harness.agent import capacity
from harness.agent.capacity import MIB
from harness.agent.task import Unavailable
from tests.agent.trees import tree

CACHE = "sys/devices/system/cpu/cpu0/cache"


def test_the_tightest_limit_is_what_is_available(tmp_path: Path) -> None:
    assert capacity.available_memory(tree(tmp_path, {})) is None
    meminfo = {"proc/meminfo": "MemTotal: 9000 kB\nMemAvailable:    4000 kB\n"}
    assert capacity.available_memory(tree(tmp_path, meminfo)) == 4000 * 1024
    groups = {
        "proc/self/cgroup": "0::/user/slice\n",
        "sys/fs/cgroup/cgroup.controllers": "memory",
        "sys/fs/cgroup/cgroup.procs": "",
        "sys/fs/cgroup/user/memory.max": "2048000\n",
        "sys/fs/cgroup/user/slice/memory.max": "max\n",
    }
    assert capacity.available_memory(tree(tmp_path, groups)) == 2048000


def test_room_is_left_to_the_system(tmp_path: Path) -> None:
    files = tree(tmp_path, {"proc/meminfo": f"MemAvailable: {100 * 1024} kB\n"})
    capacity.check_room(files, "memory.x", "size", 40 * MIB, copies=2)
    with pytest.raises(Unavailable, match=r"set size of memory\.x in matrix\.yaml to 40MiB or less"):
        capacity.check_room(files, "memory.x", "size", 41 * MIB, copies=2)


def test_what_the_cache_holds_is_warned_of(tmp_path: Path) -> None:
    files = tree(tmp_path, {f"{CACHE}/index0/size": "48K\n", f"{CACHE}/index3/size": "16384K\n"})
    assert capacity.last_cache(files) == 16 * MIB
    assert capacity.cache_warning(files, "memory.x", "size", 64 * MIB) == ()
    (warning,) = capacity.cache_warning(files, "memory.x", "size", 32 * MIB)
    assert "set size of memory.x in matrix.yaml to 64MiB" in warning


def test_an_unknown_cache_warns_of_nothing(tmp_path: Path) -> None:
    assert capacity.cache_warning(tree(tmp_path, {}), "memory.x", "size", 1) == ()


def test_the_longest_line_is_what_counts(tmp_path: Path) -> None:
    assert capacity.cache_line(tree(tmp_path, {})) == 64
    lines = {f"{CACHE}/index0/coherency_line_size": "64\n", f"{CACHE}/index3/coherency_line_size": "128\n"}
    assert capacity.cache_line(tree(tmp_path, lines)) == 128


def test_a_system_without_huge_pages_has_no_size_of_them(tmp_path: Path) -> None:
    assert capacity.huge_page_size(tree(tmp_path, {})) is None
    pages = {"sys/kernel/mm/transparent_hugepage/hpage_pmd_size": "2097152\n"}
    assert capacity.huge_page_size(tree(tmp_path, pages)) == 2 * MIB


def test_why_there_are_no_huge_pages(tmp_path: Path) -> None:
    files = tree(tmp_path, {"sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]\n"})
    assert "which 50% of the memory got" in capacity.no_huge_pages(files, "memory.x", 0.5)
    assert "'always madvise [never]'" in capacity.no_huge_pages(files, "memory.x", 0.0)
    assert "an unknown share" in capacity.no_huge_pages(files, "memory.x", -0.1)
