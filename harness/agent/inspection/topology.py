"""How the processors hang together: sockets, cores, threads, caches, and which of them the scheduler leaves alone."""

from __future__ import annotations

from collections.abc import Callable

from harness.agent.inspection.facts import Fact, Files, fact

CPUS = "/sys/devices/system/cpu"
CACHES = f"{CPUS}/cpu0/cache"
TOPOLOGY = f"{CPUS}/cpu*/topology"
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts of the topology; a guest's are what its hypervisor makes up."""
    return {
        "sockets": fact(TOPOLOGY, lambda: len(_distinct(files, "physical_package_id"))),
        "cores": fact(TOPOLOGY, lambda: len(_distinct(files, "physical_package_id", "die_id", "core_id"))),
        "threads": fact(TOPOLOGY, lambda: _threads(files)),
        "online": files.fact(f"{CPUS}/online"),
        "isolated": files.fact(f"{CPUS}/isolated", none_if_empty),
        "tickless": files.fact(f"{CPUS}/nohz_full", none_if_empty),
        "smt_control": files.fact(f"{CPUS}/smt/control"),
        "idle_driver": files.fact(f"{CPUS}/cpuidle/current_driver"),
        "idle_governor": _first(files, f"{CPUS}/cpuidle/current_governor", f"{CPUS}/cpuidle/current_governor_ro"),
        "idle_states": fact(f"{CPUS}/cpu0/cpuidle", lambda: _idle_states(files)),
        "cache_bytes": fact(CACHES, lambda: _of_caches(files, "size", size)),
        "cache_shared_by": fact(CACHES, lambda: _of_caches(files, "shared_cpu_list", str)),
    }


def none_if_empty(text: str) -> str:
    """Name the empty list of processors; the kernel writes `(null)` for it where none was ever given."""
    return "none" if text in {"", "(null)"} else text


def size(text: str) -> int:
    """Return the bytes of `48K`."""
    return int(text[:-1]) * UNITS[text[-1:]] if text[-1:] in UNITS else int(text)


def _distinct(files: Files, *names: str) -> set[tuple[str, ...]]:
    """Return the distinct combinations; an older kernel has no dies."""
    folders = [path.rpartition("/")[0] for path in files.matching(f"{TOPOLOGY}/physical_package_id")]
    return {tuple(_text(files, f"{folder}/{name}") for name in names) for folder in folders}


def _text(files: Files, path: str) -> str:
    return files.text(path) if files.exists(path) else ""


def _threads(files: Files) -> int:
    return len(files.matching(f"{TOPOLOGY}/physical_package_id"))


def _first(files: Files, *paths: str) -> Fact:
    return files.fact(next((path for path in paths if files.told(path)), paths[0]))


def _idle_states(files: Files) -> list[str]:
    """Return the names of the states that are in use; a deep one takes long to wake from."""
    states = files.matching(f"{CPUS}/cpu0/cpuidle/state[0-9]*")
    return [files.text(f"{state}/name") for state in states if _text(files, f"{state}/disable") != "1"]


def _of_caches(files: Files, name: str, parse: Callable[[str], object]) -> dict[str, object]:
    """Return `L1d`, `L1i`, `L2`… of the first processor → what `parse` makes of the file `name`."""
    found: dict[str, object] = {}
    for cache in files.matching(f"{CACHES}/index[0-9]*"):
        kind = {"Data": "d", "Instruction": "i"}.get(files.text(f"{cache}/type"), "")
        found[f"L{files.text(f'{cache}/level')}{kind}"] = parse(files.text(f"{cache}/{name}"))
    return found
