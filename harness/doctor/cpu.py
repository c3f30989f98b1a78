"""The processors' clock: what lets it follow load, heat and the power source."""

from __future__ import annotations

from collections.abc import Iterator

from harness.doctor.finding import Check, Facts, Reading, Seen, read

GUEST = "in a guest only the host knows: run `doctor` there"
POLICIES = "/sys/devices/system/cpu/cpufreq/policy*"
GOVERNOR = f"echo performance | sudo tee {POLICIES}/scaling_governor"
SLOW_CLOCKS = frozenset({"hpet", "acpi_pm", "pit", "jiffies", "refined-jiffies"})
HEADROOM = 10.0  # °C below a trip point; a processor under load warms by more than that within a second


def governor(facts: Facts) -> Iterator[Seen]:
    """The frequency governor of every processor should be `performance`."""
    found = read(facts, "cpu.governor")
    if found.value != "performance":
        yield Seen(what=f"the frequency governor is {found.value}", source=found.source, remedy=GOVERNOR)


def turbo(facts: Facts) -> Iterator[Seen]:
    """Boost is on on nearly every machine: noted, and `--fix` switches it off for those who want equal clocks."""
    found = read(facts, "cpu.boost")
    if found.value:
        off = "1" if found.source.endswith("no_turbo") else "0"
        yield Seen(what="turbo is on", source=found.source, remedy=f"echo {off} | sudo tee {found.source}")


def smt(facts: Facts) -> Iterator[Seen]:
    """Two threads a core are noted."""
    found = read(facts, "cpu.smt")
    if found.value:
        remedy = "echo off | sudo tee /sys/devices/system/cpu/smt/control"
        yield Seen(what="two threads share a core (SMT)", source=found.source, remedy=remedy)


def limits(facts: Facts) -> Iterator[Seen]:
    """The governor's upper limit should be the hardware's."""
    allowed, possible = read(facts, "cpu.max_scaling_hz"), read(facts, "cpu.max_frequency_hz")
    if allowed.value < possible.value:
        remedy = f"echo {possible.value / 1e3:.0f} | sudo tee {POLICIES}/scaling_max_freq"
        what = f"the clock is limited to {_gigahertz(allowed)} of {_gigahertz(possible)}"
        yield Seen(what=what, source=allowed.source, remedy=remedy)


def _gigahertz(frequency: Reading) -> str:
    return f"{frequency.value / 1e9:.2f} GHz"


def clock_source(facts: Facts) -> Iterator[Seen]:
    """A clock that is a device outside the processor is slow to read."""
    found = read(facts, "system.clock_source")
    if found.value in SLOW_CLOCKS:
        remedy = "see `sudo dmesg | grep -i -e tsc -e clocksource` for why the kernel gave up the TSC"
        yield Seen(what=f"the kernel's clock is {found.value}", source=found.source, remedy=remedy)


def mitigations(facts: Facts) -> Iterator[Seen]:
    """Mitigations that are on are noted: nobody should measure without what he runs with."""
    found = read(facts, "system.mitigations")
    names = sorted(name for name, state in found.value.items() if "Mitigation" in state)
    if names:
        yield Seen(what=f"mitigations are on: {', '.join(names)}", source=found.source)


def heat(facts: Facts) -> Iterator[Seen]:
    """A zone near the temperature at which the machine is slowed."""
    found = read(facts, "thermal.zones")
    for zone in found.value:
        celsius, trip = zone["celsius"], zone["trip"]
        if celsius is not None and trip is not None and celsius > trip - HEADROOM:
            what = f"{zone['type']} has {celsius:.0f} °C, the machine is slowed at {trip:.0f} °C"
            remedy = "let it cool down, clean or improve the cooling"
            yield Seen(what=what, source=found.source, remedy=remedy, matter="decisive" if celsius >= trip else None)


def battery(facts: Facts) -> Iterator[Seen]:
    """A machine that runs on its battery."""
    found = read(facts, "power.supplies")
    own = [each for each in found.value if each["scope"] != "Device"]  # not a mouse's battery
    mains = any(each["type"] != "Battery" and each["online"] == "1" for each in own)
    if not mains and any(each["type"] == "Battery" and each["status"] == "Discharging" for each in own):
        yield Seen(what="this machine runs on its battery", source=found.source, remedy="plug it in")


CHECKS = (
    Check(
        id="cpu.governor",
        matter="decisive",
        why="the clock follows the load, and platforms load the processor differently: their ratio measures that too",
        look=governor,
        unread=GUEST,
    ),
    Check(
        id="cpu.battery",
        matter="decisive",
        why="firmware and drivers lower clocks and power limits, and lower them further as the charge falls",
        look=battery,
    ),
    Check(
        id="cpu.clock_source",
        matter="decisive",
        why="every reading of the clock leaves the processor, and short times are measured with it",
        look=clock_source,
    ),
    Check(
        id="cpu.heat",
        matter="relevant",
        why="a machine that is slowed by heat is slower for whoever is measured last",
        look=heat,
        unread=GUEST,
    ),
    Check(
        id="cpu.limits",
        matter="relevant",
        why="what is measured is a slower machine; equal for platforms of one boot, not for boots that lack the limit",
        look=limits,
        unread=GUEST,
    ),
    Check(
        id="cpu.turbo",
        matter="noted",
        why="the highest clock depends on heat and on how many cores are busy",
        look=turbo,
        unread=GUEST,
    ),
    Check(
        id="cpu.smt",
        matter="noted",
        why="whatever runs on a core's other thread takes from the thread that is measured",
        look=smt,
        unread=GUEST,
    ),
    Check(
        id="cpu.mitigations",
        matter="noted",
        why="they make system calls and switches dearer; equal for platforms of one kernel, not for another system's",
        look=mitigations,
    ),
)
