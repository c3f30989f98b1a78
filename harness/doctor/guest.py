"""Whether this host is one: in a guest, `native` is not bare metal, and somebody else decides what it gets."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.finding import Check, Facts, Seen, Unread, read

BARE = "boot the machine itself and measure there; a guest's report holds for guests of this kind"
NO = (None, "none", "no")


def machine(facts: Facts) -> Iterator[Seen]:
    """A virtual machine, by the processor's flag and by systemd; WSL2 is one and is told of as such."""
    if facts.get("virtualization.wsl", {}).get("value") == "WSL2":
        return
    detected = facts.get("virtualization.machine", {}).get("value")
    flag = facts.get("virtualization.hypervisor_flag", {})
    if detected not in NO:
        what = f"this is a virtual machine ({detected}): `native` is not bare metal"
        yield Seen(what=what, source=facts["virtualization.machine"]["source"], remedy=BARE)
    elif flag.get("value"):
        what = "this is a virtual machine (the processor's flag `hypervisor`): `native` is not bare metal"
        yield Seen(what=what, source=flag["source"], remedy=BARE)
    elif detected is None and flag.get("value") is None:
        raise Unread(flag.get("source", "/proc/cpuinfo"), flag.get("error", "nothing tells"))


def container(facts: Facts) -> Iterator[Seen]:
    """A container, by its marks and by systemd."""
    marks = read(facts, "virtualization.container_markers")
    detected = facts.get("virtualization.container", {})
    kinds = marks.value or ([] if detected.get("value") in (*NO, "wsl") else [detected["value"]])
    if kinds:
        source = marks.source if marks.value else detected["source"]
        what = f"this is a container ({', '.join(kinds)}): `native` is not the host"
        yield Seen(what=what, source=source, remedy="run on the host itself")


CHECKS = (
    Check(
        id="guest.machine",
        matter="decisive",
        why="the baseline holds what the hypervisor costs, and its other guests take turns with this one unseen",
        look=machine,
    ),
    Check(
        id="guest.container",
        matter="decisive",
        why="the baseline holds what this container costs, and its limits",
        look=container,
    ),
)
