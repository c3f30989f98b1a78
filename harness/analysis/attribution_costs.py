"""What one launch, wait, copy, byte, allocation or file costs, by the probes.

Probes measure together what a step counts apart, so whatever is counted on its own is taken out of the others; then the
sum over a step's parts is right however they are combined:

- a launch: the slope of `driver.launch`; where nothing runs on a GPU, one operation of `driver.dispatch`.
- a wait: the round trip of `driver.sync` (by spinning, as frameworks wait) less the launch in it.
- a copy: the line through the medians of `copies.bandwidth` over the bytes (`harness.agent.fit`); without that probe
  through the `ungated_seconds` of `copies.gated`, which are the same copies of pinned memory. Its slope are the seconds
  of a byte, its intercept less the wait in it is the latency.
- an allocation: getting and giving back memory of the device, by `copies.allocation` at the nearest size.
- a file: open and read by `storage.small_files`, from the cache. What a step reads beyond as many bytes as those files
  have costs what `storage.sequential` says of a byte.

A workload's files lie in the first location of its platform, unless their count says where.
"""

from __future__ import annotations

import math

from harness.analysis.attribution_probes import Cost, Dims, MissingError, Probes

WAIT = "spin"
OPERATION = "add"
ALLOCATED = 2**20  # bytes of an allocation whose size is not told
SMALL_FILES = "storage.small_files"


def launch(probes: Probes, stack: str, device: str) -> Cost:
    """Return one launch's cost; on a CPU one operation's."""
    if device == "cpu":
        return probes.same_stack("driver.dispatch", "dispatch_seconds", stack, device, operation=OPERATION)
    return probes.one("driver.launch", "launch_slope_seconds", stack, device, flush=False)


def wait(probes: Probes, stack: str, device: str) -> Cost:
    """Return the cost of one wait, without the launch that it waits for."""
    return probes.one("driver.sync", "round_trip_seconds", stack, device, sync=WAIT) - launch(probes, stack, device)


def copy_latency(probes: Probes, stack: str, device: str, direction: str, memory: str) -> Cost:
    """Return the cost of one copy of no bytes, without the wait for it."""
    return _copy(probes, stack, device, direction, memory)[0] - wait(probes, stack, device)


def copy_byte(probes: Probes, stack: str, device: str, direction: str, memory: str) -> Cost:
    """Return the cost of one byte of a copy."""
    return _copy(probes, stack, device, direction, memory)[1]


def _copy(probes: Probes, stack: str, device: str, direction: str, memory: str) -> tuple[Cost, Cost]:
    try:
        return probes.line("copies.bandwidth", "copy_seconds", stack, device, direction=direction, memory=memory)
    except MissingError:
        if memory == "pageable":
            raise
        return probes.line("copies.gated", "ungated_seconds", stack, device, direction=direction)


def allocation(probes: Probes, stack: str, device: str, dims: Dims) -> Cost:
    """Return the cost of one allocation of the GPU's memory and of its release."""
    wanted = math.log(dims.get("bytes") or ALLOCATED)

    def distance(known: Dims) -> float:
        return abs(math.log(known["bytes"]) - wanted)

    getting, releasing = (
        probes.one("copies.allocation", metric, stack, device, rank=distance, kind="device")
        for metric in ("allocate_seconds", "free_seconds")
    )
    return getting + releasing


def file(probes: Probes, stack: str, places: tuple[str, str]) -> Cost:
    """Return the cost of one small file: opened, read, closed."""
    return probes.located(SMALL_FILES, "open_read_seconds", stack, places, cache="warm")


def file_byte(probes: Probes, stack: str, places: tuple[str, str]) -> Cost:
    """Return the cost of one byte of a large file."""
    return probes.located("storage.sequential", "read_bandwidth", stack, places, cache="warm")


def cycle(probes: Probes, stack: str, device: str) -> Cost:
    """Return what a second of computing costs, by the clock alone: the GPU's where the workload runs on one."""
    task, metric = ("control.fma", "fma_seconds") if device == "cpu" else ("control.fma_device", "device_fma_seconds")
    found = probes.one(task, metric, stack, device)
    return Cost(baseline=1.0, more=found.more * (1 / found.baseline), probe=found.probe)
