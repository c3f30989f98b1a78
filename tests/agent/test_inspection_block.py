from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.agent.inspection import block
from harness.agent.inspection.facts import Fact, Files
from tests.agent.systems import not_on_windows
from tests.agent.trees import tree, values

pytestmark = not_on_windows("it has neither sysfs nor links like those in it")


class Machine:
    """A made-up sysfs of block devices, with the links that a real one has."""

    def __init__(self, root: Path) -> None:
        self.root = root
        tree(root, {"/sys/dev/block/.keep": ""})

    def device(self, name: str, number: str, contents: dict[str, str], *, slaves: tuple[str, ...] = ()) -> None:
        folder = f"/sys/devices/block/{name}"
        tree(self.root, {f"{folder}/{path}": text for path, text in contents.items()} | {f"{folder}/dev": number})
        here = self.root / folder.lstrip("/")
        (self.root / "sys/dev/block" / number).symlink_to(here)
        (here / "slaves").mkdir(exist_ok=True)
        for slave in slaves:
            (here / "slaves" / slave.rpartition("/")[2]).symlink_to(self.root / "sys/devices/block" / slave)

    def facts(self, number: str) -> dict[str, Fact]:
        return block.inspect(Files(self.root), lambda: number)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    queue = {
        "queue/rotational": "0\n",
        "queue/scheduler": "none [mq-deadline] kyber\n",
        "queue/nr_requests": "1023\n",
        "queue/read_ahead_kb": "128\n",
        "device/model": "Samsung SSD 990 PRO 2TB                 \n",
        "device/serial": "SECRET\n",
    }
    made.device("nvme0n1", "259:0", queue)
    made.device("nvme0n1/nvme0n1p2", "259:2", {"partition": "2\n"})
    made.device("sda", "8:0", {"queue/rotational": "1\n", "device/model": "WDC WD40\n"})
    made.device("sda/sda1", "8:1", {"partition": "1\n"})
    return made


def test_a_partition_has_the_queue_and_the_model_of_its_disk(machine: Machine) -> None:
    facts = machine.facts("259:2")
    found = values(facts)

    assert found["disks"] == [{"kind": "nvme", "model": "Samsung SSD 990 PRO 2TB"}]
    assert found["layers"] == ["nvme"]
    assert found["rotational"] is False
    assert found["scheduler"] == "mq-deadline"
    assert found["queue_depth"] == 1023
    assert found["read_ahead_bytes"] == 128 << 10
    assert facts["write_cache"]["error"] == "FileNotFoundError: No such file or directory"
    assert "SECRET" not in str(facts)


def test_encryption_on_a_volume_on_two_disks_is_followed_down(machine: Machine) -> None:
    lvm = {"dm/uuid": "LVM-SECRETSECRET\n", "dm/name": "alice-root\n"}
    machine.device("dm-0", "253:0", lvm, slaves=("nvme0n1/nvme0n1p2", "sda/sda1"))
    crypt = {"dm/uuid": "CRYPT-LUKS2-SECRET-alice\n", "queue/scheduler": "none\n"}
    machine.device("dm-1", "253:1", crypt, slaves=("dm-0",))
    facts = machine.facts("253:1")
    found = values(facts)

    assert [disk["model"] for disk in found["disks"]] == ["Samsung SSD 990 PRO 2TB", "WDC WD40"]  # type: ignore[attr-defined]
    assert found["layers"] == ["dm-crypt", "dm-lvm", "nvme", "sd"]
    assert found["scheduler"] == "none"
    assert "SECRET" not in str(facts)
    assert "alice" not in str(facts)


def test_a_loop_device_is_followed_to_the_disk_of_its_file(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    tree(machine.root, {"/home/alice/image": ""})
    machine.device("loop0", "7:0", {"loop/backing_file": "/home/alice/image\n"})
    monkeypatch.setattr(os, "major", lambda _number: 8)
    monkeypatch.setattr(os, "minor", lambda _number: 1)
    facts = machine.facts("7:0")

    assert values(facts)["layers"] == ["loop", "sd"]
    assert values(facts)["disks"] == [{"kind": "sd", "model": "WDC WD40"}]
    assert "alice" not in str(facts)


def test_a_loop_device_whose_file_is_elsewhere_is_the_end(machine: Machine) -> None:
    machine.device("loop1", "7:1", {"loop/backing_file": "/not/here (deleted)\n"})

    assert values(machine.facts("7:1"))["disks"] == [{"kind": "loop", "model": ""}]


@pytest.mark.parametrize("number", ["0:45", "9:99"])
def test_a_file_system_without_a_device_says_so(machine: Machine, number: str) -> None:
    facts = machine.facts(number)

    assert {fact["value"] for fact in facts.values()} == {None}
    assert all(fact["error"] for fact in facts.values())


@pytest.mark.parametrize(
    ("text", "chosen"), [("[none] mq-deadline", "none"), ("mq-deadline kyber [bfq]", "bfq"), ("none", "none")]
)
def test_the_scheduler_in_brackets_is_in_use(text: str, chosen: str) -> None:
    assert block.scheduler(text) == chosen


@pytest.mark.parametrize(
    ("name", "kind"),
    [("vda", "vd"), ("xvdb", "xvd"), ("md127", "md"), ("mmcblk0", "mmcblk"), ("zram0", "zram"), ("drbd0", "other")],
)
def test_kinds_are_those_of_the_kernels_names(machine: Machine, name: str, kind: str) -> None:
    machine.device(name, "99:0", {})

    assert values(machine.facts("99:0"))["layers"] == [kind]
