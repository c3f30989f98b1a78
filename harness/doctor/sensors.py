"""What is of a moment, so that no inspection records it: load, pressure, swapped memory, temperatures, power source.

Windows has the load alone, as the share of its processors that worked while nothing of ours did.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Mapping

from harness.agent.inspection.facts import Fact, Files, fact, fields
from harness.agent.inspection.memory import kibibytes

PRESSURE = "/proc/pressure"
ZONES = "/sys/class/thermal"
SUPPLIES = "/sys/class/power_supply"
TRIP = re.compile(r"trip_point_(\d+)_temp")
BUSY_SECONDS = 0.5  # Windows counts processor time in ticks of 15.6 ms
SLOWING = frozenset({"passive", "hot", "critical"})  # `active` trips only start a fan


def inspect(files: Files) -> dict[str, Fact]:
    """Return the facts of this moment."""
    if sys.platform == "win32" and files.of_this_machine:
        return {"load.busy": fact("GetSystemTimes", _busy)}
    pressure = {f"load.pressure.{kind}": files.fact(f"{PRESSURE}/{kind}", _some) for kind in ("cpu", "memory", "io")}
    return {
        "load.average": files.fact("/proc/loadavg", lambda text: float(text.split()[0])),
        **pressure,
        "memory.swapped_bytes": files.fact("/proc/meminfo", _swapped),
        "thermal.zones": fact(ZONES, lambda: [_zone(files, path) for path in files.matching(f"{ZONES}/thermal_zone*")]),
        "power.supplies": fact(SUPPLIES, lambda: _supplies(files)),
    }


def _busy() -> float:
    if sys.platform != "win32":
        raise NotImplementedError
    from harness.agent import win32  # noqa: PLC0415 - Windows only

    before = win32.processor_times()
    time.sleep(BUSY_SECONDS)
    return busy(before, win32.processor_times())


def busy(before: tuple[float, float], after: tuple[float, float]) -> float:
    """Return the share of all processors' time that was work between two readings of (worked, idled) seconds."""
    worked, idled = (later - earlier for earlier, later in zip(before, after, strict=True))
    if worked + idled <= 0:
        msg = "no time has passed"
        raise ValueError(msg)
    return worked / (worked + idled)


def _some(text: str) -> float:
    """Return the share of the last 10 seconds in which some task waited: `some avg10=1.25 avg60=…` is 0.0125."""
    found = re.search(r"^some avg10=([\d.]+)", text)
    if found is None:
        raise ValueError(text.partition("\n")[0])
    return float(found[1]) / 100


def _swapped(text: str) -> int:
    found = fields(text)
    return kibibytes(found["SwapTotal"]) - kibibytes(found["SwapFree"])


def _zone(files: Files, path: str) -> Mapping[str, object]:
    """Return a zone's type, its temperature and its lowest trip point that slows the machine: °C, None if unsaid."""
    trips = [trip for trip in _trips(files, path) if trip > 0]
    kind = files.text(f"{path}/type") if files.told(f"{path}/type") else path.rpartition("/")[2]
    return {"type": kind, "celsius": _celsius(files, f"{path}/temp"), "trip": min(trips, default=None)}


def _trips(files: Files, path: str) -> list[float]:
    found = [name for name in (each.name for each in files.path(path).iterdir()) if TRIP.fullmatch(name)]
    slowing = (name for name in found if _text(files, f"{path}/{name.removesuffix('temp')}type") in SLOWING)
    return [celsius for name in slowing if (celsius := _celsius(files, f"{path}/{name}")) is not None]


def _celsius(files: Files, path: str) -> float | None:
    """Return thousandths of a degree as degrees; a sensor that is asleep answers with an error."""
    try:
        return int(_text(files, path)) / 1e3
    except ValueError:
        return None


def _text(files: Files, path: str) -> str:
    try:
        return files.text(path)
    except OSError:
        return ""


def _supplies(files: Files) -> list[dict[str, str]]:
    """Return type (`Mains`, `Battery`, `USB`), status and online of each; a server has none."""
    folders = sorted(each.name for each in files.path(SUPPLIES).iterdir())
    names = ("type", "scope", "status", "online")
    return [{name: _text(files, f"{SUPPLIES}/{folder}/{name}") for name in names} for folder in folders]
