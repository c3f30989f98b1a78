"""The CPUs and NUMA nodes that this process may use, and binding to them.

Memory is bound by the native helper (mbind); threads inherit the CPUs of the thread that starts them.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from harness.agent.inspection.facts import Files, fields

NODES = "/sys/devices/system/node"
FREE = -1  # to the native helper: any CPU, any node


def usable_cpus() -> list[int]:
    """Return the CPUs that the affinity of this process allows, which a CPU limit does not lower.

    On Windows those of the processor group in which the process has started.
    """
    if sys.platform == "win32":
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        return win32.bits(win32.affinity())
    return sorted(os.sched_getaffinity(0))


def cpu_to_pin() -> int:
    """Return the CPU that pinned loops use: the last, as the first often serves the most interrupts."""
    return usable_cpus()[-1]


@dataclass(frozen=True, kw_only=True)
class NodePair:
    """CPUs of one NUMA node, and a node whose memory they use."""

    cpu_node: int
    cpus: tuple[int, ...]
    memory_node: int

    @property
    def dims(self) -> dict[str, str | int]:
        """What a metric says about it."""
        access = "local" if self.cpu_node == self.memory_node else "remote"
        return {"cpu_node": self.cpu_node, "memory_node": self.memory_node, "access": access}


def node_pairs(files: Files, usable: Collection[int]) -> list[NodePair]:
    """Return every node with usable CPUs combined with every node whose memory may be used; none on a single node.

    A node may have CPUs alone (no memory in its slots) or memory alone (CXL).
    """
    try:
        nodes = _nodes(files)
        if len(nodes) < 2:
            return []
        cpus = {node: tuple(sorted(all_of_it & set(usable))) for node, all_of_it in nodes.items()}
        with_memory = _memory_nodes(files, nodes)
    except (OSError, ValueError):
        return []
    return [
        NodePair(cpu_node=node, cpus=cpus[node], memory_node=memory)
        for node in nodes
        if cpus[node]
        for memory in with_memory
    ]


def not_bound(task: str, pair: NodePair, error: OSError) -> str:
    """Return why a pair's value is missing."""
    remedy = "; Docker grants it with --cap-add SYS_NICE" if error.errno == errno.EPERM else ""
    return f"{task}: CPUs of node {pair.cpu_node} with memory of node {pair.memory_node}: {error}{remedy}"


def number_list(text: str) -> list[int]:
    """Read `0-3,8` as the kernel writes sets of CPUs and nodes; raise ValueError if it is something else."""
    numbers: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, dash, last = part.partition("-")
        numbers.update(range(int(first), int(last if dash else first) + 1))
    return sorted(numbers)


@contextmanager
def on_cpus(cpus: Collection[int]) -> Iterator[None]:
    """Bind this thread, and those it starts meanwhile, to some CPUs. Raises OSError as the system does.

    Windows' threads don't inherit: there it is the whole process.
    """
    before = usable_cpus()
    _bind(cpus)
    try:
        yield
    finally:
        _bind(before)


def _bind(cpus: Collection[int]) -> None:
    if sys.platform == "win32":
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        win32.set_affinity(sum(1 << cpu for cpu in cpus))
    else:
        os.sched_setaffinity(0, cpus)


def _nodes(files: Files) -> dict[int, set[int]]:
    """Return node → its CPUs. Raises OSError and ValueError where the system does not say."""
    if sys.platform == "win32" and files.of_this_machine:
        from harness.agent import win32  # noqa: PLC0415 - Windows only

        return win32.nodes()
    online = number_list(files.text(f"{NODES}/online"))
    return {node: _cpus(files, node) for node in online} if len(online) > 1 else {}


def _cpus(files: Files, node: int) -> set[int]:
    return set(number_list(files.text(f"{NODES}/node{node}/cpulist")))


def _memory_nodes(files: Files, online: Collection[int]) -> list[int]:
    """Return the nodes that have memory and whose memory this process's cpuset allows."""
    if sys.platform == "win32" and files.of_this_machine:
        return sorted(online)  # one without memory refuses when it is asked
    having = set(number_list(files.text(f"{NODES}/has_memory"))) if files.exists(f"{NODES}/has_memory") else set(online)
    allowed = fields(files.text("/proc/self/status")).get("Mems_allowed_list")
    return sorted(having & set(number_list(allowed))) if allowed is not None else sorted(having)
