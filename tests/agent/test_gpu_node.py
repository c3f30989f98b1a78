"""A planted /sys and the simulated driver: no figure here says anything about a GPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.agent import gpu_node
from harness.agent.cpus import NODES, usable_cpus
from harness.agent.cuda import open_driver
from harness.agent.gpu_node import ONLY, SLOTS, Place, beside
from tests.agent.conftest import Plant
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree

pytestmark = not_on_windows("the GPU's node is looked for in sysfs alone")
CPUS = usable_cpus()
SLOT = f"{SLOTS}/0000:01:00.0/numa_node"  # of the simulated driver's first device
TREE = {
    f"{NODES}/online": "0-1\n",
    f"{NODES}/node0/cpulist": f"{CPUS[0]}\n",
    f"{NODES}/node1/cpulist": f"{CPUS[-1]},4000-4095\n",
    SLOT: "1\n",
    SLOT.replace(":01:", ":02:"): "0\n",
}


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plant: Plant) -> None:
    plant(devices=2)
    planted(monkeypatch, tmp_path, {})


def planted(monkeypatch: pytest.MonkeyPatch, root: Path, changes: Mapping[str, str]) -> None:
    files = tree(root, {**TREE, **changes})
    monkeypatch.setattr(gpu_node, "Files", lambda: files)


def placed(ordinal: int = 0) -> tuple[Place, set[int]]:
    """Where the thread was, and on which CPUs; afterwards it must be where it was."""
    before = os.sched_getaffinity(0)
    with beside(open_driver().device(ordinal)) as place:
        during = os.sched_getaffinity(0)
    assert os.sched_getaffinity(0) == before
    return place, during


@pytest.mark.usefixtures("found")
def test_the_thread_is_beside_the_gpu_that_is_measured() -> None:
    assert placed(0) == (Place(node="1"), {CPUS[-1]})
    assert placed(1) == (Place(node="0"), {CPUS[0]})
    assert placed(0)[0].versions == {"gpu_numa_node": "1"}


@pytest.mark.usefixtures("found")
def test_an_error_gives_the_cpus_back() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(KeyError), beside(open_driver().device(0)):
        raise KeyError
    assert os.sched_getaffinity(0) == before


@pytest.mark.usefixtures("found")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({SLOT: "-1\n"}, "the system says -1"),
        ({SLOT: "7\n"}, "the system says 7"),
        ({SLOT: "what\n"}, "ValueError: "),
        ({f"{NODES}/node1/cpulist": "4000-4095\n"}, "no CPU of node 1 may be used here"),
        ({f"{NODES}/node1/cpulist": "\n"}, "no CPU of node 1 may be used here"),
    ],
)
def test_what_is_not_known_is_not_bound_and_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changes: dict[str, str], reason: str
) -> None:
    planted(monkeypatch, tmp_path, changes)
    place, cpus = placed()
    assert cpus == set(CPUS)
    assert place.node.startswith(f"nothing was bound: {reason}")
    assert place.warnings[0].startswith(f"nothing was bound to the GPU's NUMA node ({reason}")


@pytest.mark.usefixtures("found")
def test_a_slot_that_the_platform_hides_is_said(tmp_path: Path) -> None:
    (tmp_path / SLOT.lstrip("/")).unlink()
    assert placed()[0].node == "nothing was bound: FileNotFoundError: No such file or directory"


@pytest.mark.usefixtures("found")
def test_a_driver_that_does_not_tell_the_slot_is_said(plant: Plant) -> None:
    plant(fail=("cuDeviceGetPCIBusId:801",))
    assert "cuDeviceGetPCIBusId: CUDA_ERROR_NOT_SUPPORTED" in placed()[0].node


@pytest.mark.usefixtures("found")
def test_cpus_that_are_refused_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: int, _cpus: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    assert placed()[0].node == "nothing was bound: its CPUs are refused: PermissionError: Operation not permitted"


@pytest.mark.usefixtures("found")
def test_one_node_needs_no_binding_and_no_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    planted(monkeypatch, tmp_path, {f"{NODES}/online": "0\n"})
    assert placed() == (Place(node=ONLY), set(CPUS))
    (tmp_path / NODES.lstrip("/") / "online").unlink()
    place, cpus = placed()
    assert (place.warnings, cpus) == ((), set(CPUS))
    assert place.node.startswith("not known, nothing was bound: FileNotFoundError")
