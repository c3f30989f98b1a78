"""Marks: what a reader must know of an invocation before comparing it, each by a rule that it states.

Nothing is deleted for a mark; the analysis leaves `throttled` and `ecc` out of its statistics. An invocation is

`throttled`      when hardware, heat or a power brake lowered a GPU's clock,
`ecc`            when a GPU counted memory errors meanwhile: it may have retried, remapped or lost work,
`power_capped`   when the GPU's power limit did: usual under full load and the same on every platform, so no warning,
`contended`      when the hypervisor gave the processors to others, or tasks waited for a processor. The pressure is
                 that of the whole machine, and the task's own threads count too when there are more than processors,
`quota`          when the control group's processor quota was used up: with `cpus: 0.5` in each busy period. It is how
                 the platform is set up, so no warning; samples shorter than a period show it in their tail alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Clock event reasons (NVML): what lowers the clock against the user's will. Idle 0x1, application clocks 0x2, sync
# boost 0x10 and display 0x100 are settings.
HARDWARE_SLOWDOWN, SOFTWARE_THERMAL, HARDWARE_THERMAL, POWER_BRAKE = 0x8, 0x20, 0x40, 0x80
THROTTLING = (HARDWARE_SLOWDOWN, SOFTWARE_THERMAL, HARDWARE_THERMAL, POWER_BRAKE)
POWER_CAP = (0x4,)
CLOCK_SHARE = 0.05  # of the samples
STEAL_SHARE = 0.02  # of the processor time that was wanted; control.fma tells 2% apart
STEAL_LEAST = 0.05  # seconds: the kernel counts stolen time in steps of 10 ms
PRESSURE_SHARE = 0.1  # of the task's time
QUOTA_SHARE = 0.02  # of the periods in which the control group ran
BUSY = ("user", "nice", "system", "irq", "softirq")

WARNINGS = {
    "throttled": "the clock of {gpu} was throttled during {share:.0%} of the task ({rule}): "
    "mend cooling or power supply and measure again",
    "ecc": "{gpu} counted {errors} memory errors during the task ({rule}): see `nvidia-smi -q -d ECC`",
}

Mark = dict[str, Any]


def marks(record: Mapping[str, Any], samples: Mapping[str, Any]) -> list[Mark]:
    """Return the marks of an invocation: `name`, `share`, `rule`, and `gpu` (a UUID) where it is about one."""
    return [*_clocks(samples), *_memory_errors(samples), *_stolen(record), *_waited(record), *_held_back(record)]


def warnings(found: list[Mark]) -> tuple[str, ...]:
    """Return a line for each mark that makes the result doubtful by itself."""
    return tuple(WARNINGS[mark["name"]].format(**mark) for mark in found if mark["name"] in WARNINGS)


def _clocks(samples: Mapping[str, Any]) -> Iterator[Mark]:
    for column, shares in samples.get("clock_event_shares", {}).items():
        gpu = column.partition(".")[0]
        for name, bits, what in (
            ("throttled", THROTTLING, "hardware, thermal or power-brake slowdown"),
            ("power_capped", POWER_CAP, "power cap"),
        ):
            share = max(shares.get(str(bit), 0.0) for bit in bits)
            if share > CLOCK_SHARE:
                rule = f"{what} in more than {CLOCK_SHARE:.0%} of the samples"
                yield {"name": name, "share": share, "rule": rule, "gpu": samples["gpus"].get(gpu, gpu)}


def _memory_errors(samples: Mapping[str, Any]) -> Iterator[Mark]:
    for column, summary in samples.get("summary", {}).items():
        gpu, _, name = column.partition(".")
        if name == "ecc_errors" and summary["max"] > summary["min"]:
            number = int(summary["max"] - summary["min"])
            rule = "the count of ECC memory errors rose"
            yield {"name": "ecc", "share": 1.0, "errors": number, "rule": rule, "gpu": samples["gpus"].get(gpu, gpu)}


def _stolen(record: Mapping[str, Any]) -> Iterator[Mark]:
    seconds = record.get("cpu_seconds", {})
    stolen = seconds.get("steal", 0.0)
    wanted = stolen + sum(seconds.get(name, 0.0) for name in BUSY)
    if stolen >= STEAL_LEAST and stolen > STEAL_SHARE * wanted:
        rule = f"more than {STEAL_SHARE:.0%} of the wanted processor time was stolen"
        yield {"name": "contended", "share": stolen / wanted, "rule": rule}


def _waited(record: Mapping[str, Any]) -> Iterator[Mark]:
    waited = record.get("pressure_seconds", {}).get("cpu.some", 0.0)
    if waited > PRESSURE_SHARE * record["seconds"]:
        rule = f"tasks waited for a processor during more than {PRESSURE_SHARE:.0%} of the time (cpu.some)"
        yield {"name": "contended", "share": waited / record["seconds"], "rule": rule}


def _held_back(record: Mapping[str, Any]) -> Iterator[Mark]:
    periods = record.get("quota_periods", {"all": 0, "used_up": 0})
    if periods["used_up"] > QUOTA_SHARE * periods["all"]:
        rule = f"the processor quota was used up in more than {QUOTA_SHARE:.0%} of its periods (cpu.stat)"
        yield {"name": "quota", "share": periods["used_up"] / periods["all"], "rule": rule}
