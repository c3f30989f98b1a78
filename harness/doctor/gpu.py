"""NVIDIA's GPUs: who else uses them, their heat, their modes. Facts of the inspection and of this moment, by NVML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.doctor.finding import Check, Facts, Matter, Seen, Unread, listed, read

ABSENT = "Not Supported"  # NVML's word for what a device or its driver does not have, by which nothing is spoilt
HEADROOM = 10  # °C below the temperature at which the hardware slows itself down
APPLICATION_CLOCKS = 0x2  # of the clock event reasons
NO_DRIVER = "install NVIDIA's driver; `nvidia-smi` must list the GPU"

Device = Mapping[str, Any]


def driver(facts: Facts) -> Iterator[Seen]:
    """Whether NVML answers at all, and what the PCI bus says where it does not."""
    found = facts["gpu.devices"]
    if "error" not in found:
        return
    there = [each for each in facts.get("pci.gpus", {}).get("value") or () if each.get("vendor") == "NVIDIA"]
    if there:
        what = f"the driver does not answer for {len(there)} NVIDIA GPU(s): {found['error']}"
        yield Seen(what=what, source=found["source"], remedy=NO_DRIVER)
    else:
        what = f"no NVIDIA GPU answers: {found['error']}"
        yield Seen(what=what, source=found["source"], remedy=NO_DRIVER, matter="noted")


def taken(facts: Facts) -> Iterator[Seen]:
    """A GPU that is set aside for virtual machines."""
    gpus = facts.get("pci.gpus", {})
    count = sum(each.get("driver") == "vfio-pci" for each in gpus.get("value") or ())
    if count:
        remedy = "`doctor --restore`, if a killed run left it so; else bind it to its driver"
        yield Seen(what=f"{count} GPU(s) are bound to vfio-pci", source=gpus["source"], remedy=remedy)


def display(facts: Facts) -> Iterator[Seen]:
    """A display that is drawn by the GPU."""
    for name, on, source in _known(facts, "gpu.devices", "display_active"):
        if on:
            remedy = "connect the display to another GPU, or `sudo systemctl isolate multi-user.target`"
            yield Seen(what=f"{name} drives a display", source=source, remedy=remedy)
    yield from _unknown(facts, "gpu.devices", "display_active")


def persistence(facts: Facts) -> Iterator[Seen]:
    """Persistence mode; Windows' driver has none, and is always there."""
    for name, on, source in _known(facts, "gpu.devices", "persistence"):
        if not on:
            yield Seen(what=f"{name} is not in persistence mode", source=source, remedy="sudo nvidia-smi -pm 1")
    yield from _unknown(facts, "gpu.devices", "persistence")


def neighbours(facts: Facts) -> Iterator[Seen]:
    """Processes that compute or draw on a GPU."""
    for kind, does in (("computing", "compute"), ("drawing", "draw")):
        for name, pids, source in _known(facts, "gpu.state", kind):
            if pids:
                what = f"{len(pids)} process(es) {does} on {name}: {_names(facts, pids)}"
                matter: Matter | None = "relevant" if kind == "drawing" else None
                yield Seen(what=what, source=source, remedy="end them; `nvidia-smi` lists them", matter=matter)
        yield from _unknown(facts, "gpu.state", kind)


def heat(facts: Facts) -> Iterator[Seen]:
    """The distance to the temperature at which the hardware lowers its clocks."""
    states = read(facts, "gpu.state")
    for number, state in enumerate(states.value):
        now, slow = state["celsius"], state["slowdown_celsius"]
        if now is not None and slow is not None and now > slow - HEADROOM:
            what = f"{_label(facts, number)} has {now} °C, it is slowed at {slow} °C"
            matter: Matter | None = "decisive" if now >= slow else None
            yield Seen(what=what, source=states.source, remedy="let it cool down, improve the cooling", matter=matter)
    for name in ("celsius", "slowdown_celsius"):
        yield from _unknown(facts, "gpu.state", name)


def clocks(facts: Facts) -> Iterator[Seen]:
    """NVML does not tell whether clocks are locked: only that application clocks hold them now."""
    for name, reasons, source in _known(facts, "gpu.state", "clock_reasons"):
        if not reasons & APPLICATION_CLOCKS:
            what = f"nothing shows that {name} has its clocks locked (the driver does not tell)"
            remedy = "sudo nvidia-smi -lgc MHZ,MHZ; back with -rgc; `nvidia-smi -q -d SUPPORTED_CLOCKS` lists them"
            yield Seen(what=what, source=source, remedy=remedy)
    yield from _unknown(facts, "gpu.state", "clock_reasons")


def pending_ecc(facts: Facts) -> Iterator[Seen]:
    """An ECC mode that takes hold with the next reset."""
    for name, (current, pending), source in _known(facts, "gpu.state", "ecc"):
        if current != pending:
            what = f"{name} has ECC {_switch(current)}, and {_switch(pending)} from the next reset on"
            remedy = f"sudo nvidia-smi -e {current} keeps it; `sudo nvidia-smi --gpu-reset` or a reboot changes it now"
            yield Seen(what=what, source=source, remedy=remedy)
    yield from _unknown(facts, "gpu.state", "ecc")


def _switch(mode: int) -> str:
    return "on" if mode else "off"


def _known(facts: Facts, fact: str, name: str) -> Iterator[tuple[str, Any, str]]:
    """Yield label, value and source of each device that tells."""
    found = read(facts, fact)
    for number, device in enumerate(found.value):
        if device.get(name) is not None:
            yield _label(facts, number), device[name], found.source


def _unknown(facts: Facts, fact: str, name: str) -> Iterator[Seen]:
    """Yield what devices should tell and could not; what they do not have is no unknown."""
    found = read(facts, fact)
    for number, device in enumerate(found.value):
        error = device["errors"].get(name, "")
        if device.get(name) is None and error != ABSENT:
            what = f"{_label(facts, number)} can't be asked for {name.replace('_', ' ')}: {error or 'it says nothing'}"
            yield Seen(what=what, source=found.source, matter="unknown")


def _label(facts: Facts, number: int) -> str:
    devices: Sequence[Device] = facts["gpu.devices"]["value"]
    name = devices[number].get("name") if number < len(devices) else None
    return f"GPU {number} ({name})" if name else f"GPU {number}"


def _names(facts: Facts, pids: Sequence[int]) -> str:
    """Name the processes; of those in other containers or systems only the number is known."""
    try:
        known = {each.pid: each.name for each in read(facts, "load.processes").value}
    except Unread:
        known = {}
    return listed([f"{known[pid]} (pid {pid})" if pid in known else f"pid {pid}" for pid in pids])


ALWAYS = (
    Check(
        id="gpu.driver",
        matter="relevant",
        why="tasks on a GPU can't run",
        look=driver,
    ),
    Check(
        id="gpu.taken",
        matter="relevant",
        why="only a virtual machine can use it, no platform of this host",
        look=taken,
    ),
)
CHECKS = (
    Check(
        id="gpu.processes",
        matter="decisive",
        why="they take turns on the GPU with what is measured, and hold a part of its memory",
        look=neighbours,
    ),
    Check(
        id="gpu.display",
        matter="relevant",
        why="drawing takes turns with what is computed, and long kernels are ended by a watchdog",
        look=display,
    ),
    Check(
        id="gpu.heat",
        matter="relevant",
        why="it slows itself down when it gets hotter, in later blocks more than in earlier ones",
        look=heat,
    ),
    Check(
        id="gpu.persistence",
        matter="relevant",
        why="the driver lets go of an idle GPU: the first call of every process pays for waking it up",
        look=persistence,
    ),
    Check(
        id="gpu.ecc",
        matter="relevant",
        why="ECC may cost memory and bandwidth, and the next boot would be measured in the other mode",
        look=pending_ecc,
    ),
    Check(
        id="gpu.clocks",
        matter="noted",
        why="clocks follow load, heat and power limit; telemetry records them, and excludes what was throttled",
        look=clocks,
    ),
)
