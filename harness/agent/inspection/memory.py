"""Memory management: huge pages, swap, overcommitment, merging, and the nodes with their processors and memory."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.agent.inspection.facts import Fact, Files, fact, fields

TRANSPARENT = "/sys/kernel/mm/transparent_hugepage"
RESERVED = "/sys/kernel/mm/hugepages"
NODES = "/sys/devices/system/node"
KIBIBYTE = 1024
OVERCOMMIT = {"0": "heuristic", "1": "always", "2": "never"}  # proc_sys_vm(5)
BALANCING = {"0": "off", "1": "on", "2": "tiering", "3": "on and tiering"}


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts; sizes are bytes."""
    return {
        "swap_bytes": files.fact("/proc/meminfo", lambda text: kibibytes(fields(text)["SwapTotal"])),
        "compressed_swap": files.fact("/sys/module/zswap/parameters/enabled", _yes),
        "overcommit": files.fact("/proc/sys/vm/overcommit_memory", OVERCOMMIT.__getitem__),
        "transparent_defrag": files.fact(f"{TRANSPARENT}/defrag", chosen),
        "transparent_shared": files.fact(f"{TRANSPARENT}/shmem_enabled", chosen),
        "khugepaged_defrag": files.fact(f"{TRANSPARENT}/khugepaged/defrag", int),
        "huge_pages": fact(RESERVED, lambda: _reserved(files)),
        "zone_reclaim": files.fact("/proc/sys/vm/zone_reclaim_mode", int),
        "numa_balancing": files.fact("/proc/sys/kernel/numa_balancing", BALANCING.__getitem__),
        "samepage_merging": files.fact("/sys/kernel/mm/ksm/run", lambda text: int(text) == 1),
        "nodes": fact(NODES, lambda: _nodes(files)),
    }


def kibibytes(text: str) -> int:
    """Return the bytes of `1024 kB`, which is how the kernel counts."""
    amount, unit = text.split()
    if unit != "kB":
        raise ValueError(unit)
    return int(amount) * KIBIBYTE


def chosen(text: str) -> str:
    """Return the bracketed word of `always defer [madvise] never`."""
    found = re.search(r"\[([\w+]+)\]", text)
    if found is None:
        raise ValueError(text)
    return found[1]


def _yes(text: str) -> bool:
    return {"Y": True, "N": False}[text]


def _reserved(files: Files) -> dict[str, int]:
    """Return size, `2048kB`, → pages that are set aside."""
    sizes = (path.rpartition("/")[2] for path in files.matching(f"{RESERVED}/hugepages-*"))
    return {size.removeprefix("hugepages-"): int(files.text(f"{RESERVED}/{size}/nr_hugepages")) for size in sizes}


def _nodes(files: Files) -> dict[str, Mapping[str, object]]:
    """Return node → its processors (as the kernel lists them), memory, distances to all nodes (10 is local)."""
    return {path.rpartition("node")[2]: _node(files, path) for path in files.matching(f"{NODES}/node[0-9]*")}


def _node(files: Files, path: str) -> dict[str, object]:
    """Return one node; what its folder does not tell is left out."""
    told: dict[str, object] = {}
    if files.exists(f"{path}/cpulist"):
        told["cpus"] = files.text(f"{path}/cpulist")
    if files.exists(f"{path}/meminfo"):
        found = re.search(r"MemTotal:\s*(\d+ kB)", files.text(f"{path}/meminfo"))
        if found is not None:
            told["memory_bytes"] = kibibytes(found[1])
    if files.exists(f"{path}/distance"):
        told["distances"] = files.text(f"{path}/distance")
    return told
