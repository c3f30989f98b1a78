"""Keeps the measuring thread beside the GPU: on the CPUs of the NUMA node that its PCI slot belongs to (Linux).

Host memory lies on the node of the thread that first touches it, so on a machine of two sockets copies would be fast or
slow as the scheduler happened to choose, invocation by invocation. Threads that start meanwhile, the driver's among
them, are beside it too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from harness.agent.cpus import NODES, number_list, on_cpus, usable_cpus
from harness.agent.cuda import Device
from harness.agent.cuda_errors import CudaError
from harness.agent.inspection.facts import Files, why
from harness.agent.task import Unsupported

SLOTS = "/sys/bus/pci/devices"
ONLY = "the only one"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the measuring thread runs: `node` is the GPU's, or says why nothing was bound."""

    node: str
    warnings: tuple[str, ...] = ()

    @property
    def versions(self) -> dict[str, str]:
        """What the result must name, since platforms may differ in it."""
        return {"gpu_numa_node": self.node}


@contextmanager
def beside(device: Device) -> Iterator[Place]:
    """Bind this thread to the CPUs of the GPU's node, where it is known and there are several; yield where it runs."""
    with ExitStack() as stack:
        try:
            cpus, place = _found(Files(), device)
            if cpus:
                stack.enter_context(on_cpus(cpus))
        except OSError as error:
            place = _unbound(f"its CPUs are refused: {why(error)}")
        yield place


def _found(files: Files, device: Device) -> tuple[set[int], Place]:
    """Return the CPUs to bind to, none where nothing is to be bound, and what the result says."""
    try:
        online = number_list(files.text(f"{NODES}/online"))
    except (OSError, ValueError) as error:
        return set(), Place(node=f"not known, nothing was bound: {why(error)}")
    if len(online) < 2:
        return set(), Place(node=ONLY)
    try:
        node = int(files.text(f"{SLOTS}/{device.bus_id}/numa_node"))
        there = set(number_list(files.text(f"{NODES}/node{node}/cpulist"))) if node in online else set()
    except (OSError, ValueError, CudaError, Unsupported) as error:
        return set(), _unbound(why(error))
    if node not in online:
        return set(), _unbound(f"the system says {node}")
    cpus = there & set(usable_cpus())
    return (cpus, Place(node=str(node))) if cpus else (cpus, _unbound(f"no CPU of node {node} may be used here"))


def _unbound(reason: str) -> Place:
    warning = f"nothing was bound to the GPU's NUMA node ({reason}): copies may differ from one invocation to the next"
    return Place(node=f"nothing was bound: {reason}", warnings=(warning,))
